//! The steps of the story, each with the claims that it must make good.

mod site;
mod trouble;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::screen::Screen;
use crate::broker::Broker;
use crate::cluster::{Authority, Client, Cluster, Report, Worker};
use crate::lab::{Lab, wait_until};

const VPSS: [&str; 3] = ["vps1", "vps2", "vps3"];
/// Where the worker's queues are on the broker.
const VHOST: &str = "v0";
/// Longer than any roll of the story may take.
const PATIENCE: Duration = Duration::from_secs(180);

pub(super) struct Stage<'a> {
    lab: &'a Lab,
    cluster: Cluster,
    worker: Worker,
    /// After the worker, so that it goes after it.
    broker: Option<Broker>,
    authority: Authority,
    client: Option<Client>,
}

impl<'a> Stage<'a> {
    pub(super) fn set(
        lab: &'a Lab,
        broker: Option<Broker>,
        screen: &mut Screen,
    ) -> anyhow::Result<Self> {
        let mut cluster = Cluster::make(lab)?;
        // Somebody watches the gate of the fifth step fail.
        cluster.replace(
            "cluster.yaml",
            "healthy_deadline: 12s",
            "healthy_deadline: 8s",
        )?;
        for node in lab.nodes() {
            screen.say(&format!(
                "{:<9} {} is up; it runs nothing but sshd",
                node.name(),
                node.ip()
            ));
        }
        let authority = Self::authority(lab, &mut cluster, screen)?;
        if broker.is_some() {
            // What workers share at a broker they encrypt.
            cluster.age_key()?;
        }
        screen.command("windlass init cluster   # then: the machines' addresses and host keys, one site, one zone");
        let queue = match &broker {
            Some(broker) => {
                let address = broker.node(0).address();
                screen.say(&format!("RabbitMQ  {address} is up; it is empty"));
                format!("amqp://windlass@{address}/{VHOST}")
            }
            None => "embedded".to_owned(),
        };
        screen.command(&format!(
            "windlass worker --config worker.yaml   # watches cluster.git, queue: {queue}"
        ));
        let worker = match &broker {
            Some(broker) => cluster.worker_at(broker, VHOST)?,
            None => cluster.worker()?,
        };
        Ok(Self {
            lab,
            cluster,
            worker,
            broker,
            authority,
            client: None,
        })
    }

    pub(super) fn first_push(&mut self, screen: &mut Screen) -> anyhow::Result<()> {
        screen.chapter("The first push: empty machines become a cluster");
        let report = self.push(screen)?;
        screen.claim(
            report.outcome == "rolled-out",
            "rolled out to all four nodes",
        )?;
        for vps in VPSS {
            let body = self.curl(vps, "www", "https")?;
            screen.claim(
                body.contains("www on"),
                &format!("https://www.example.org/ through {vps}: {}", body.trim()),
            )?;
        }
        let redirect = self.curl_status("vps1", "www", "http")?;
        screen.claim(
            redirect.starts_with("30"),
            &format!("http://www.example.org/ redirects ({redirect})"),
        )?;
        for vps in VPSS {
            let answer = self.dig(vps, "www.example.org", "A")?;
            screen.claim(
                answer.lines().count() == 3,
                &format!("dig @{vps} www.example.org: {}", one_line(&answer)),
            )?;
        }
        self.client = Some(Client::start(
            self.lab,
            "www.example.org",
            &VPSS,
            self.cluster.ca(),
        )?);
        screen.say("From now on a client requests https://www.example.org/ through all VPSs, without a pause.");
        Ok(())
    }

    /// With a broker: everything went through it, and nothing of it is left.
    pub(super) fn settle_events(&self, screen: &mut Screen) -> anyhow::Result<()> {
        let Some(broker) = &self.broker else {
            return Ok(());
        };
        screen.chapter("What is left at the broker");
        let mut queues = String::new();
        let settled = wait_until(PATIENCE, || {
            let list = ["list_queues", "--vhost", VHOST, "--no-table-headers"];
            let listed = broker
                .node(0)
                .ctl(&[&list[..], &["name", "messages"]].concat());
            queues = listed.unwrap_or_default();
            let counts = queues.lines().filter_map(|line| line.split_once('\t'));
            // What orders of certificates need stays there, encrypted.
            let waits = |name: &str| !name.starts_with("windlass.v1.orders.");
            let mut counts = counts.filter(|(name, _)| waits(name));
            !queues.is_empty() && counts.all(|(_, messages)| messages.trim() == "0")
        });
        screen.command("rabbitmqctl list_queues");
        screen.say(&queues);
        screen.claim(
            queues.contains("windlass.v1.cluster.demo"),
            "the cluster's events have a queue",
        )?;
        screen.claim(settled.is_ok(), "none waits, none is among the dead")
    }

    pub(super) fn count_requests(&mut self, screen: &mut Screen) -> anyhow::Result<()> {
        screen.chapter("What a visitor saw of all this");
        let client = self
            .client
            .take()
            .context("the client was started with the first push")?;
        let (requests, failed) = (client.requests(), client.failed());
        for failure in client.failures() {
            screen.say(&failure);
        }
        screen.claim(
            requests > 100,
            &format!("{requests} requests through three VPSs"),
        )?;
        screen.claim(failed == 0, &format!("{failed} failed"))
    }

    /// Takes the last commit back, so that the next step begins with a good one.
    fn revert(&mut self, screen: &mut Screen) -> anyhow::Result<()> {
        screen.command("git revert HEAD && git push");
        self.cluster.git(&["revert", "--no-edit", "HEAD"])?;
        let report = self.push_and_wait(screen)?;
        screen.claim(
            report.outcome == "unchanged",
            "nothing to do: every node holds that already",
        )
    }

    fn commit_and_push(&mut self, screen: &mut Screen, message: &str) -> anyhow::Result<Report> {
        screen.command(&format!("git commit -am '{message}' && git push"));
        self.cluster.commit(message)?;
        self.push_and_wait(screen)
    }

    fn push(&mut self, screen: &mut Screen) -> anyhow::Result<Report> {
        screen.command("git push");
        self.push_and_wait(screen)
    }

    fn push_and_wait(&mut self, screen: &mut Screen) -> anyhow::Result<Report> {
        let commit = self.cluster.head()?;
        self.cluster.push()?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(report) = self.worker.report(&commit)? {
                return Ok(report);
            }
            if Instant::now() > deadline {
                bail!("commit {commit} had no outcome within {PATIENCE:?}");
            }
            let live = self.worker.live()?;
            if !live.is_empty() {
                screen.nodes(&live);
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// What each node says it holds, read on the node itself.
    fn releases(&self) -> anyhow::Result<Vec<String>> {
        self.lab
            .nodes()
            .iter()
            .map(|node| {
                node.sh("readlink /var/lib/windlass/current")
                    .map(|link| link.trim().to_owned())
            })
            .collect()
    }

    fn curl(&self, vps: &str, site: &str, scheme: &str) -> anyhow::Result<String> {
        self.curl_with(vps, site, scheme, &[])
    }

    fn curl_status(&self, vps: &str, site: &str, scheme: &str) -> anyhow::Result<String> {
        self.curl_with(
            vps,
            site,
            scheme,
            &["--output", "/dev/null", "--write-out", "%{http_code}"],
        )
    }

    fn curl_with(
        &self,
        vps: &str,
        site: &str,
        scheme: &str,
        more: &[&str],
    ) -> anyhow::Result<String> {
        let ip = self.lab.node(vps).ip();
        let output = self
            .lab
            .run_in_net("curl")
            .args(["--silent", "--show-error", "--max-time", "5"])
            .args(["--resolve", &format!("{site}.example.org:443:{ip}")])
            .args(["--resolve", &format!("{site}.example.org:80:{ip}")])
            .arg("--cacert")
            .arg(self.cluster.ca())
            .args(more)
            .arg(format!("{scheme}://{site}.example.org/"))
            .output()?;
        if !output.status.success() {
            bail!(
                "curl through {vps}: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn dig(&self, vps: &str, name: &str, rtype: &str) -> anyhow::Result<String> {
        let server = format!("@{}", self.lab.node(vps).ip());
        let output = self
            .lab
            .run_in_net("dig")
            .args(["+short", "+norecurse", &server, name, rtype])
            .output()?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    pub(super) fn worker_log(&self, lines: usize) -> String {
        self.worker.log_tail(lines)
    }

    /// Everything stays up; how to look at it.
    pub(super) fn leave_running(self) -> anyhow::Result<String> {
        let worker: PathBuf = self.worker.leave_running();
        let checkout = self.cluster.checkout();
        self.cluster.keep();
        let broker = match self.broker {
            Some(broker) => {
                let address = broker.node(0).address();
                let keeper = broker.leave_running()?;
                format!("RabbitMQ         {address}, and in the end: kill {keeper}\n")
            }
            None => String::new(),
        };
        Ok(format!(
            "\nEverything is left running:\n\
             the repository   cd {checkout}   (edit, commit, push)\n\
             the worker       log in {log}\n\
             {broker}the machines     make lab-ssh NODE=vps1   and in the end: make lab-down",
            checkout = checkout.display(),
            log = worker.display()
        ))
    }
}

fn one_line(text: &str) -> String {
    text.lines().collect::<Vec<_>>().join(" ")
}
