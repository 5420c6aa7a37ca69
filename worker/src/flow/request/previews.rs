//! The real previews behind what requests need of them.

use tokio_util::sync::CancellationToken;
use windlass_core::preview::Preview;

use super::look::Previewer;
use crate::flow::preview::{Asked, Previews, Readers};
use crate::ports::forge::ForgeRequest;

impl<R: Readers> Previewer for Previews<R> {
    async fn look(&self, request: &ForgeRequest, stop: &CancellationToken) -> Option<Preview> {
        let asked = Asked {
            number: request.number,
            reference: request.reference.clone(),
            head: request.head.clone(),
            branch: request.branch.clone(),
        };
        Self::look(self, &asked, stop).await.ok()
    }
}
