//! Workers at one broker, a real pebble, and HAProxy before the workers, as an edge node has it. There is no node: what is
//! rolled is not looked at here.

use std::fs;
use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::{Value, json};
use windlass_tests::broker::{Broker, PASSWORD, USER};
use windlass_tests::cluster::program;
use windlass_tests::lab::wait_until;
use windlass_tests::port;

use super::gate::Gate;
use super::place::{SOON, said};

const HOST_KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";

/// Where HAProxy listens, behind the gate.
const EDGE: u16 = 8080;

/// Ended with the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // SIGKILL.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

pub struct Place {
    pub gate: Gate,
    pub broker: Broker,
    /// The edge node's, of this test's own.
    address: String,
    /// Where each worker answers.
    pub answers: [u16; 2],
    others: Vec<Process>,
    dir: tempfile::TempDir,
}

impl Place {
    pub fn make() -> Result<Self> {
        let dir = tempfile::tempdir()?;
        // Of no other test's, also in one process.
        static PLACES: AtomicU32 = AtomicU32::new(0);
        let id = std::process::id() * 2 + PLACES.fetch_add(1, Ordering::Relaxed);
        let address = format!(
            "127.{}.{}.{}",
            64 + id % 64,
            id / 64 % 250 + 1,
            id / 16000 % 250 + 1
        );
        let answers = [port::free()?, port::free()?];
        let mut place = Self {
            gate: Gate::before(&address, EDGE)?,
            broker: Broker::start()?,
            address,
            answers,
            others: Vec::new(),
            dir,
        };
        let authority = place.authority()?;
        place.edge()?;
        place.define(authority)?;
        let mut keygen = Command::new("age-keygen");
        said(keygen.arg("-o").arg(place.path("identity")))?;
        Ok(place)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn spawn(&mut self, command: &mut Command, log: &str) -> Result<()> {
        let log = fs::File::create(self.path(log))?;
        let child = command.stdout(log.try_clone()?).stderr(log).spawn();
        let child = child.with_context(|| format!("{command:?}"))?;
        self.others.push(Process(child));
        Ok(())
    }

    /// pebble, for which every name leads to the edge; its port.
    fn authority(&mut self) -> Result<u16> {
        own_certificate(self.dir.path())?;
        let [port, management, dns, dns_management] =
            [port::free()?, port::free()?, port::free()?, port::free()?];
        let config = json!({"pebble": {
            "listenAddress": format!("127.0.0.1:{port}"),
            "managementListenAddress": format!("127.0.0.1:{management}"),
            "certificate": self.path("own.pem"),
            "privateKey": self.path("own.key"),
            "httpPort": 80,
            "tlsPort": 1,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": false,
        }});
        fs::write(self.path("pebble.json"), config.to_string())?;
        let mut names = Command::new("pebble-challtestsrv");
        names.args(["-http01", "", "-https01", "", "-tlsalpn01", ""]);
        names.args(["-defaultIPv4", &self.address, "-defaultIPv6", ""]);
        names.args(["-dns01", &format!("127.0.0.1:{dns}")]);
        names.args(["-management", &format!("127.0.0.1:{dns_management}")]);
        self.spawn(&mut names, "names.log")?;
        let mut pebble = Command::new("pebble");
        pebble.arg("-config").arg(self.path("pebble.json"));
        pebble.args(["-dnsserver", &format!("127.0.0.1:{dns}")]);
        pebble.env("PEBBLE_VA_NOSLEEP", "1");
        pebble.env("PEBBLE_WFE_NONCEREJECT", "0");
        pebble.env("PEBBLE_AUTHZREUSE", "0");
        self.spawn(&mut pebble, "pebble.log")?;
        let up = |port: u16| TcpStream::connect(("127.0.0.1", port)).is_ok();
        wait_until(SOON, || [port, dns_management].into_iter().all(up))?;
        Ok(port)
    }

    /// HAProxy itself: what comes for a challenge comes here through the gate.
    pub fn edge_at(&self) -> Result<SocketAddr> {
        Ok(format!("{}:{EDGE}", self.address).parse()?)
    }

    /// How many orders were placed.
    pub fn orders(&self) -> usize {
        let log = fs::read_to_string(self.path("pebble.log")).unwrap_or_default();
        log.matches("Added order ").count()
    }

    /// HAProxy, with the lines that its component has for two workers.
    fn edge(&mut self) -> Result<()> {
        let template = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../repo-template/components/haproxy/haproxy.cfg.tera");
        let template = fs::read_to_string(template)?;
        let (_, lines) = template
            .split_once("{%- if workers | length > 1 %}")
            .context("what several workers need")?;
        let (lines, _) = lines.split_once("{%- endif %}").context("its end")?;
        let lines = lines.replace("{{ workers | length }}", "2");
        let [one, other] = self.answers;
        let config = format!(
            "defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
frontend http
    bind {}:{EDGE}
    default_backend acme
backend acme{lines}    server acme 127.0.0.1:{one} no-check
    server acme2 127.0.0.1:{other} no-check
",
            self.address
        );
        fs::write(self.path("haproxy.cfg"), config)?;
        let mut haproxy = Command::new("haproxy");
        haproxy.arg("-db").arg("-f").arg(self.path("haproxy.cfg"));
        self.spawn(&mut haproxy, "haproxy.log")?;
        let address = self.edge_at()?;
        wait_until(SOON, || TcpStream::connect(address).is_ok())
    }

    fn define(&self, authority: u16) -> Result<()> {
        let write = |path: &str, text: &str| -> Result<()> {
            let path = self.path("origin").join(path);
            fs::create_dir_all(path.parent().context("a folder")?)?;
            Ok(fs::write(path, text)?)
        };
        write(
            "cluster.yaml",
            &format!(
                "name: example\ndomain: example.org\nnetworks: {{ public: 127.0.0.0/8 }}\norder: [vps1, vps2]\n\
                 edge: {{ role: edge, network: public }}\nacme:\n  authorities: [{{ name: pebble, \
                 directory: \"https://127.0.0.1:{authority}/dir\", root: ca/pebble.pem }}]\n"
            ),
        )?;
        write(
            "ca/pebble.pem",
            &fs::read_to_string(self.path("own-root.pem"))?,
        )?;
        for (node, role, address) in [
            ("vps1", "edge", self.address.as_str()),
            ("vps2", "dns", "127.0.0.9"),
        ] {
            write(
                &format!("nodes/{node}.yaml"),
                &format!(
                    "roles: [{role}]\naddresses: {{ public: {address} }}\n\
                     ssh: {{ network: public, port: 1, host_keys: [\"{HOST_KEY}\"] }}\n"
                ),
            )?;
        }
        write(
            "zones/example.org.yaml",
            "contact: hostmaster@example.org\nprimary: { nodes: [vps1] }\nsecondaries: { nodes: [vps2] }\nnameservers: [vps2.example.org]\n",
        )?;
        for (site, port) in [("blog", 8081), ("shop", 8082)] {
            let hosts = format!("hosts: [{site}.example.org]\non: {{ role: edge }}\n");
            let text = format!("{hosts}port: {port}\ntls: {{}}\n");
            write(&format!("sites/{site}.yaml"), &text)?;
        }
        for args in [
            &["init", "-q", "-b", "main"][..],
            &["add", "--all"],
            &["commit", "-q", "-m", "two sites"],
        ] {
            let mut git = Command::new("git");
            git.args(["-c", "user.name=t", "-c", "user.email=t@example.org"]);
            git.args(["-c", "commit.gpgsign=false"]).args(args);
            said(git.current_dir(self.path("origin")))?;
        }
        Ok(())
    }

    pub fn worker(&self, n: usize) -> Result<Worker> {
        let dir = self.path(&format!("worker-{n}"));
        fs::create_dir_all(&dir)?;
        fs::write(dir.join("password"), PASSWORD)?;
        let config = format!(
            "state: state
acme: {{ listen: \"127.0.0.1:{}\" }}
age_identities: [{}]
sweep: 1h
queue: amqp://{USER}@{}/v0
broker: {{ password_file: password }}
log: {{ filter: \"info,windlass::acme=debug\" }}
clusters: [{{ name: example, poll: 1h, repository: {{ url: {} }} }}]
",
            self.answers[n],
            self.path("identity").display(),
            self.broker.node(0).address(),
            self.path("origin").display()
        );
        fs::write(dir.join("worker.yaml"), config)?;
        let mut worker = Worker { dir, process: None };
        worker.run()?;
        Ok(worker)
    }
}

pub struct Worker {
    pub dir: PathBuf,
    process: Option<Process>,
}

impl Worker {
    pub fn run(&mut self) -> Result<()> {
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.dir.join("log"))?;
        let before = self.log().matches("the worker is ready").count();
        let mut command = Command::new(program()?);
        command.args(["worker", "--config"]);
        command.arg(self.dir.join("worker.yaml"));
        let child = command.stdin(Stdio::null()).stderr(log).spawn()?;
        self.process = Some(Process(child));
        let ready = || self.log().matches("the worker is ready").count() > before;
        wait_until(SOON, ready).with_context(|| self.log())
    }

    pub fn kill(&mut self) {
        self.process = None;
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }

    pub fn cert(&self, args: &[&str]) -> Result<String> {
        let mut command = Command::new(program()?);
        command.arg("cert").args(args);
        said(command.arg("--config").arg(self.dir.join("worker.yaml")))
    }

    /// Of what this worker would roll.
    pub fn serial(&self, certificate: &str) -> Option<String> {
        let shown = self.cert(&["show", certificate, "--no-probe", "--format", "json"]);
        let shown: Value = serde_json::from_str(&shown.ok()?).ok()?;
        Some(shown["in_use"]["serial"].as_str()?.to_owned())
    }

    /// The steps of orders that it has carried out: when, of which certificate, and which.
    pub fn steps(&self) -> Vec<(String, String, String)> {
        let log = self.log();
        let steps = log.lines().filter_map(|line| {
            let (before, what) = line.split_once(" done certificate=")?;
            let (certificate, step) = what.split_once(" step=")?;
            let time = before.split(' ').next()?;
            Some((
                time.to_owned(),
                certificate.to_owned(),
                step.trim().to_owned(),
            ))
        });
        steps.collect()
    }

    pub fn has_done(&self, certificate: &str, step: &str) -> usize {
        let steps = self.steps();
        let same = steps
            .iter()
            .filter(|(_, own, did)| own == certificate && did == step);
        same.count()
    }
}

/// Debian's pebble comes without one.
fn own_certificate(dir: &Path) -> Result<()> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let names = vec!["127.0.0.1".to_owned()];
    let own = CertificateParams::new(names)?.signed_by(&key, &root)?;
    for (name, text) in [
        ("own-root.pem", root.pem()),
        ("own.pem", own.pem()),
        ("own.key", key.serialize_pem()),
    ] {
        fs::File::create(dir.join(name))?.write_all(text.as_bytes())?;
    }
    Ok(())
}
