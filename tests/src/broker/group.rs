//! A broker: one node, or several that form a cluster.

use std::fmt::Write as _;
use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::certificates::Certificates;
use super::node::{BrokerNode, MARK};
use super::slot::Slot;
use super::version::{Programs, Version};
use crate::lab::wait_until;

/// May do everything in every vhost; also the common name of the clients' certificate.
pub const USER: &str = "windlass";
pub const PASSWORD: &str = "correct horse";
/// Besides `/` there are `v0`, `v1` … for tests that need a fresh place each.
pub const VHOSTS: usize = 16;
const NAME_SERVER: Duration = Duration::from_secs(20);

/// Dropping it removes it without a trace.
pub struct Broker {
    nodes: Vec<BrokerNode>,
    certificates: Certificates,
    slot: Slot,
}

impl Broker {
    /// One node of the RabbitMQ that this machine has.
    pub fn start() -> Result<Self> {
        Self::of(Version::V3, 1)
    }

    /// Nodes that know each other; queues are replicated.
    pub fn cluster_of(size: u16) -> Result<Self> {
        Self::of(Version::V3, size)
    }

    pub fn of(version: Version, size: u16) -> Result<Self> {
        let broker = Self::prepared(version, size)?;
        for node in &broker.nodes {
            fs::write(node.dir.join("rabbitmq.conf"), broker.configuration(node))?;
        }
        broker.launch()
    }

    /// RabbitMQ 4 as `docker/compose.yaml` runs it: with this configuration beside the image's own, and secrets where
    /// compose puts them.
    pub fn composed(configuration: &str, secrets: &[(&str, &str)]) -> Result<Self> {
        let mut broker = Self::prepared(Version::V4, 1)?;
        let dir = broker.slot.dir().join("secrets");
        fs::create_dir(&dir)?;
        for (name, secret) in secrets {
            fs::write(dir.join(name), secret)?;
        }
        for node in &mut broker.nodes {
            let listener = format!("listeners.tcp.1 = 127.0.0.1:{}\n", node.port);
            fs::write(node.dir.join("rabbitmq.conf"), listener)?;
            fs::write(node.dir.join("conf.d/50-windlass.conf"), configuration)?;
            node.shown.push((dir.clone(), "/run/secrets"));
        }
        broker.launch()
    }

    fn prepared(version: Version, size: u16) -> Result<Self> {
        let programs = Arc::new(Programs::of(version)?);
        let slot = Slot::take()?;
        let dir = slot.dir();
        let certificates = Certificates::make(dir, USER)?;
        let cookie = dir.join(".erlang.cookie");
        fs::write(&cookie, format!("windlass{}", slot.port(0)))?;
        fs::set_permissions(&cookie, fs::Permissions::from_mode(0o400))?;
        fs::write(dir.join("definitions.json"), definitions().to_string())?;
        let nodes: Vec<_> = (0..size).map(|n| node(&slot, n, &programs)).collect();
        let broker = Self {
            nodes,
            certificates,
            slot,
        };
        for node in &broker.nodes {
            fs::create_dir_all(node.dir.join("log"))?;
            fs::create_dir(node.dir.join("conf.d"))?;
            fs::write(node.dir.join("plugins"), "[rabbitmq_auth_mechanism_ssl].\n")?;
            fs::write(node.dir.join("advanced.config"), "[].\n")?;
        }
        Ok(broker)
    }

    fn launch(self) -> Result<Self> {
        self.name_server()?;
        // The first one has all vhosts before the others join: one that is added while they start may stay down on them.
        let (first, others) = self.nodes.split_at(1);
        for together in [first, others] {
            together.iter().try_for_each(BrokerNode::launch)?;
            together.iter().try_for_each(BrokerNode::ready)?;
        }
        Ok(self)
    }

    pub fn node(&self, n: usize) -> &BrokerNode {
        &self.nodes[n]
    }

    pub fn nodes(&self) -> &[BrokerNode] {
        &self.nodes
    }

    /// Where everything of it is.
    pub fn dir(&self) -> &Path {
        self.slot.dir()
    }

    pub fn certificates(&self) -> &Certificates {
        &self.certificates
    }

    /// Lets it outlive us, for people who want to look further; it goes when this process is ended.
    pub fn leave_running(mut self) -> Result<u32> {
        self.slot.leave_running()
    }

    /// Where the first node listens, with user and password.
    pub fn url(&self, vhost: &str) -> String {
        self.url_at(self.node(0).port, vhost)
    }

    /// The same for another port: of another node, or of a proxy.
    pub fn url_at(&self, port: u16, vhost: &str) -> String {
        format!(
            "amqp://{USER}:{}@127.0.0.1:{port}/{}",
            escaped(PASSWORD),
            escaped(vhost)
        )
    }

    /// With TLS, for which the client shows its certificate; without user and password.
    pub fn tls_url(&self, vhost: &str) -> String {
        format!(
            "amqps://localhost:{}/{}",
            self.node(0).tls_port,
            escaped(vhost)
        )
    }

    /// The node that leads this queue at present.
    pub fn leader(&self, vhost: &str, queue: &str) -> Result<Option<&BrokerNode>> {
        let ask = |node: &BrokerNode| {
            node.ctl(&[
                "list_queues",
                "--vhost",
                vhost,
                "--no-table-headers",
                "name",
                "leader",
            ])
        };
        let running = self.nodes.iter().find(|node| node.answers());
        let listed = ask(running.context("no node runs")?)?;
        let leader = listed.lines().find_map(|line| {
            let (name, leader) = line.split_once('\t')?;
            (name == queue).then_some(leader.trim())
        });
        Ok(leader.and_then(|leader| self.nodes.iter().find(|node| node.name == leader)))
    }

    fn configuration(&self, node: &BrokerNode) -> String {
        let Certificates {
            authority,
            server,
            server_key,
            ..
        } = &self.certificates;
        let mut text = format!(
            "listeners.tcp.1 = 127.0.0.1:{}
listeners.ssl.1 = 127.0.0.1:{}
ssl_options.cacertfile = {}
ssl_options.certfile = {}
ssl_options.keyfile = {}
ssl_options.verify = verify_peer
ssl_options.fail_if_no_peer_cert = true
auth_mechanisms.1 = PLAIN
auth_mechanisms.2 = EXTERNAL
ssl_cert_login_from = common_name
disk_free_limit.absolute = 1MB
cluster_partition_handling = pause_minority
",
            node.port,
            node.tls_port,
            authority.display(),
            server.display(),
            server_key.display(),
        );
        // Nodes that all add the same vhosts at once can wait for each other for minutes.
        if node.name == self.nodes[0].name {
            let definitions = self.slot.dir().join("definitions.json");
            // Writing to a String cannot fail.
            let _ = writeln!(text, "load_definitions = {}", definitions.display());
        }
        if self.nodes.len() > 1 {
            text += "cluster_formation.peer_discovery_backend = classic_config\n";
            for (n, node) in (1..).zip(&self.nodes) {
                let key = "cluster_formation.classic_config.nodes";
                let _ = writeln!(text, "{key}.{n} = {}", node.name);
            }
        }
        text
    }

    /// Erlang's name server. A node would start one by itself, and take it with it when it is killed.
    fn name_server(&self) -> Result<()> {
        let port = self.nodes[0].epmd_port;
        let mut epmd = Command::new("epmd");
        epmd.args([
            "-daemon",
            "-address",
            "127.0.0.1",
            "-port",
            &port.to_string(),
        ])
        .env(MARK, self.slot.dir())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
        let started = epmd.status().context("cannot start epmd")?;
        ensure!(started.success(), "epmd: {started}");
        wait_until(NAME_SERVER, || {
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        })
        .context("epmd does not listen")
    }
}

fn node(slot: &Slot, n: u16, programs: &Arc<Programs>) -> BrokerNode {
    BrokerNode {
        name: format!("windlass-{}@localhost", slot.port(n)),
        dir: slot.dir().join(format!("node{n}")),
        mark: slot.dir().to_owned(),
        port: slot.port(n),
        tls_port: slot.port(5 + n),
        dist_port: slot.port(10 + n),
        epmd_port: slot.port(19),
        programs: Arc::clone(programs),
        shown: Vec::new(),
        process: Mutex::new(None),
    }
}

fn definitions() -> serde_json::Value {
    let vhosts: Vec<String> = std::iter::once("/".to_owned())
        .chain((0..VHOSTS).map(|n| format!("v{n}")))
        .collect();
    let all = |vhost: &String| json!({"user": USER, "vhost": vhost, "configure": ".*", "write": ".*", "read": ".*"});
    json!({
        "users": [{"name": USER, "password": PASSWORD, "tags": ["administrator"]}],
        "vhosts": vhosts.iter().map(|name| json!({"name": name})).collect::<Vec<_>>(),
        "permissions": vhosts.iter().map(all).collect::<Vec<_>>(),
    })
}

fn escaped(text: &str) -> String {
    text.replace('%', "%25")
        .replace('/', "%2f")
        .replace(' ', "%20")
}
