//! Whom a certificate authority asks: a name server beside the lab that follows delegations and aliases from the
//! cluster's own servers, as any in the world would, and remembers what it saw for as long as it may.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use tempfile::TempDir;

use super::fixture::DOMAIN;
use crate::lab::{Lab, wait_until};

/// Free in every lab: the address is the lab's own.
const PORT: u16 = 5300;
const START: Duration = Duration::from_secs(30);

pub struct Resolver {
    named: Child,
    dir: TempDir,
    at: SocketAddr,
}

impl Resolver {
    /// It knows these nodes as the servers of the cluster's domain, and nothing else of the world.
    pub fn start(lab: &Lab, servers: &[&str]) -> anyhow::Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("windlass-resolver-")
            .tempdir()?;
        let at = SocketAddr::from((lab.host_ip(), PORT));
        let own: String = servers
            .iter()
            .map(|name| format!("{}; ", lab.node(name).ip()))
            .collect();
        let config = format!(
            "controls {{ }};
             options {{ directory \"{dir}\"; pid-file none; session-keyfile none; listen-on port {PORT} {{ {ip}; }};
               listen-on-v6 {{ none; }}; recursion yes; allow-query {{ any; }}; dnssec-validation no; empty-zones-enable no; }};
             zone \"{DOMAIN}\" {{ type static-stub; server-addresses {{ {own}}}; }};\n",
            dir = dir.path().display(),
            ip = at.ip(),
        );
        fs::write(dir.path().join("named.conf"), config)?;
        let log = fs::File::create(dir.path().join("log"))?;
        // It goes with whoever started it, also when that is killed.
        let named = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "named", "-g", "-n", "1", "-c"])
            .arg(dir.path().join("named.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .context("bind9 is installed by scripts/setup.sh")?;
        let mut resolver = Self { named, dir, at };
        let up = wait_until(START, || {
            TcpStream::connect(at).is_ok()
                || resolver.named.try_wait().is_ok_and(|ended| ended.is_some())
        });
        if up.is_err() || resolver.named.try_wait()?.is_some() {
            let log = fs::read_to_string(resolver.dir.path().join("log")).unwrap_or_default();
            bail!("named does not come up:\n{log}");
        }
        Ok(resolver)
    }

    pub fn socket(&self) -> SocketAddr {
        self.at
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        drop(self.named.kill());
        drop(self.named.wait());
    }
}
