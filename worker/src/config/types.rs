//! The keys of `worker.yaml`.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;
use windlass_core::ids::ClusterName;
use windlass_core::model::scalars::Seconds;
use windlass_core::yaml::At;

use super::ForgeConfig;

/// Configuration of `windlass worker`. Paths may begin with `$CREDENTIALS_DIRECTORY/`; relative ones are taken
/// from the folder of this file.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the worker keeps its database and the mirrors.
    #[serde(default = "default_state")]
    pub state: PathBuf,
    /// Where hooks, API and metrics are served; absent: nowhere. Put a TLS proxy before it if it must be reached
    /// from elsewhere.
    #[schemars(with = "Option<String>")]
    pub listen: Option<At<SocketAddr>>,
    /// Where people reach `listen` with their browsers: `https://windlass.example.org`. Comments on requests then link to the
    /// full preview; absent: they do not.
    pub public_url: Option<At<String>>,
    pub hook: Option<At<HookConfig>>,
    /// Who may change something over the API; absent: nobody, it only reads.
    pub api: Option<At<ApiConfig>>,
    #[serde(default)]
    pub ssh: SshConfig,
    /// Folder with `<name>.pem` (chain and key) for each certificate that the definitions name.
    pub certificates: Option<PathBuf>,
    /// Folder with one file for each secret that templates name.
    pub secrets: Option<PathBuf>,
    /// Files with identities of age: who the worker is among the recipients of the repository's encrypted secrets.
    #[serde(default)]
    pub age_identities: Vec<PathBuf>,
    /// Certificates are ordered as the clusters' `acme` says; absent: they are given as files alone.
    pub acme: Option<At<AcmeConfig>>,
    /// PEM file with further authorities that https and tls gates trust.
    pub ca_file: Option<PathBuf>,
    /// `embedded`: the worker's own durable queue. `amqp://user@host:port/vhost` or `amqps://…`: RabbitMQ, through
    /// which several workers share their clusters' work; without a password in it.
    #[serde(default = "default_queue")]
    pub queue: At<String>,
    #[serde(default)]
    pub broker: BrokerConfig,
    /// How often the nodes are compared with the newest commit even if nothing was pushed.
    #[serde(default = "default_sweep")]
    pub sweep: Seconds,
    #[serde(default)]
    pub log: LogConfig,
    pub clusters: Vec<At<ClusterConfig>>,
}

/// Who may wake the worker by `POST /hooks/git`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HookConfig {
    /// Files that hold the shared secret; two while it is being replaced.
    pub secret_files: Vec<PathBuf>,
}

/// Who may wake clusters and answer dead events over the API.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApiConfig {
    /// File with the token that requests show as `Authorization: Bearer …`: 16 characters at least.
    pub token_file: PathBuf,
}

/// How the worker logs in to the broker that `queue` names. The files are read anew for every connection.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BrokerConfig {
    /// Further nodes of the same broker, `host` or `host:port`: tried in turn when the one in the URL is away.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// File with the password of the user in the URL.
    pub password_file: Option<PathBuf>,
    /// PEM file with further authorities that the broker's certificate may come from.
    pub ca_file: Option<PathBuf>,
    /// PEM file with the worker's own certificate: chain and key.
    pub certificate_file: Option<PathBuf>,
}

/// What the worker needs of its machine to order certificates.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AcmeConfig {
    /// A second address, which serves answers to authorities and nothing else: the edge nodes send the questions here.
    /// Absent: they are answered at `listen` alone.
    #[schemars(with = "Option<String>")]
    pub listen: Option<At<SocketAddr>>,
    /// Recursive name servers that tell where names lead before an authority is asked to look: `9.9.9.9`,
    /// `192.0.2.1:5300`, `[2620:fe::9]:53`. They are asked in this order. Absent: those that this machine asks, which is
    /// wrong where its own network is answered otherwise than the world.
    pub resolvers: Vec<At<ResolverAddress>>,
}

/// A name server; without a port it is 53.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String")]
pub struct ResolverAddress(pub SocketAddr);

impl TryFrom<String> for ResolverAddress {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let alone = text.parse::<IpAddr>();
        let at = alone
            .map(|address| SocketAddr::new(address, 53))
            .or_else(|_| text.parse());
        at.map(Self)
            .map_err(|_| "write `9.9.9.9`, `192.0.2.1:5300` or `[2620:fe::9]:53`".to_owned())
    }
}

/// How the worker reaches the nodes.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SshConfig {
    /// Private key for the nodes; absent: ssh's own defaults and agent.
    pub identity_file: Option<PathBuf>,
}

/// What is written to standard error.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LogConfig {
    #[serde(default)]
    pub format: LogFormat,
    /// A filter of the tracing crate: `info`, `debug`, `windlass::git=trace`.
    pub filter: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

/// One watched cluster.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClusterConfig {
    /// As in the repository's `cluster.yaml`.
    pub name: ClusterName,
    pub repository: RepositoryConfig,
    /// How often the branch is looked at; a hook makes it faster.
    #[serde(default = "default_poll")]
    pub poll: Seconds,
    /// The Git server's own interface; absent: requests are not looked at.
    pub forge: Option<ForgeConfig>,
}

/// Where a cluster's definitions are.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RepositoryConfig {
    /// `https://…`, `ssh://…`, `user@host:path` or an absolute path; without a password in it.
    pub url: At<String>,
    #[serde(default = "default_branch")]
    pub branch: String,
    /// The folder with `cluster.yaml`, where it is not the repository's root.
    #[serde(default)]
    pub path: String,
    /// User name that goes with the token; most forges take any.
    #[serde(default = "default_user")]
    pub user: String,
    /// File with an access token, for https.
    pub token_file: Option<PathBuf>,
    /// PEM file with the authority that the Git server's certificate must come from; absent: the machine's roots.
    pub ca_file: Option<PathBuf>,
    /// File of those who may sign commits, as ssh-keygen's ALLOWED SIGNERS; absent: signatures are not looked at.
    pub signed_by: Option<PathBuf>,
    /// File with a private deploy key, for ssh.
    pub key_file: Option<PathBuf>,
    /// The Git server's host keys as `ssh-keyscan` prints them, without the host name: `ssh-ed25519 AAAA…`.
    #[serde(default)]
    pub host_keys: Vec<String>,
}

fn default_state() -> PathBuf {
    PathBuf::from("/var/lib/windlass-worker")
}

fn default_queue() -> At<String> {
    At::nowhere("embedded".to_owned())
}

fn default_sweep() -> Seconds {
    Seconds::new(600)
}

fn default_poll() -> Seconds {
    Seconds::new(60)
}

fn default_branch() -> String {
    "main".to_owned()
}

fn default_user() -> String {
    "git".to_owned()
}
