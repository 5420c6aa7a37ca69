//! The repository of a cluster in the lab, and the commands people use on it: write a file, commit, push.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use tempfile::TempDir;

use super::authority::Authority;
use super::files::{copy_tree, ignore_missing};
use super::keys::{Keys, private};
use super::worker::Worker;
use crate::broker::{Broker, PASSWORD, USER};
use crate::lab::Lab;

pub const DOMAIN: &str = "example.org";
/// At the lab's own address, so that it is free.
const ANSWERS: u16 = 8402;

/// How long the nodes wait for a new connection before they go back: short, because a lab's network is.
const POLICY: &str = "policy:
  serial: [1]
  min_healthy_time: 1s
  healthy_deadline: 12s
  progress_deadline: 2m
  reconnect_deadline: 8s
";

pub struct Cluster {
    dir: TempDir,
    keys: Keys,
    windlass: PathBuf,
    ssh_key: PathBuf,
    /// Where workers answer an authority's questions, if they are to order certificates.
    answers: Vec<SocketAddr>,
    /// Whom workers ask where names lead: the world's name servers know nothing of the lab, or something else.
    resolver: Option<SocketAddr>,
    /// What opens the repository's secrets, if it has any.
    age_identity: Option<PathBuf>,
}

impl Cluster {
    /// `windlass init`, then the lab's machines, certificates and application in place of the examples. One
    /// commit, pushed to a bare repository.
    pub fn make(lab: &Lab) -> anyhow::Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("windlass-cluster-")
            .tempdir()?;
        let keys = Keys::make(dir.path(), DOMAIN)?;
        let cluster = Self {
            keys,
            windlass: program()?,
            ssh_key: lab.ssh_key(),
            answers: Vec::new(),
            resolver: None,
            age_identity: None,
            dir,
        };
        run(Command::new(&cluster.windlass)
            .arg("init")
            .arg(cluster.checkout()))?;
        cluster.fill_in(lab)?;
        run(Command::new("git")
            .args(["init", "--quiet", "--bare", "--initial-branch=main"])
            .arg(cluster.bare()))?;
        cluster.git(&["init", "--quiet", "--initial-branch=main"])?;
        let bare = cluster.bare().display().to_string();
        cluster.git(&["remote", "add", "origin", &bare])?;
        cluster.git(&["add", "--all"])?;
        cluster.git(&["commit", "--quiet", "--message", "Start the cluster"])?;
        Ok(cluster)
    }

    fn fill_in(&self, lab: &Lab) -> anyhow::Result<()> {
        let network = subnet(&lab.host_ip().to_string());
        let mut nodes: Vec<&str> = lab.nodes().iter().map(crate::lab::Node::name).collect();
        // The hidden primary first, as in the starter repository; `tests/bootstrap.rs` takes it last.
        nodes.sort_by_key(|name| *name != "homelab");
        self.write(
            "cluster.yaml",
            &format!(
                "name: demo\ndomain: {DOMAIN}\nnetworks: {{ public: {network} }}\norder: [{}]\n\
                 edge: {{ role: edge, network: public }}\n{POLICY}",
                nodes.join(", ")
            ),
        )?;
        for folder in [
            "nodes",
            "sites",
            "zones",
            "certificates",
            "components/hello",
        ] {
            fs::remove_dir_all(self.checkout().join(folder)).or_else(ignore_missing)?;
        }
        for node in lab.nodes() {
            let roles = match node.name() {
                "homelab" => "[dns-primary]",
                _ => "[edge, web, dns-secondary]",
            };
            let text = format!(
                "roles: {roles}\naddresses: {{ public: {} }}\n\
                 ssh: {{ network: public, user: root, host_keys: [\"{}\"] }}\n",
                node.ip(),
                node.host_key()
            );
            self.write(&format!("nodes/{}.yaml", node.name()), &text)?;
        }
        self.write(
            "certificates/wildcard.yaml",
            &format!("names: [\"*.{DOMAIN}\", {DOMAIN}]\n"),
        )?;
        self.write_site("www", 8081)?;
        self.write_zone(lab)?;
        copy_tree(&overlay(), &self.checkout())
    }

    /// The zone, served by every VPS.
    fn write_zone(&self, lab: &Lab) -> anyhow::Result<()> {
        let servers: Vec<&crate::lab::Node> = lab
            .nodes()
            .iter()
            .filter(|node| node.name() != "homelab")
            .collect();
        let names: Vec<String> = (1..=servers.len())
            .map(|number| format!("ns{number}"))
            .collect();
        let qualified: Vec<String> = names
            .iter()
            .map(|name| format!("{name}.{DOMAIN}"))
            .collect();
        let mut zone = format!(
            "ttl: 60\ncontact: hostmaster@{DOMAIN}\nprimary: {{ role: dns-primary }}\n\
             secondaries: {{ role: dns-secondary }}\nnameservers: [{}]\nrecords:\n",
            qualified.join(", ")
        );
        for (name, node) in names.iter().zip(servers) {
            _ = writeln!(
                zone,
                "  - {{ name: {name}, type: A, value: {} }}",
                node.ip()
            );
        }
        self.write(&format!("zones/{DOMAIN}.yaml"), &zone)
    }

    /// A site as people write one.
    pub fn write_site(&self, name: &str, port: u16) -> anyhow::Result<()> {
        self.write(
            &format!("sites/{name}.yaml"),
            &format!(
                "hosts: [{name}.{DOMAIN}]\non: {{ role: web }}\nport: {port}\nhealth: {{ path: /health }}\n\
                 tls: {{ certificate: wildcard }}\n"
            ),
        )
    }

    /// A site whose certificate the worker orders.
    pub fn write_ordered_site(&self, name: &str, port: u16) -> anyhow::Result<()> {
        self.write_site(name, port)?;
        let path = format!("sites/{name}.yaml");
        self.replace(&path, "tls: { certificate: wildcard }", "tls: {}")
    }

    /// From now on certificates can be ordered: the repository names the authority, HAProxy sends its questions to the
    /// worker, and whoever trusts `ca` trusts what the authority issues. Before the worker is started.
    pub fn order_from(&mut self, authority: &Authority, lab: &Lab) -> anyhow::Result<()> {
        let answers = SocketAddr::from((lab.host_ip(), ANSWERS));
        self.answers = vec![answers];
        self.resolver = Some(authority.asks());
        self.write("ca/pebble.pem", &fs::read_to_string(authority.own_root())?)?;
        self.append(
            "cluster.yaml",
            &format!(
                "acme:\n  authorities: [{{ name: pebble, directory: \"{}\", root: ca/pebble.pem }}]\n",
                authority.directory()
            ),
        )?;
        self.replace(
            "components/haproxy/component.yaml",
            "acme_server: \"\"",
            &format!("acme_server: \"{answers}\""),
        )?;
        let roots = fs::read_to_string(self.ca())? + &fs::read_to_string(authority.root())?;
        fs::write(self.ca(), roots)?;
        self.commit("Order certificates").map(drop)
    }

    /// There will be a second worker, and HAProxy sends questions to both. After `order_from`.
    pub fn answered_by_two(&mut self) -> anyhow::Result<()> {
        let first = *self.answers.first().context("certificates are ordered")?;
        let second = SocketAddr::new(first.ip(), first.port() + 1);
        self.answers.push(second);
        self.replace(
            "components/haproxy/component.yaml",
            &format!("acme_server: \"{first}\""),
            &format!("acme_server: [\"{first}\", \"{second}\"]"),
        )?;
        self.commit("Ask two workers").map(drop)
    }

    pub(super) fn opened_by(&mut self, identity: PathBuf) {
        self.age_identity = Some(identity);
    }

    pub(super) fn age_identity(&self) -> Option<&Path> {
        self.age_identity.as_deref()
    }

    pub(super) fn resolver(&self) -> Option<SocketAddr> {
        self.resolver
    }

    /// Where each worker answers the authority.
    pub(super) fn answers(&self) -> &[SocketAddr] {
        &self.answers
    }

    pub fn checkout(&self) -> PathBuf {
        self.dir.path().join("cluster")
    }

    pub fn bare(&self) -> PathBuf {
        self.dir.path().join("cluster.git")
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The root certificate that the sites' clients trust.
    pub fn ca(&self) -> &Path {
        &self.keys.ca
    }

    pub fn certificates(&self) -> &Path {
        &self.keys.certificates
    }

    pub fn secrets(&self) -> &Path {
        &self.keys.secrets
    }

    pub fn ssh_key(&self) -> &Path {
        &self.ssh_key
    }

    pub fn write(&self, path: &str, text: &str) -> anyhow::Result<()> {
        let path = self.checkout().join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Replaces a text that must be there once or more.
    pub fn replace(&self, path: &str, from: &str, to: &str) -> anyhow::Result<()> {
        let text =
            fs::read_to_string(self.checkout().join(path)).with_context(|| path.to_owned())?;
        if !text.contains(from) {
            bail!("{path} has no {from:?}");
        }
        self.write(path, &text.replace(from, to))
    }

    pub fn append(&self, path: &str, more: &str) -> anyhow::Result<()> {
        let text =
            fs::read_to_string(self.checkout().join(path)).with_context(|| path.to_owned())?;
        self.write(path, &format!("{text}{more}"))
    }

    pub fn git(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = Command::new("git");
        command.arg("-C").arg(self.checkout()).args([
            "-c",
            "user.name=You",
            "-c",
            "user.email=you@example.org",
        ]);
        run(command.args(arguments))
    }

    /// Commits everything; the commit's id.
    pub fn commit(&self, message: &str) -> anyhow::Result<String> {
        self.git(&["add", "--all"])?;
        self.git(&["commit", "--quiet", "--allow-empty", "--message", message])?;
        self.head()
    }

    pub fn push(&self) -> anyhow::Result<()> {
        self.git(&["push", "--quiet", "origin", "HEAD:main"])
            .map(drop)
    }

    pub fn head(&self) -> anyhow::Result<String> {
        Ok(self.git(&["rev-parse", "HEAD"])?.trim().to_owned())
    }

    /// The program on the checkout, with the keys it needs.
    pub fn windlass(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.windlass);
        command
            .arg("-C")
            .arg(self.checkout())
            .env("WINDLASS_IDENTITY", &self.ssh_key)
            .env("WINDLASS_CERTIFICATES", &self.keys.certificates)
            .env("WINDLASS_SECRETS", &self.keys.secrets)
            .env("WINDLASS_CA_FILE", &self.keys.ca)
            .env("WINDLASS_STATE", self.dir.path().join("cli-state"))
            .args(arguments);
        command
    }

    /// Starts a worker that watches the bare repository.
    pub fn worker(&self) -> anyhow::Result<Worker> {
        Worker::start(self, &self.windlass, "", 0)
    }

    /// The same with a broker as its queue.
    pub fn worker_at(&self, broker: &Broker, vhost: &str) -> anyhow::Result<Worker> {
        self.one_of_several(broker, vhost, 0)
    }

    /// The same for several that share the cluster: each number once.
    pub fn one_of_several(&self, broker: &Broker, vhost: &str, n: usize) -> anyhow::Result<Worker> {
        let password = self.dir().join("broker-password");
        if !password.exists() {
            private(&password, PASSWORD.as_bytes())?;
        }
        let queue = format!(
            "queue: amqp://{USER}@{}/{vhost}\nbroker: {{ password_file: broker-password }}\n",
            broker.node(0).address()
        );
        Worker::start(self, &self.windlass, &queue, n)
    }

    /// Leaves the folder behind, for people who want to look further.
    pub fn keep(mut self) -> PathBuf {
        self.dir.disable_cleanup(true);
        self.dir.path().to_owned()
    }
}

/// The program as it was built beside this one.
pub fn program() -> anyhow::Result<PathBuf> {
    if let Some(path) = std::env::var_os("WINDLASS_BIN") {
        return Ok(path.into());
    }
    let own = std::env::current_exe()?;
    let found = own
        .ancestors()
        .skip(1)
        .take(2)
        .map(|dir| dir.join("windlass"))
        .find(|path| path.is_file());
    found.context("the program windlass is not built: run `cargo build -p windlass` first")
}

fn overlay() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("demo/cluster")
}

fn subnet(ip: &str) -> String {
    let (network, _) = ip.rsplit_once('.').unwrap_or((ip, ""));
    format!("{network}.0/24")
}

/// Runs a command to its end; its standard output, or an error with what it said.
pub(super) fn run(command: &mut Command) -> anyhow::Result<String> {
    let output = command
        .output()
        .with_context(|| format!("cannot start {}", command.get_program().display()))?;
    if !output.status.success() {
        bail!(
            "{command:?} failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
