//! The steps of an order, as a fold over what was stored of it. Each step is carried out, then its entry is stored,
//! then the next one is due; who is killed between the two carries it out again, and every step allows that. What the
//! authority knows better (whether an order is ready, or valid already) is asked again and not remembered.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::due::Issued;
use super::failure::Failure;
use crate::ids::Digest;
use crate::model::Challenge;
use crate::model::acme::KeyType;
use crate::model::names::{CertName, Label};

/// What an authority will ask for, and what is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Proof {
    pub name: CertName,
    pub token: String,
    /// Over HTTP the token's answer, through DNS the record's text.
    pub answer: String,
}

/// What is ordered; the first entry of every order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Begun {
    pub certificate: Label,
    /// The authority's name.
    pub authority: Label,
    pub directory: String,
    pub names: Vec<CertName>,
    pub key: KeyType,
    pub profile: Option<Label>,
    pub terms: Digest,
    /// Nothing but a rehearsal: what comes of it is thrown away.
    pub rehearsal: bool,
    #[serde(default)]
    pub challenge: Challenge,
}

/// What is stored of an order. Never a private key: that has a place of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "entry", rename_all = "kebab-case")]
pub enum Entry {
    Begun(Begun),
    /// The private key is stored.
    Keyed,
    /// The authority knows the order.
    Placed {
        url: String,
    },
    /// The answers to challenges are being given.
    Published {
        proofs: Vec<Proof>,
    },
    /// Every address that the names lead to gave a probe's answer.
    Probed,
    /// The authority is convinced.
    Ready,
    /// The authority has the request.
    Finalized,
    /// Certificate and chain, PEM.
    Downloaded {
        chain: String,
    },
    /// Chain and key lie where rolls take them from.
    Stored {
        issued: Issued,
    },
    /// Whoever rolls was told. The order is over.
    Announced,
    /// A rehearsal went well. The order is over.
    Rehearsed,
    /// It did not go on. `Failure::ends_order` says whether the order is over.
    Failed {
        failure: Failure,
        why: String,
    },
}

/// What is to be done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    MakeKey,
    Place,
    Publish,
    Probe,
    Prove,
    Finalize,
    Download,
    Store,
    Announce,
    /// Tells that a rehearsal is over.
    EndRehearsal,
    /// Nothing.
    Over,
}

/// Entries that do not make an order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the order's entries do not fit: {0}")]
pub struct Misfit(&'static str);

/// An order as its entries tell it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    pub begun: Begun,
    pub url: Option<String>,
    pub proofs: Vec<Proof>,
    pub chain: Option<String>,
    pub issued: Option<Issued>,
    next: Step,
}

impl Order {
    /// An order of which only the intent is stored.
    pub fn new(begun: Begun) -> Self {
        Self {
            begun,
            url: None,
            proofs: Vec::new(),
            chain: None,
            issued: None,
            next: Step::MakeKey,
        }
    }

    /// The order that these entries tell of, oldest first.
    pub fn fold<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Result<Self, Misfit> {
        let mut entries = entries.into_iter();
        let Some(Entry::Begun(begun)) = entries.next() else {
            return Err(Misfit("the first is not what was ordered"));
        };
        let mut order = Self::new(begun.clone());
        entries.try_for_each(|entry| order.apply(entry))?;
        Ok(order)
    }

    /// What follows from one more entry.
    pub fn apply(&mut self, entry: &Entry) -> Result<(), Misfit> {
        self.next = match (entry, self.next) {
            (Entry::Failed { failure, .. }, step) if step != Step::Over => {
                if failure.ends_order() {
                    Step::Over
                } else {
                    step
                }
            }
            (Entry::Keyed, Step::MakeKey) => Step::Place,
            (Entry::Placed { url }, Step::Place) => {
                self.url = Some(url.clone());
                Step::Publish
            }
            // The authority may hold names for proven already: then nothing is left to show.
            (Entry::Published { proofs }, Step::Publish) => {
                self.proofs.clone_from(proofs);
                if proofs.is_empty() {
                    Step::Prove
                } else {
                    Step::Probe
                }
            }
            (Entry::Probed, Step::Probe) => Step::Prove,
            (Entry::Ready, Step::Prove) => Step::Finalize,
            (Entry::Finalized, Step::Finalize) => Step::Download,
            (Entry::Downloaded { chain }, Step::Download) => {
                self.chain = Some(chain.clone());
                if self.begun.rehearsal {
                    Step::EndRehearsal
                } else {
                    Step::Store
                }
            }
            (Entry::Stored { issued }, Step::Store) => {
                self.issued = Some(issued.clone());
                Step::Announce
            }
            (Entry::Announced, Step::Announce) | (Entry::Rehearsed, Step::EndRehearsal) => {
                Step::Over
            }
            _ => return Err(Misfit("one is out of its turn")),
        };
        Ok(())
    }

    pub fn next(&self) -> Step {
        self.next
    }

    /// Whether its challenges must be answered: an authority may ask until it has made up its mind.
    pub fn answers(&self) -> bool {
        matches!(self.next, Step::Probe | Step::Prove)
    }
}
