//! A real certificate authority beside the lab: pebble, which asks for challenges at port 80 of the addresses that
//! one of the lab's own name servers tells. Its roots are new with each start.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::json;
use tempfile::TempDir;

use super::fixture::run;
use crate::lab::{Lab, wait_until};

/// Free in every lab: the address is the lab's own.
const PORT: u16 = 14000;
const MANAGEMENT: u16 = 15000;
/// Six days, as the shortest that public authorities issue.
const LIFETIME: u32 = 6 * 24 * 3600;
const START: Duration = Duration::from_secs(30);

pub struct Authority {
    pebble: Child,
    dir: TempDir,
    at: String,
    dns: SocketAddr,
}

impl Authority {
    /// Names lead where the lab's node `dns` says, once it serves the zone.
    pub fn start(lab: &Lab, dns: &str) -> anyhow::Result<Self> {
        Self::asking(lab, SocketAddr::from((lab.node(dns).ip(), 53)))
    }

    /// The same, and what it issues is in force for so many seconds.
    pub fn short_lived(lab: &Lab, dns: &str, seconds: u32) -> anyhow::Result<Self> {
        Self::issuing(lab, SocketAddr::from((lab.node(dns).ip(), 53)), seconds)
    }

    /// Names lead where this name server says.
    pub fn asking(lab: &Lab, dns: SocketAddr) -> anyhow::Result<Self> {
        Self::issuing(lab, dns, LIFETIME)
    }

    fn issuing(lab: &Lab, dns: SocketAddr, seconds: u32) -> anyhow::Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("windlass-authority-")
            .tempdir()?;
        let at = lab.host_ip();
        own_certificate(dir.path(), &at.to_string())?;
        let config = json!({"pebble": {
            "listenAddress": format!("{at}:{PORT}"),
            "managementListenAddress": format!("{at}:{MANAGEMENT}"),
            "certificate": dir.path().join("own.pem"),
            "privateKey": dir.path().join("own.key"),
            "httpPort": 80,
            "tlsPort": 443,
            "ocspResponderURL": "",
            "certificateValidityPeriod": seconds,
            "externalAccountBindingRequired": false,
        }});
        fs::write(dir.path().join("pebble.json"), config.to_string())?;
        let log = fs::File::create(dir.path().join("log"))?;
        // It goes with whoever started it, also when that is killed.
        let pebble = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "pebble", "-config"])
            .arg(dir.path().join("pebble.json"))
            .args(["-dnsserver", &dns.to_string()])
            .env("PEBBLE_VA_NOSLEEP", "1")
            // instant-acme tries again three times; one in twenty would now and then be too many.
            .env("PEBBLE_WFE_NONCEREJECT", "0")
            .env("PEBBLE_AUTHZREUSE", "0")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("pebble is installed by scripts/setup.sh")?;
        let mut authority = Self {
            pebble,
            dir,
            at: at.to_string(),
            dns,
        };
        authority.ready(SocketAddr::from((at, MANAGEMENT)))?;
        let roots = format!("https://{at}:{MANAGEMENT}/roots/0");
        let root = run(Command::new("curl")
            .args(["--silent", "--show-error", "--fail", "--cacert"])
            .args([authority.own_root(), PathBuf::from(roots)]))?;
        fs::write(authority.root(), root)?;
        Ok(authority)
    }

    fn ready(&mut self, management: SocketAddr) -> anyhow::Result<()> {
        let up = wait_until(START, || {
            TcpStream::connect(management).is_ok()
                || self.pebble.try_wait().is_ok_and(|ended| ended.is_some())
        });
        if up.is_err() || self.pebble.try_wait()?.is_some() {
            bail!("pebble does not come up:\n{}", self.log());
        }
        Ok(())
    }

    /// The name server that it asks where names lead.
    pub fn asks(&self) -> SocketAddr {
        self.dns
    }

    pub fn directory(&self) -> String {
        format!("https://{}:{PORT}/dir", self.at)
    }

    /// What its own https is verified by; not what it issues.
    pub fn own_root(&self) -> PathBuf {
        self.dir.path().join("own-root.pem")
    }

    /// What the certificates that it issues end in.
    pub fn root(&self) -> PathBuf {
        self.dir.path().join("root.pem")
    }

    /// How many orders were ever placed.
    pub fn orders(&self) -> usize {
        self.log().matches("orders in the db").count()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        drop(self.pebble.kill());
        drop(self.pebble.wait());
    }
}

/// Debian's pebble comes without one.
fn own_certificate(dir: &Path, address: &str) -> anyhow::Result<()> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    // Else root and leaf have the same name, and OpenSSL takes the leaf for self-signed.
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, "Windlass lab");
    let root = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let own = CertificateParams::new(vec![address.to_owned()])?.signed_by(&key, &root)?;
    fs::write(dir.join("own-root.pem"), root.pem())?;
    fs::write(dir.join("own.pem"), own.pem())?;
    super::keys::private(&dir.join("own.key"), key.serialize_pem().as_bytes())
}
