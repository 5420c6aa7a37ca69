//! What a person says to a worker: try again, or follow a rewound branch. It is written to the worker's
//! database, running or not, and the worker is woken.

use anyhow::{Context as _, bail};
use serde_json::json;
use uuid::Uuid;
use windlass_core::ids::ClusterName;

use super::queues;
use crate::config::Config;
use crate::queue::{Asked, Event, EventKind};
use crate::store::{Store, StoreError};

pub(crate) const DATABASE: &str = "windlass.db";

/// Does here what was asked of another worker. Once more where it was asked of this one, which does no harm.
pub(super) async fn heed(store: &Store, event: &Event) -> Result<(), StoreError> {
    let data = event.data.clone();
    let asked = data.and_then(|data| serde_json::from_value(data).ok());
    match asked {
        Some(Asked::Release(bundle)) => store.release(&event.subject, bundle).await,
        _ if event.kind != EventKind::Asked => Ok(()),
        Some(Asked::Retry) => store.lift_quarantine(&event.subject).await.map(drop),
        Some(Asked::AcceptRewind(commit)) => store.accept(&event.subject, &commit).await,
        None => Ok(()),
    }
}

/// Lifts the quarantine of all the cluster's bundles.
pub async fn retry(config: &Config, cluster: &ClusterName) -> anyhow::Result<String> {
    let store = open(config, cluster)?;
    let freed = store.lift_quarantine(cluster).await?;
    wake(config, store, cluster, &Asked::Retry).await?;
    Ok(match freed {
        0 => format!("nothing of {cluster} was in quarantine; it is looked at again"),
        1 => format!("one bundle of {cluster} is free again, and is tried now"),
        many => {
            format!("{many} bundles of {cluster} are free again; the newest commit is tried now")
        }
    })
}

/// Lets this one commit be rolled although the branch was rewound to it.
pub async fn accept_rewind(
    config: &Config,
    cluster: &ClusterName,
    commit: &str,
) -> anyhow::Result<String> {
    let full =
        matches!(commit.len(), 40 | 64) && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !full {
        bail!(
            "give the full commit id, as `git rev-parse` prints it: an abbreviation may come to mean another commit"
        );
    }
    let commit = commit.to_ascii_lowercase();
    let store = open(config, cluster)?;
    store.accept(cluster, &commit).await?;
    wake(config, store, cluster, &Asked::AcceptRewind(commit.clone())).await?;
    Ok(format!(
        "{cluster} follows its branch to {commit} when the branch points there"
    ))
}

fn open(config: &Config, cluster: &ClusterName) -> anyhow::Result<Store> {
    if !config.clusters.iter().any(|known| known.name == *cluster) {
        bail!("the worker's configuration watches no cluster named {cluster}");
    }
    let path = config.state.join(DATABASE);
    if !path.exists() {
        bail!("there is no {}; has the worker ever run?", path.display());
    }
    Store::open(&path).with_context(|| format!("cannot open {}", path.display()))
}

/// With a broker another worker may take the event; so it says what was asked.
async fn wake(
    config: &Config,
    store: Store,
    cluster: &ClusterName,
    asked: &Asked,
) -> anyhow::Result<()> {
    let id = Uuid::new_v4().to_string();
    let event = Event::new(EventKind::Asked, "/cli", cluster, id).with(json!(asked));
    queues::leave(config, store, &event).await
}
