//! The desk of a worker's configuration: where its certificates are kept, and how it is woken for them.

use anyhow::{Context as _, bail};
use serde_json::json;
use uuid::Uuid;
use windlass_core::model::names::Label;

use super::ask::DATABASE;
use super::queues;
use crate::acme::{Ledger, Shelf};
use crate::certificates::Desk;
use crate::config::{ClusterConfig, Config};
use crate::git::mirror::Mirror;
use crate::git::remote::{Access, Remote};
use crate::git::source::Source;
use crate::materials::Directories;
use crate::queue::{Event, EventKind};
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
    Ok(of(config, cluster, &store))
}

/// For the worker itself.
pub(super) fn of(config: &Config, cluster: &ClusterConfig, store: &Store) -> Desk {
    let name = &cluster.name;
    let shelf = Shelf::new(&config.state, name);
    Desk {
        cluster: name.clone(),
        source: source(config, cluster, ""),
        store: store.clone(),
        ledger: Ledger::new(store.clone(), name.clone()),
        directories: Directories {
            certificates: config.certificates.clone(),
            secrets: config.secrets.clone(),
            age_identities: config.age_identities.clone(),
            ordered: config.acme.as_ref().map(|_| shelf.folder().to_path_buf()),
        },
        shelf,
    }
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

/// Has the worker look after its certificates, and roll what is new.
pub async fn wake(config: &Config, desk: &Desk, certificate: &Label) -> anyhow::Result<()> {
    let id = Uuid::new_v4().to_string();
    let event = Event::new(EventKind::Certificate, "/cli", &desk.cluster, id);
    let event = event.with(json!({ "certificate": certificate }));
    queues::leave(config, desk.store.clone(), &event).await
}
