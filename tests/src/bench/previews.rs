//! How long a pull request waits for its comment: from the webhook of a one-line change among many sites until the
//! verdict stands at the forge. Beside it, in the same minutes, what the real programs alone take for that tree:
//! `haproxy -c` and `named-checkconf -z`, once for each node and all at once.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use windlass_core::release::SERIAL_TOKEN;

use super::numbers::{Spread, millis, shown};
use super::workspace::succeed;
use crate::cluster::{Cluster, DOMAIN};
use crate::forge::{Fake, Flavour, SECRET, Word};
use crate::lab::{Lab, LabSpec, wait_until};
use crate::port;

const SITES: u16 = 500;
const NODES: [&str; 3] = ["vps1", "vps2", "vps3"];
const FIRST_PORT: u16 = 10_000;
/// For the first roll, whose gates ask for every site at every node.
const PATIENCE: Duration = Duration::from_secs(300);
const LOOK_EVERY: Duration = Duration::from_millis(2);

#[derive(Debug, Serialize)]
pub struct Previews {
    pub sites: u16,
    pub nodes: usize,
    pub posted: Spread,
    pub programs: Spread,
    /// Webhook to comment, to the programs alone.
    pub ratio: f64,
}

pub fn previews(windlass: &Path, rounds: usize, logs: &Path) -> Result<Previews> {
    let lab = Lab::boot(&LabSpec::only(&NODES))?;
    let cluster = repository(&lab)?;
    let forge = Fake::start(Flavour::GitHub);
    succeed(
        Command::new("cp")
            .args(["--recursive", "--no-target-directory"])
            .arg(cluster.checkout())
            .arg(forge.work().join("new")),
    )?;
    succeed(
        Command::new("bash")
            .args(["-ec", TAKE, "take"])
            .arg(forge.work()),
    )?;
    forge.push_main(&[]);
    let worker = Worker::start(windlass, &cluster, &forge, &logs.join("previews.log"))?;
    let tree = Tree::render(&cluster)?;

    // The first one is not counted: the worker fills its caches.
    post(&forge, &worker, 1)?;
    let (mut posted, mut programs) = (Vec::new(), Vec::new());
    for number in 2.. {
        if posted.len() == rounds {
            break;
        }
        posted.push(post(&forge, &worker, number)?);
        programs.push(tree.check()?);
        let last = |times: &[f64]| shown(times.last().copied().unwrap_or_default());
        let (comment, alone) = (last(&posted), last(&programs));
        eprintln!(
            "bench: preview {}: {comment}; the programs alone: {alone}",
            posted.len()
        );
    }
    let posted = Spread::of(&posted).context("no rounds")?;
    let programs = Spread::of(&programs).context("no rounds")?;
    Ok(Previews {
        sites: SITES,
        nodes: NODES.len(),
        ratio: posted.median / programs.median,
        posted,
        programs,
    })
}

/// The cluster's files in place of what stands in the forge's clone.
const TAKE: &str = r#"
cd "$1"
rm -rf new/.git
cp --recursive new/. .
rm -rf new
"#;

/// The starter repository with many sites, served on each node by one small server for all of them.
fn repository(lab: &Lab) -> Result<Cluster> {
    let cluster = Cluster::make(lab)?;
    cluster.replace("nodes/vps1.yaml", "dns-secondary", "dns-primary")?;
    // Three nodes that ask 500 applications every two seconds would be the load of three machines on this one.
    let haproxy = "components/haproxy/component.yaml";
    cluster.replace(haproxy, "check_interval: 2s", "check_interval: 10m")?;
    for folder in ["sites", "components/hello"] {
        fs::remove_dir_all(cluster.checkout().join(folder))?;
    }
    for index in 0..SITES {
        let (path, text) = site(index, FIRST_PORT + index);
        cluster.write(&path, &text)?;
    }
    cluster.write("components/hello/component.yaml", &application())?;
    Ok(cluster)
}

fn application() -> String {
    let last = FIRST_PORT + 2 * SITES;
    format!(
        "name: hello\ndescription: Answers for every site.\non: {{ role: web }}\nafter: [base, firewall]\n\
         packages: [haproxy]\nunits: [hello]\nfiles:\n  - path: /etc/hello.cfg\n    content: |\n      \
         defaults\n          mode http\n          timeout connect 5s\n          timeout client 30s\n          timeout server 30s\n      \
         frontend hello\n          bind :{FIRST_PORT}-{last}\n          http-request return status 200 content-type text/plain string hello\n  \
         - path: /etc/systemd/system/hello.service\n    content: |\n      [Service]\n      ExecStart=/usr/sbin/haproxy -db -f /etc/hello.cfg\n      \
         LimitNOFILE=65536\n\napply:\n  - {{ when: [/etc/hello.cfg, /etc/systemd/system/hello.service], run: \"systemctl daemon-reload && systemctl restart hello\" }}\n"
    )
}

/// Every second one with TLS.
fn site(index: u16, port: u16) -> (String, String) {
    let tls = if index.is_multiple_of(2) {
        "tls: { certificate: wildcard }\n"
    } else {
        ""
    };
    let text = format!(
        "hosts: [site-{index:04}.{DOMAIN}]\non: {{ role: web }}\nport: {port}\nhealth: {{ path: /health }}\n{tls}"
    );
    (format!("sites/site-{index:04}.yaml"), text)
}

/// Opens a request with one changed line; milliseconds from its webhook to the verdict at the forge.
fn post(forge: &Fake, worker: &Worker, number: u16) -> Result<f64> {
    let (path, text) = site(number, FIRST_PORT + SITES + number);
    let request = u64::from(number);
    let head = forge.open(request, "alice", &[(&path, &text)]);
    let began = Instant::now();
    let answer = forge.deliver(
        worker.port,
        &format!("bench-{number}"),
        Word::Opened(request),
    );
    ensure!(answer == 202, "the webhook was answered with {answer}");
    loop {
        let told = {
            let state = forge.state();
            let own = state.own(request);
            let comment = own
                .iter()
                .any(|it| it.body.contains("would change 3 of 3 nodes"));
            let status = state.status(&head);
            comment && status.is_some_and(|status| status.state == "success")
        };
        if told {
            return Ok(millis(began.elapsed()));
        }
        if began.elapsed() > PATIENCE {
            let said: Vec<String> = forge
                .state()
                .own(request)
                .iter()
                .map(|it| it.body.clone())
                .collect();
            anyhow::bail!("no verdict on request {number}: {said:?}\n{}", worker.log());
        }
        sleep(LOOK_EVERY);
    }
}

struct Worker {
    process: Child,
    port: u16,
    log: PathBuf,
}

impl Worker {
    /// On the forge's repository, with everything rolled out.
    fn start(windlass: &Path, cluster: &Cluster, forge: &Fake, log: &Path) -> Result<Self> {
        let port = port::free()?;
        fs::write(cluster.dir().join("hook"), SECRET)?;
        let (address, token, ca) = (forge.address(), forge.token_file(), forge.ca_file());
        let (token, ca) = (token.display(), ca.display());
        let text = format!(
            "state: state\nlisten: 127.0.0.1:{port}\npublic_url: http://127.0.0.1:{port}\nhook: {{ secret_files: [hook] }}\n\
             ssh: {{ identity_file: {key} }}\ncertificates: {certificates}\nsecrets: {secrets}\nca_file: {roots}\nsweep: 1h\nclusters:\n  \
             - name: demo\n    poll: 1h\n    repository: {{ url: {address}/ops/cluster.git, token_file: {token}, ca_file: {ca} }}\n    \
             forge: {{ kind: github, url: '{address}', project: ops/cluster, token_file: {token}, ca_file: {ca}, poll: 1h }}\n",
            key = cluster.ssh_key().display(),
            certificates = cluster.certificates().display(),
            secrets = cluster.secrets().display(),
            roots = cluster.ca().display(),
        );
        let config = cluster.dir().join("worker.yaml");
        fs::write(&config, text)?;
        let output = File::create(log)?;
        let process = Command::new(windlass)
            .args(["worker", "--config"])
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .context("cannot start the worker")?;
        let worker = Self {
            process,
            port,
            log: log.to_owned(),
        };
        wait_until(PATIENCE, || worker.told().contains("\"outcome\""))
            .with_context(|| format!("nothing was rolled\n{}", worker.log()))?;
        ensure!(
            worker.told().contains("\"rolled-out\""),
            "{}",
            worker.told()
        );
        Ok(worker)
    }

    fn told(&self) -> String {
        let url = format!("http://127.0.0.1:{}/api/v1/rolls", self.port);
        let answer = Command::new("curl").args(["--silent", &url]).output();
        answer.map_or_else(
            |_| String::new(),
            |it| String::from_utf8_lossy(&it.stdout).into_owned(),
        )
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

/// What the nodes would hold, for the real programs alone.
struct Tree {
    dir: tempfile::TempDir,
}

impl Tree {
    fn render(cluster: &Cluster) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let out = dir.path().join("nodes");
        let out = out.to_str().context("a path in UTF-8")?;
        succeed(&mut cluster.windlass(&["render", "--with-secrets", "--out", out]))?;
        let bind =
            format!("find {out} -name '*.db' -exec sed -i s/{SERIAL_TOKEN}/2026010100/ {{}} +");
        succeed(Command::new("bash").args(["-ec", &bind]))?;
        Ok(Self { dir })
    }

    /// Milliseconds until the last of the programs has ended well.
    fn check(&self) -> Result<f64> {
        let began = Instant::now();
        let mut running = Vec::new();
        for node in NODES {
            for (etc, check) in [
                ("haproxy", "haproxy -dW -c -f /etc/haproxy/haproxy.cfg"),
                ("bind", "named-checkconf -z /etc/bind/named.conf"),
            ] {
                let from = self
                    .dir
                    .path()
                    .join("nodes")
                    .join(node)
                    .join("etc")
                    .join(etc);
                let inside = format!("mount --bind {} /etc/{etc} && exec {check}", from.display());
                let mut command = Command::new("unshare");
                command
                    .args(["--mount", "sh", "-c", &inside])
                    .current_dir("/");
                running.push(
                    command
                        .stdout(Stdio::piped())
                        .stderr(Stdio::piped())
                        .spawn()?,
                );
            }
        }
        for process in running {
            let output = process.wait_with_output()?;
            let said =
                String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
            ensure!(output.status.success(), "{said}");
        }
        Ok(millis(began.elapsed()))
    }
}
