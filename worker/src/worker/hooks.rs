//! Who is woken by which hook, from the configuration.

use std::sync::Arc;

use crate::config::{Config, HookConfig};
use crate::inbound::forges::{Shared, Watch};
use crate::inbound::hook::Hook;
use crate::inbound::server::Hooks;
use crate::inbound::signature::Secrets;
use crate::queue::AnyQueue;

pub(super) fn of(config: &Config, hook: &HookConfig, queue: &AnyQueue) -> Hooks<AnyQueue> {
    let secrets = Secrets::new(hook.secret_files.clone());
    let clusters = config.clusters.iter();
    let watched = clusters
        .clone()
        .map(|c| (c.name.clone(), c.repository.branch.clone()));
    let git = Hook::new(queue.clone(), secrets.clone(), watched.collect());
    let watched = clusters.map(|cluster| Watch {
        cluster: cluster.name.clone(),
        branch: cluster.repository.branch.clone(),
        url: cluster.repository.url.value.clone(),
        project: cluster
            .forge
            .as_ref()
            .map(|forge| forge.project.value.clone()),
    });
    Hooks {
        git: Arc::new(git),
        forges: Arc::new(Shared::new(queue.clone(), secrets, watched.collect())),
    }
}
