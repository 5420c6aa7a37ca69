//! The account with an authority: made once for each cluster and directory, kept with its key in the database.

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};
use instant_acme::{Account, AccountCredentials, ExternalAccountKey, NewAccount};
use windlass_core::acme::{Failure, Step};
use windlass_core::materials::SecretText;
use windlass_core::model::Authority;

use super::ledger::Ledger;
use super::transport::Transport;
use super::trouble::{self, Trouble};

/// An account that can be used now.
pub(super) struct Session {
    pub(super) account: Account,
    pub(super) transport: Transport,
}

/// What is needed to speak to one authority.
#[derive(Debug, Clone)]
pub struct Access {
    /// PEM, where the repository names the roots of the directory's certificate.
    pub root: Option<String>,
    /// The external account binding's key, where there is one.
    pub eab: Option<SecretText>,
    /// The key that signs changes of the zone for challenges, in base64.
    pub zone_key: Option<SecretText>,
    pub contact: Vec<String>,
}

/// Takes the account up, or makes one.
pub(super) async fn open(
    ledger: &Ledger,
    authority: &Authority,
    directory: &str,
    access: &Access,
) -> Result<Session, Trouble> {
    let transport = Transport::new(access.root.as_deref()).map_err(Trouble::local)?;
    let failed = |error| trouble::of(error, Step::Place, transport.again());
    let builder = Account::builder_with_http(Box::new(transport.clone()));
    let account = match ledger.credentials(directory).await? {
        Some(known) => {
            let credentials: AccountCredentials =
                serde_json::from_str(known.reveal()).map_err(|_| {
                    Trouble::local("the account's credentials in the database cannot be read")
                })?;
            builder
                .from_credentials(credentials)
                .await
                .map_err(failed)?
        }
        None => {
            let contact: Vec<String> = access
                .contact
                .iter()
                .map(|mail| format!("mailto:{mail}"))
                .collect();
            let contact: Vec<&str> = contact.iter().map(String::as_str).collect();
            let new = NewAccount {
                contact: &contact,
                terms_of_service_agreed: true,
                only_return_existing: false,
            };
            let binding = binding(authority, access)?;
            let made = builder
                .create(&new, directory.to_owned(), binding.as_ref())
                .await;
            let (account, credentials) = made.map_err(failed)?;
            keep(ledger, directory, &credentials).await?;
            tracing::info!(authority = %authority.name, directory, "an account was made");
            account
        }
    };
    Ok(Session { account, transport })
}

/// Replaces the account's key. A worker that dies in between has lost the account, and makes a new one.
pub(super) async fn roll_over(
    ledger: &Ledger,
    directory: &str,
    session: &mut Session,
) -> Result<(), Trouble> {
    let updated = session.account.update_key().await;
    let credentials =
        updated.map_err(|error| trouble::of(error, Step::Place, session.transport.again()))?;
    keep(ledger, directory, &credentials).await
}

async fn keep(
    ledger: &Ledger,
    directory: &str,
    credentials: &AccountCredentials,
) -> Result<(), Trouble> {
    let text = serde_json::to_string(credentials)
        .map_err(|_| Trouble::local("credentials cannot be written"))?;
    Ok(ledger
        .keep_credentials(directory, &SecretText::new(&text))
        .await?)
}

fn binding(authority: &Authority, access: &Access) -> Result<Option<ExternalAccountKey>, Trouble> {
    let Some(eab) = &authority.eab else {
        return Ok(None);
    };
    let Some(secret) = &access.eab else {
        let why = format!(
            "the worker was not given the secret `{}`, which {} wants",
            eab.secret, authority.name
        );
        return Err(Trouble::local(why));
    };
    let text = secret.reveal().trim().trim_end_matches('=');
    let key = BASE64_URL_SAFE_NO_PAD
        .decode(text)
        .or_else(|_| BASE64_STANDARD_NO_PAD.decode(text));
    let key = key.map_err(|_| {
        Trouble::new(
            Failure::Local,
            format!("the secret `{}` is not base64", eab.secret),
        )
    })?;
    Ok(Some(ExternalAccountKey::new(eab.key_id.clone(), &key)))
}
