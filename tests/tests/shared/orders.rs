//! Two workers at one broker, a real pebble, and HAProxy before the workers, as an edge node has it: certificates are ordered once,
//! whichever worker is killed in the middle of it. There is no node: what is rolled is not looked at here.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::{Value, json};
use windlass_tests::broker::{Broker, PASSWORD, USER};
use windlass_tests::cluster::program;
use windlass_tests::lab::wait_until;

use super::place::{SOON, said};

const HOST_KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";

/// Ended with the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // SIGKILL.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

struct Place {
    dir: tempfile::TempDir,
    broker: Broker,
    /// The edge node's, of this test's own.
    address: String,
    answers: [u16; 2],
    _others: Vec<Process>,
}

fn free() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

impl Place {
    fn make() -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let id = std::process::id();
        let address = format!(
            "127.{}.{}.{}",
            64 + id % 64,
            id / 64 % 250 + 1,
            id / 16000 % 250 + 1
        );
        let answers = [free()?, free()?];
        let mut place = Self {
            broker: Broker::start()?,
            dir,
            address,
            answers,
            _others: Vec::new(),
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
        self._others.push(Process(child));
        Ok(())
    }

    /// pebble, for which every name leads to the edge; its port.
    fn authority(&mut self) -> Result<u16> {
        own_certificate(self.dir.path())?;
        let [port, management, dns, dns_management] = [free()?, free()?, free()?, free()?];
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

    /// How many orders were placed.
    fn orders(&self) -> usize {
        let log = fs::read_to_string(self.path("pebble.log")).unwrap_or_default();
        log.matches("Added order ").count()
    }

    /// HAProxy as the component `haproxy` has it for two workers.
    fn edge(&mut self) -> Result<()> {
        let [one, other] = self.answers;
        let config = format!(
            "defaults
    mode http
    timeout connect 2s
    timeout client 30s
    timeout server 5s
frontend http
    bind {}:80
    default_backend acme
backend acme
    balance roundrobin
    option redispatch 1
    retries 2
    retry-on 404 conn-failure empty-response response-timeout
    server acme 127.0.0.1:{one} no-check
    server acme2 127.0.0.1:{other} no-check
",
            self.address
        );
        fs::write(self.path("haproxy.cfg"), config)?;
        let mut haproxy = Command::new("haproxy");
        haproxy.arg("-db").arg("-f").arg(self.path("haproxy.cfg"));
        self.spawn(&mut haproxy, "haproxy.log")?;
        let address: SocketAddr = format!("{}:80", self.address).parse()?;
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
        write(
            "sites/blog.yaml",
            "hosts: [blog.example.org]\non: { role: edge }\nport: 8081\ntls: {}\n",
        )?;
        for args in [
            &["init", "-q", "-b", "main"][..],
            &["add", "--all"],
            &["commit", "-q", "-m", "a site"],
        ] {
            let mut git = Command::new("git");
            git.args(["-c", "user.name=t", "-c", "user.email=t@example.org"]);
            git.args(["-c", "commit.gpgsign=false"]).args(args);
            said(git.current_dir(self.path("origin")))?;
        }
        Ok(())
    }

    fn worker(&self, n: usize) -> Result<Worker> {
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

struct Worker {
    dir: PathBuf,
    process: Option<Process>,
}

impl Worker {
    fn run(&mut self) -> Result<()> {
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

    fn kill(&mut self) {
        self.process = None;
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }

    /// It has placed an order, and the others can know that.
    fn has_placed(&self) -> bool {
        self.log().contains("step=Publish")
    }

    fn cert(&self, args: &[&str]) -> Result<String> {
        let mut command = Command::new(program()?);
        command.arg("cert").args(args);
        said(command.arg("--config").arg(self.dir.join("worker.yaml")))
    }

    fn shown(&self) -> Option<Value> {
        let shown = self.cert(&["show", "blog", "--no-probe", "--format", "json"]);
        serde_json::from_str(&shown.ok()?).ok()
    }

    fn serial(&self) -> Option<String> {
        let shown = self.shown()?;
        Some(shown["in_use"]["serial"].as_str()?.to_owned())
    }

    /// The authority has asked while nobody was there to answer.
    fn was_not_proven(&self) -> bool {
        let shown = self.shown();
        shown.is_some_and(|shown| shown["failure"]["failure"]["kind"] == "unproven")
    }
}

#[test]
#[ignore = "lab: needs root"]
fn an_order_is_placed_once_whichever_worker_dies_in_it() -> Result<()> {
    let place = Place::make()?;
    let mut workers = [place.worker(0)?, place.worker(1)?];
    let everything = |workers: &[Worker]| workers.iter().map(Worker::log).collect::<String>();
    // Both say that something is due; one of them orders, and dies in the middle of it.
    wait_until(SOON, || workers.iter().any(Worker::has_placed))
        .with_context(|| everything(&workers))?;
    let ordering = workers
        .iter()
        .position(Worker::has_placed)
        .context("nobody")?;
    workers[ordering].kill();
    let other = &workers[1 - ordering];
    wait_until(SOON, || other.serial().is_some() || other.was_not_proven())
        .with_context(|| everything(&workers))?;
    let log = other.log();
    ensure!(!log.contains("step=Place"), "the same order: {log}");
    ensure!(!log.contains("step=MakeKey"), "with the same key: {log}");
    ensure!(place.orders() == 1, "{} orders", place.orders());
    let mut orders = 1;
    if other.serial().is_none() {
        // Such an order is over; that is known to the other one, and it waits.
        other.cert(&["renew", "blog", "--force"])?;
        wait_until(SOON, || other.serial().is_some()).with_context(|| everything(&workers))?;
        orders = 2;
    }
    let first = other.serial().context("there it is")?;

    // The one that died has it too, and a command at either has it renewed once.
    workers[ordering].run()?;
    wait_until(SOON, || workers[ordering].serial().as_ref() == Some(&first))
        .with_context(|| everything(&workers))?;
    workers[ordering].cert(&["renew", "blog"])?;
    let renewed = |worker: &Worker| worker.serial().is_some_and(|serial| serial != first);
    for worker in &workers {
        wait_until(SOON, || renewed(worker)).with_context(|| everything(&workers))?;
    }
    ensure!(workers[0].serial() == workers[1].serial());
    ensure!(place.orders() == orders + 1, "{} orders", place.orders());
    for worker in &workers {
        ensure!(!worker.log().contains("panicked"), "{}", worker.log());
        no_key_in(&worker.dir)?;
    }
    Ok(())
}

/// Neither among the files of a worker's state nor in its log.
fn no_key_in(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            no_key_in(&path)?;
            continue;
        }
        let mut bytes = Vec::new();
        fs::File::open(&path)?.read_to_end(&mut bytes)?;
        let words = b"PRIVATE KEY";
        let found = bytes.windows(words.len()).any(|own| own == words);
        ensure!(!found, "a key lies in {}", path.display());
    }
    Ok(())
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
