//! What a person says to a worker: try again, or follow a rewound branch. It is written to the worker's
//! database, running or not, and the worker is woken.

use std::time::Duration;

use anyhow::{Context as _, bail};
use uuid::Uuid;
use windlass_core::ids::ClusterName;

use crate::config::Config;
use crate::queue::embedded::EmbeddedQueue;
use crate::queue::{Event, EventKind, EventQueue as _};
use crate::store::Store;

pub(super) const DATABASE: &str = "windlass.db";

/// Lifts the quarantine of all the cluster's bundles.
pub async fn retry(config: &Config, cluster: &ClusterName) -> anyhow::Result<String> {
    let store = open(config, cluster)?;
    let freed = store.lift_quarantine(cluster).await?;
    wake(store, cluster).await?;
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
    wake(store, cluster).await?;
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

async fn wake(store: Store, cluster: &ClusterName) -> anyhow::Result<()> {
    let queue = EmbeddedQueue::new(store, Duration::from_secs(60));
    let event = Event::new(
        EventKind::Asked,
        "/cli",
        cluster,
        Uuid::new_v4().to_string(),
    );
    queue.publish(&event).await?;
    Ok(())
}
