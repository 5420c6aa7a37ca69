//! What a person has done about certificates and accounts, at the authority.

use instant_acme::RevocationReason;
use windlass_core::model::Authority;

use super::account::{self, Access, Session};
use super::leaf::Leaf;
use super::ledger::Ledger;
use super::trouble::Trouble;

/// Why a certificate is declared void (RFC 5280): those reasons that authorities take from whoever ordered it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    Unspecified,
    KeyCompromise,
    AffiliationChanged,
    Superseded,
    CessationOfOperation,
}

impl Reason {
    fn told(self) -> RevocationReason {
        match self {
            Self::Unspecified => RevocationReason::Unspecified,
            Self::KeyCompromise => RevocationReason::KeyCompromise,
            Self::AffiliationChanged => RevocationReason::AffiliationChanged,
            Self::Superseded => RevocationReason::Superseded,
            Self::CessationOfOperation => RevocationReason::CessationOfOperation,
        }
    }
}

/// Has the authority declare the certificate void.
pub async fn revoke(
    ledger: &Ledger,
    authority: &Authority,
    directory: &str,
    access: &Access,
    (leaf, reason): (&Leaf, Reason),
) -> Result<(), String> {
    let session = open(ledger, authority, directory, access).await?;
    session
        .revoke(leaf, reason.told())
        .await
        .map_err(|trouble| in_words(trouble, authority))
}

/// Replaces the key of the account with an authority.
pub async fn roll_account_key(
    ledger: &Ledger,
    authority: &Authority,
    directory: &str,
    access: &Access,
) -> Result<(), String> {
    let mut session = open(ledger, authority, directory, access).await?;
    account::roll_over(ledger, directory, &mut session)
        .await
        .map_err(|trouble| in_words(trouble, authority))
}

/// Takes up the account that there is: a new one could do neither.
async fn open(
    ledger: &Ledger,
    authority: &Authority,
    directory: &str,
    access: &Access,
) -> Result<Session, String> {
    let known = ledger.credentials(directory).await;
    if known.map_err(|error| error.to_string())?.is_none() {
        return Err(format!(
            "this worker has no account with {}",
            authority.name
        ));
    }
    account::open(ledger, authority, directory, access)
        .await
        .map_err(|trouble| in_words(trouble, authority))
}

fn in_words(trouble: Trouble, authority: &Authority) -> String {
    match trouble {
        Trouble::Failed { why, .. } => format!("{}: {why}", authority.name),
        Trouble::NoAccount => format!("{} knows our account no more", authority.name),
        Trouble::Store(error) => error.to_string(),
    }
}
