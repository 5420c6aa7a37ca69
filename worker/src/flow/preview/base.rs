//! The base that requests are looked at against: what it renders to, kept until it moves, and its nodes, which say how
//! they are while a request is still being fetched and rendered. What they say of a base that has moved is dropped.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};

use tokio::task::JoinSet;
use windlass_core::ids::NodeName;
use windlass_core::model::Model;
use windlass_core::observed::{Observed, Seen};
use windlass_core::release::Bundle;

use super::look::{Failed, Previews, load, words};
use super::readers::Readers;
use super::stubs::Stubs;
use crate::check::ProgramError;
use crate::roll::observe;

pub(super) struct Base {
    commit: String,
    stubs: Stubs,
    pub(super) model: Arc<Model>,
    /// Absent where it does not render.
    pub(super) bundle: Option<Bundle>,
}

impl Base {
    fn is_of(&self, commit: &str, stubs: &Stubs) -> bool {
        self.commit == commit && self.stubs == *stubs
    }
}

/// The nodes that a base defines, and what they are about to say.
pub(super) struct Answers<N> {
    pub(super) base: Arc<Base>,
    pub(super) nodes: Arc<N>,
    /// Dropped, they ask no further.
    asked: JoinSet<(NodeName, Seen)>,
}

impl<N> Answers<N> {
    /// What the nodes say that are in this bundle; one that is being removed is not waited for.
    pub(super) async fn of(&mut self, head: &Bundle) -> Result<Observed, Failed> {
        let mut wanted: BTreeSet<&NodeName> = self.base.model.nodes.keys().collect();
        wanted.retain(|name| head.releases.contains_key(*name));
        let mut observed = Observed::default();
        while !wanted.is_empty() {
            let answered = self.asked.join_next().await.and_then(Result::ok);
            let (name, seen) = answered.ok_or("the nodes could not be asked")?;
            if wanted.remove(&name) {
                observed.nodes.insert(name, seen);
            }
        }
        Ok(observed)
    }
}

impl<R: Readers> Previews<R> {
    /// Begins to ask the nodes that were asked last: most requests come against the same base as the one before.
    pub(super) fn ask_early(&self) -> Option<Answers<R::Nodes>> {
        let last = self.base.lock().unwrap_or_else(PoisonError::into_inner);
        let last = last.clone()?;
        self.ask_those_of(last).ok()
    }

    /// The nodes of the base itself.
    pub(super) async fn ask(
        &self,
        early: Option<Answers<R::Nodes>>,
        commit: &str,
        stubs: &Stubs,
    ) -> Result<Answers<R::Nodes>, Failed> {
        match early {
            Some(early) if early.base.is_of(commit, stubs) => Ok(early),
            _ => self.ask_those_of(self.base(commit, stubs).await?),
        }
    }

    fn ask_those_of(&self, base: Arc<Base>) -> Result<Answers<R::Nodes>, Failed> {
        let nodes = self.readers.readers(&base.model).map_err(words)?;
        let names = base.model.nodes.keys().cloned();
        let asked = names.map(|name| observe::one(Arc::clone(&nodes), name));
        let asked = asked.collect();
        Ok(Answers { base, nodes, asked })
    }

    async fn base(&self, commit: &str, stubs: &Stubs) -> Result<Arc<Base>, Failed> {
        let known = || self.base.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = known().clone();
        if let Some(base) = kept.filter(|base| base.is_of(commit, stubs)) {
            return Ok(base);
        }
        let snapshot = self.source.snapshot(commit).await.map_err(words)?;
        let rendered = match self.stranger.begin().await {
            Ok(begun) => self.stranger.render(begun, &snapshot, stubs).await,
            Err(error) => Err(error),
        };
        let bundle = match rendered {
            Ok(answer) => answer.bundle,
            Err(ProgramError::Broken(why)) => return Err(why),
            Err(_) => None,
        };
        let base = Arc::new(Base {
            commit: commit.to_owned(),
            stubs: stubs.clone(),
            model: load(&snapshot).await?,
            bundle,
        });
        *known() = Some(Arc::clone(&base));
        Ok(base)
    }
}
