//! What the last render made, by the digest of all that it was made from. Only what the last render used is
//! kept, so the cache never grows beyond one bundle.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::engine::Engine;
use crate::finding::Findings;
use crate::ids::{Digest, NodePath};

#[derive(Debug, Clone, Default)]
pub struct Cache {
    /// By the digest of a component's folder.
    pub(super) engines: BTreeMap<Digest, Arc<Compiled>>,
    pub(super) files: BTreeMap<Digest, Arc<Option<Made>>>,
    /// Files that the last render could not take from here.
    pub rendered: usize,
}

#[derive(Debug)]
pub(super) struct Compiled {
    pub(super) engine: Engine,
    pub(super) findings: Findings,
}

/// A rendered file; its condition held.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) path: NodePath,
    pub(super) content: Arc<[u8]>,
    pub(super) digest: Digest,
}
