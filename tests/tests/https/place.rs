//! A lab whose worker orders certificates, and how its VPSs look from outside.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use windlass_tests::cluster::{Authority, Cluster, Report, Resolver, Worker};
use windlass_tests::lab::{Lab, LabSpec, wait_until};

pub const VPSS: [&str; 3] = ["vps1", "vps2", "vps3"];
const ASK_SERIAL: &str = "openssl s_client -servername \"$1\" -connect \"$2\" </dev/null 2>/dev/null \
     | openssl x509 -noout -serial";
const ASK_NAMES: &str = "openssl s_client -servername \"$1\" -connect \"$2\" </dev/null 2>/dev/null \
     | openssl x509 -noout -ext subjectAltName | sed 1d";
const ASK_WORKER: &str = "echo 'show proc' | socat -t 5 stdio /run/haproxy-master.sock \
     | awk '$2 == \"worker\" && $3 == 0 { print $1 }'";
pub const PATIENCE: Duration = Duration::from_secs(240);

/// The worker goes first, the machines last.
pub struct Place {
    pub worker: Worker,
    pub authority: Authority,
    _resolver: Option<Resolver>,
    pub cluster: Cluster,
    pub lab: Lab,
}

impl Place {
    /// One site with a certificate by file is rolled out.
    pub fn set() -> Result<Self> {
        let lab = Lab::boot(&LabSpec::default())?;
        let authority = Authority::start(&lab, "vps1")?;
        Self::with(lab, authority, None)
    }

    /// The same, and what the authority issues is in force for so many seconds.
    pub fn short_lived(seconds: u32) -> Result<Self> {
        let lab = Lab::boot(&LabSpec::default())?;
        let authority = Authority::short_lived(&lab, "vps1", seconds)?;
        Self::with(lab, authority, None)
    }

    /// The same, and names are proven through DNS.
    pub fn through_dns() -> Result<Self> {
        let lab = Lab::boot(&LabSpec::default())?;
        let resolver = Resolver::start(&lab, &VPSS)?;
        let authority = Authority::asking(&lab, resolver.socket())?;
        Self::with(lab, authority, Some(resolver))
    }

    fn with(lab: Lab, authority: Authority, resolver: Option<Resolver>) -> Result<Self> {
        let mut cluster = Cluster::make(&lab)?;
        cluster.order_from(&authority, &lab)?;
        if resolver.is_some() {
            cluster.prove_through_dns()?;
        }
        let worker = cluster.worker()?;
        let place = Self {
            worker,
            authority,
            _resolver: resolver,
            cluster,
            lab,
        };
        place.rolled(&place.cluster.head()?)?;
        Ok(place)
    }

    /// Pushes what was written and waits until it is rolled out.
    pub fn push(&self, message: &str) -> Result<Report> {
        let commit = self.cluster.commit(message)?;
        self.rolled(&commit)
    }

    pub fn rolled(&self, commit: &str) -> Result<Report> {
        self.cluster.push()?;
        let mut report = None;
        self.until("the commit has an outcome", || {
            report = self.worker.report(commit).ok().flatten();
            report.is_some()
        })?;
        let report = report.context("there is one")?;
        let good = ["rolled-out", "unchanged"].contains(&report.outcome.as_str());
        ensure!(good, "{}\n{}", report.text, self.worker.log_tail(30));
        Ok(report)
    }

    /// What was expected and did not come is told with the worker's and the authority's last words.
    pub fn until(&self, what: &str, condition: impl FnMut() -> bool) -> Result<()> {
        wait_until(PATIENCE, condition).with_context(|| {
            let log = self.authority.log();
            let lines: Vec<&str> = log.lines().collect();
            let asked = lines[lines.len().saturating_sub(15)..].join("\n");
            format!("{what}\n{}\n--- {asked}", self.worker.log_tail(40))
        })
    }

    /// What curl says with these arguments, when the host leads to the node; its exit code tells what TLS is like.
    pub fn curl(&self, node: &str, url: &str, more: &[&str]) -> Result<(Option<i32>, String)> {
        let (_, rest) = url.split_once("://").context("a URL")?;
        let host = rest.split('/').next().context("a host")?;
        let ip = self.lab.node(node).ip();
        let output = self
            .lab
            .run_in_net("curl")
            .args(["--silent", "--max-time", "5", "--cacert"])
            .arg(self.root())
            .args(["--resolve", &format!("{host}:443:{ip}")])
            .args(["--resolve", &format!("{host}:80:{ip}")])
            .args(more)
            .arg(url)
            .output()?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok((output.status.code(), said))
    }

    /// Status and where to, of a plain answer.
    pub fn answer(&self, node: &str, url: &str) -> Result<String> {
        let shown = "%{http_code} %{redirect_url}";
        let (_, said) = self.curl(node, url, &["--output", "/dev/null", "--write-out", shown])?;
        Ok(said.trim().to_owned())
    }

    /// Whether a site is served over TLS that holds against the authority's root.
    pub fn is_secure(&self, node: &str, site: &str) -> bool {
        self.is_secure_at(node, &format!("{site}.example.org"), site)
    }

    /// The same for another of its hosts.
    pub fn is_secure_at(&self, node: &str, host: &str, site: &str) -> bool {
        self.curl(node, &format!("https://{host}/"), &[])
            .is_ok_and(|(code, body)| code == Some(0) && body.contains(&format!("{site} on")))
    }

    /// Which certificate each VPS serves for a host.
    pub fn serials(&self, host: &str) -> Result<BTreeMap<&'static str, String>> {
        let serial = |vps: &'static str| {
            let ip = self.lab.node(vps).ip();
            let said = self
                .lab
                .run_in_net("sh")
                .args(["-ec", ASK_SERIAL, "sh", host, &format!("{ip}:443")])
                .output()?;
            ensure!(said.status.success(), "{vps}: {said:?}");
            Ok((vps, String::from_utf8_lossy(&said.stdout).trim().to_owned()))
        };
        VPSS.into_iter().map(serial).collect()
    }

    /// The names that a VPS' certificate for a host is for.
    pub fn names(&self, vps: &str, host: &str) -> Result<String> {
        let ip = self.lab.node(vps).ip();
        let said = self
            .lab
            .run_in_net("sh")
            .args(["-ec", ASK_NAMES, "sh", host, &format!("{ip}:443")])
            .output()?;
        ensure!(said.status.success(), "{vps}: {said:?}");
        Ok(String::from_utf8_lossy(&said.stdout).trim().to_owned())
    }

    /// HAProxy's processes that serve; another one after every reload.
    pub fn haproxies(&self) -> Result<BTreeMap<&'static str, String>> {
        let worker = |vps: &'static str| Ok((vps, self.lab.node(vps).sh(ASK_WORKER)?));
        VPSS.into_iter().map(worker).collect()
    }

    /// No roll is under way.
    pub fn at_rest(&self) -> Result<()> {
        self.until("the roll has ended", || {
            self.worker.live().is_ok_and(|live| live.is_empty())
        })
    }

    /// In the lab's network.
    pub fn nft(&self, line: &str) -> Result<()> {
        let done = self.lab.run_in_net("nft").arg(line).output()?;
        ensure!(done.status.success(), "nft {line}: {done:?}");
        Ok(())
    }

    /// What the authority's certificates end in, and nothing else.
    pub fn root(&self) -> PathBuf {
        self.authority.root()
    }
}
