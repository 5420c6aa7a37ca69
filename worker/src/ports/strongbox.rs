//! What the workers of a cluster keep together: records by key, sealed by whoever writes them. One worker at a time
//! has it open, so that what one has begun no other begins as well.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;

/// Something that is done in a while; the traits here are used as objects.
pub type Doing<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

pub trait Strongbox: Send + Sync + fmt::Debug {
    /// `None`: another worker has it open.
    fn open(&self) -> Doing<'_, Result<Option<Box<dyn OpenBox>>, String>>;
}

/// Closed when it is dropped. One that was lost (its connection is gone) takes nothing any more: another worker may have
/// it open.
pub trait OpenBox: Send {
    fn records(&self) -> &BTreeMap<String, Vec<u8>>;

    /// Puts a record in the place of the one with this key. When it returns, whoever opens the box next finds it.
    fn put<'a>(&'a mut self, key: &'a str, sealed: Vec<u8>) -> Doing<'a, Result<(), String>>;

    /// Lets others have it at once.
    fn close(self: Box<Self>) -> Doing<'static, ()>;
}
