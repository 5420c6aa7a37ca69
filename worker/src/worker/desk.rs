//! The desk of a worker's configuration: where its certificates are kept, and how it is woken for them.

use anyhow::{Context as _, bail};
use serde_json::json;
use uuid::Uuid;
use windlass_core::model::names::Label;

use super::ask::DATABASE;
use super::orders;
use super::queues;
use crate::acme::{Common, Ledger, Shelf};
use crate::certificates::Desk;
use crate::config::{ClusterConfig, Config};
use crate::git::mirror::Mirror;
use crate::git::remote::{Access, Remote};
use crate::git::source::Source;
use crate::materials::{AtRest, Directories};
use crate::queue::{CertificateDue, Event, EventKind};
use crate::store::Store;

/// For a command beside the worker. `cluster` may be left out where there is one.
pub fn open(config: &Config, cluster: Option<&str>) -> anyhow::Result<Desk> {
    let cluster = match (cluster, &config.clusters[..]) {
        (None, [only]) => only,
        (None, _) => bail!("the worker watches several clusters: give --cluster"),
        (Some(name), all) => all
            .iter()
            .find(|known| known.name.as_str() == name)
            .with_context(|| {
                format!("the worker's configuration watches no cluster named {name}")
            })?,
    };
    let path = config.state.join(DATABASE);
    if !path.exists() {
        bail!("there is no {}; has the worker ever run?", path.display());
    }
    let store = Store::open(&path).with_context(|| format!("cannot open {}", path.display()))?;
    of(config, cluster, &store)
}

/// For the worker itself.
pub(super) fn of(config: &Config, cluster: &ClusterConfig, store: &Store) -> anyhow::Result<Desk> {
    let name = &cluster.name;
    let at_rest = AtRest::new(&config.age_identities);
    let shelf = Shelf::new(&config.state, name).at_rest(at_rest.clone());
    let mut ledger = Ledger::new(store.clone(), name.clone()).at_rest(at_rest.clone());
    if config.acme.is_some()
        && let Some(strongbox) = queues::strongbox(config, name)?
    {
        ledger = ledger.common(Common::new(strongbox, shelf.clone()));
    }
    Ok(Desk {
        cluster: name.clone(),
        source: source(config, cluster, ""),
        store: store.clone(),
        ledger,
        directories: Directories {
            certificates: config.certificates.clone(),
            secrets: config.secrets.clone(),
            age_identities: config.age_identities.clone(),
            ordered: config.acme.as_ref().map(|_| shelf.folder().to_path_buf()),
            at_rest,
        },
        shelf,
    })
}

/// A mirror of the cluster's repository, in a folder that this suffix keeps apart from others.
pub(super) fn source(config: &Config, cluster: &ClusterConfig, suffix: &str) -> Source {
    let repository = &cluster.repository;
    let access = match (&repository.token_file, &repository.key_file) {
        (Some(file), _) => Access::Token {
            user: repository.user.clone(),
            file: file.clone(),
        },
        (None, Some(file)) => Access::Key {
            file: file.clone(),
            host_keys: repository.host_keys.clone(),
        },
        (None, None) => Access::Open,
    };
    let remote = Remote {
        url: repository.url.value.clone(),
        branch: repository.branch.clone(),
        access,
        authorities: repository.ca_file.clone(),
        signers: repository.signed_by.clone(),
    };
    let dir = config.state.join(format!("{}{suffix}.git", cluster.name));
    Source::new(Mirror::new(dir, remote, repository.path.clone()))
}

/// Has a worker renew a certificate; with `force` it does not wait because of what failed before.
pub async fn renew(
    config: &Config,
    desk: &Desk,
    certificate: &Label,
    force: bool,
) -> anyhow::Result<()> {
    let due = CertificateDue {
        certificate: Some(certificate.clone()),
        force,
        rolled: None,
    };
    leave(config, desk, EventKind::Order, json!(due)).await
}

/// Has a worker roll a certificate that was put in use here, whichever worker that is.
pub async fn put_in_use(config: &Config, desk: &Desk, certificate: &Label) -> anyhow::Result<()> {
    let mut data = json!({ "certificate": certificate });
    if desk.ledger.is_common()
        && let Some(pem) = desk.shelf.get(certificate).map_err(anyhow::Error::msg)?
    {
        let issued = [(certificate.clone(), pem)];
        let sealed = orders::sealed(&desk.directories.at_rest, &issued).await;
        data = sealed.map_err(anyhow::Error::msg)?;
    }
    leave(config, desk, EventKind::Certificate, data).await
}

async fn leave(
    config: &Config,
    desk: &Desk,
    kind: EventKind,
    data: serde_json::Value,
) -> anyhow::Result<()> {
    let id = Uuid::new_v4().to_string();
    let event = Event::new(kind, "/cli", &desk.cluster, id).with(data);
    queues::leave(config, desk.store.clone(), &event).await
}
