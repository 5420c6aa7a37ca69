//! An order's records for the authority: there while it may look, and gone afterwards.

use windlass_core::acme::Wanted;
use windlass_core::model::Challenge;

use super::ledger::OpenOrder;
use super::orderer::{Access, Announce, Orderer};
use super::trouble::Trouble;

impl<A: Announce> Orderer<A> {
    /// Sees that a record could be written for each name, and that none of an earlier order stands there.
    pub(super) async fn clear_records(
        &self,
        open: &OpenOrder,
        wanted: &Wanted,
        access: &Access,
    ) -> Result<(), Trouble> {
        match &wanted.dns {
            Some(dns) => {
                let names = &open.order.begun.names;
                let key = access.zone_key.as_ref();
                self.records.clear((wanted, dns), names, key).await
            }
            None => Ok(()),
        }
    }

    /// Writes what the authority will ask the name servers for, until each of them has it.
    pub(super) async fn write_records(
        &self,
        open: &OpenOrder,
        wanted: &Wanted,
        access: &Access,
    ) -> Result<(), Trouble> {
        match &wanted.dns {
            Some(dns) if open.order.begun.challenge == Challenge::Dns => {
                let key = access.zone_key.as_ref();
                let proofs = &open.order.proofs;
                self.records.write((wanted, dns), proofs, key).await
            }
            _ => Ok(()),
        }
    }

    /// Takes them away again. What stays, because nobody could be told, goes with the next order.
    pub(super) async fn withdraw(&self, open: &OpenOrder, wanted: &Wanted, access: &Access) {
        let begun = &open.order.begun;
        let (Some(dns), Challenge::Dns) = (&wanted.dns, begun.challenge) else {
            return;
        };
        let key = access.zone_key.as_ref();
        if let Err(why) = self.records.remove(dns, &open.order.proofs, key).await {
            let certificate = &begun.certificate;
            tracing::warn!(%certificate, why = ?why, "a record for the authority could not be removed; the next order does it");
        }
    }
}
