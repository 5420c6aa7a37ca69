//! Who is woken by which hook, and who may change something over the API, from the configuration.

use std::sync::Arc;

use crate::config::{Config, HookConfig};
use crate::inbound::commands::Commands;
use crate::inbound::forges::{Shared, Watch};
use crate::inbound::hook::Hook;
use crate::inbound::server::Hooks;
use crate::inbound::signature::Secrets;
use crate::queue::AnyQueue;
use crate::web::api::Api;

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

pub(super) fn commands(config: &Config, api: &Api<AnyQueue>) -> Arc<Commands<AnyQueue>> {
    let file = config.api.as_ref().map(|api| api.value.token_file.clone());
    let token = file.map(|file| Secrets::new(vec![file]));
    Arc::new(Commands::new(
        api.queue.clone(),
        api.clusters.clone(),
        token,
    ))
}
