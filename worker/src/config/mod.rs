//! The worker's own configuration: where the clusters' repositories are, and what must never be in Git.
//! It is read once, at start; a mistake is told with its line before anything begins.

mod check;
mod forge;
mod paths;
mod read;
mod types;

pub use forge::{ForgeConfig, ForgeKind, PreviewsConfig, PreviewsFrom};
pub use paths::CREDENTIALS;
pub use read::{ConfigError, read};
pub use types::{
    AcmeConfig, ApiConfig, BrokerConfig, ClusterConfig, Config, HookConfig, LogConfig, LogFormat,
    RepositoryConfig, SshConfig,
};
