//! What an order asks its authority, over one session for all of its steps.

use windlass_core::acme::order::Begun;
use windlass_core::acme::{Entry, Failure, Step, Wanted};
use windlass_core::model::Authority;

use super::account::{self, Access, Session};
use super::leaf::{self, Leaf};
use super::ledger::{OpenOrder, Suggestion};
use super::orderer::{Announce, Orderer, key_of};
use super::trouble::Trouble;

impl<A: Announce> Orderer<A> {
    pub(super) async fn ask_authority(
        &self,
        step: Step,
        open: &OpenOrder,
        wanted: &Wanted,
        session: &Session,
    ) -> Result<Entry, Trouble> {
        let begun = &open.order.begun;
        let url = open.order.url.as_deref().unwrap_or_default();
        match step {
            Step::Place => {
                let replaces = self.followed(begun, wanted).await;
                session.place(begun, replaces.as_ref()).await
            }
            Step::Publish => session.proofs(begun, url).await,
            Step::Finalize => session.finalize(begun, url, key_of(open)?).await,
            _ => {
                let entry = session.download(url).await?;
                if let Entry::Downloaded { chain } = &entry {
                    fitting(chain, open)?;
                }
                Ok(entry)
            }
        }
    }

    /// The certificate that an order follows: one of the same authority, which another knows nothing of.
    async fn followed(&self, begun: &Begun, wanted: &Wanted) -> Option<Leaf> {
        let issued = self.ledger.known(wanted).await.ok()?.issued?;
        if issued.directory != begun.directory {
            return None;
        }
        let leaf = self.shelf.leaf(&begun.certificate).ok().flatten()?;
        let suggested = self
            .ledger
            .suggestion(&begun.certificate)
            .await
            .ok()
            .flatten()?;
        // Only an authority that has suggestions knows what is followed.
        let is_it = issued.serial == leaf.serial && suggested.serial == leaf.serial;
        (is_it && suggested.window.is_some()).then_some(leaf)
    }

    pub(super) async fn session<'s>(
        &self,
        session: &'s mut Option<Session>,
        begun: &Begun,
        wanted: &Wanted,
        access: &Access,
    ) -> Result<&'s Session, Trouble> {
        if session.is_none() {
            let named = wanted
                .authorities
                .iter()
                .find(|own| own.name == begun.authority);
            let Some(authority) = named else {
                let why = format!("the authority `{}` is named no more", begun.authority);
                return Err(Trouble::new(Failure::OrderLost, why));
            };
            *session =
                Some(account::open(&self.ledger, authority, &begun.directory, access).await?);
        }
        session.as_ref().ok_or_else(|| Trouble::local("no account"))
    }

    /// Asks the authority when it wants the certificate renewed (RFC 9773). `None`: it did not answer.
    pub async fn suggested(
        &self,
        authority: &Authority,
        directory: &str,
        leaf: &Leaf,
        access: &Access,
    ) -> Option<Suggestion> {
        let session = account::open(&self.ledger, authority, directory, access)
            .await
            .ok()?;
        session.suggestion(leaf).await
    }
}

/// What was signed is what was asked for.
fn fitting(chain: &str, open: &OpenOrder) -> Result<(), Trouble> {
    let wrong = |why| {
        Trouble::new(
            Failure::Refused,
            format!("the authority signed something else: {why}"),
        )
    };
    leaf::fits(chain, key_of(open)?.reveal()).map_err(wrong)?;
    let leaf = Leaf::read(chain).map_err(wrong)?;
    if leaf.is_for(&open.order.begun.names) {
        return Ok(());
    }
    let names: Vec<&str> = leaf.names.iter().map(String::as_str).collect();
    Err(wrong(format!("it is for {}", names.join(", "))))
}
