//! Starts Debian's pebble and pebble-challtestsrv, and ends them with the test. The pebble of Debian 12 (2.4) has neither
//! renewal information nor profiles: `scripts/setup.sh` puts the one of Debian's next release beside it.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::{Value, json};

#[derive(Default)]
pub(super) struct Options {
    /// Share of requests whose nonce is refused, in percent.
    pub(super) nonces_refused: u8,
    pub(super) eab: bool,
    /// Where every name leads; empty: 127.0.0.1.
    pub(super) address: String,
    /// Debian's next pebble, which has renewal information and profiles.
    pub(super) newer: bool,
    /// Whom it asks instead of its own name server, which leads every name to 127.0.0.1.
    pub(super) name_server: Option<SocketAddr>,
    /// For how many seconds certificates are in force; absent: six days.
    pub(super) lifetime: Option<u32>,
}

pub(super) const EAB_KEY: &str = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";

const NEWER: &str = "/usr/local/lib/windlass-tests/pebble";

pub(crate) struct Pebble {
    acme: Child,
    dns: Child,
    dir: tempfile::TempDir,
    pub(super) port: u16,
    management: u16,
    dns_management: u16,
    /// PEM, for pebble's own https.
    pub(crate) root: String,
    options: Options,
    dns_port: u16,
}

pub(super) fn free_port() -> u16 {
    windlass_tests::port::free().unwrap()
}

impl Pebble {
    /// Asks for challenges at `http_port`; every name leads to one address.
    pub(super) fn start(http_port: u16, options: Options) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = own_certificate(dir.path());
        let [port, management, dns_management, dns_port] = [(); 4].map(|()| free_port());
        let config = json!({"pebble": {
            "listenAddress": format!("127.0.0.1:{port}"),
            "managementListenAddress": format!("127.0.0.1:{management}"),
            "certificate": dir.path().join("cert.pem"),
            "privateKey": dir.path().join("key.pem"),
            "httpPort": http_port,
            "tlsPort": 1,
            "ocspResponderURL": "",
            "certificateValidityPeriod": options.lifetime.unwrap_or(518_400),
            "profiles": {
                "default": {"description": "the usual one", "validityPeriod": 7_776_000},
                "shortlived": {"description": "six days", "validityPeriod": 518_400},
            },
            "externalAccountBindingRequired": options.eab,
            "externalAccountMACKeys": {"kid-1": EAB_KEY},
            "domainBlocklist": ["blocked.example.com"],
        }});
        std::fs::write(dir.path().join("pebble.json"), config.to_string()).unwrap();
        let address = match options.address.as_str() {
            "" => "127.0.0.1",
            address => address,
        };
        let dns = Command::new("pebble-challtestsrv")
            .args(["-http01", "", "-https01", "", "-tlsalpn01", ""])
            .args(["-defaultIPv4", address, "-defaultIPv6", ""])
            .args(["-dns01", &format!("127.0.0.1:{dns_port}")])
            .args(["-management", &format!("127.0.0.1:{dns_management}")])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("pebble-challtestsrv is installed by scripts/setup.sh");
        let acme = spawn(dir.path(), dns_port, &options);
        let pebble = Self {
            acme,
            dns,
            dir,
            port,
            management,
            dns_management,
            root,
            options,
            dns_port,
        };
        pebble.ready();
        pebble
    }

    fn ready(&self) {
        let deadline = Instant::now() + Duration::from_secs(30);
        for port in [self.port, self.management, self.dns_management] {
            let address = SocketAddr::from(([127, 0, 0, 1], port));
            while std::net::TcpStream::connect(address).is_err() {
                assert!(
                    Instant::now() < deadline,
                    "pebble does not come up: {}",
                    self.log()
                );
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }

    pub(crate) fn stop(&mut self) {
        self.acme.kill().unwrap();
        self.acme.wait().unwrap();
    }

    /// A new one at the same place, which remembers nothing.
    pub(crate) fn start_again(&mut self) {
        self.acme = spawn(self.dir.path(), self.dns_port, &self.options);
        self.ready();
    }

    /// How many orders were placed with it since it started.
    pub(crate) fn orders(&self) -> usize {
        self.log().matches("Added order ").count()
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("pebble.log")).unwrap()
    }

    /// What it says from now on of a certificate's renewal.
    pub(crate) async fn suggest(&self, pem: &str, info: &Value) {
        let url = format!("https://127.0.0.1:{}/set-renewal-info/", self.management);
        let (leaf, _) = pem.split_once("-----END").unwrap();
        let leaf = format!("{leaf}-----END CERTIFICATE-----\n");
        let body = json!({"certificate": leaf, "ariResponse": info.to_string()});
        let answer = self.client().post(url).body(body.to_string()).send().await;
        let answer = answer.unwrap();
        let status = answer.status();
        assert!(status.is_success(), "{status}: {:?}", answer.text().await);
    }

    pub(crate) fn directory(&self) -> String {
        format!("https://127.0.0.1:{}/dir", self.port)
    }

    /// The same pebble under another URL.
    pub(super) fn other_directory(&self) -> String {
        format!("https://localhost:{}/dir", self.port)
    }

    pub(super) fn client(&self) -> reqwest::Client {
        let root = reqwest::Certificate::from_pem(self.root.as_bytes()).unwrap();
        reqwest::Client::builder()
            .no_proxy()
            .user_agent("windlass-tests")
            .tls_certs_only([root])
            .build()
            .unwrap()
    }

    /// Lets a name lead elsewhere.
    pub(super) async fn lead(&self, host: &str, address: &str) {
        let url = format!("http://127.0.0.1:{}/add-a", self.dns_management);
        let body = json!({"host": format!("{host}."), "addresses": [address]}).to_string();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        assert!(
            client
                .post(url)
                .body(body)
                .send()
                .await
                .unwrap()
                .status()
                .is_success()
        );
    }

    /// What pebble says of a certificate's status.
    pub(super) async fn status_of(&self, serial: &str) -> String {
        let url = format!(
            "https://127.0.0.1:{}/cert-status-by-serial/{serial}",
            self.management
        );
        let text = self
            .client()
            .get(url)
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        let value: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}"));
        value["Status"].as_str().unwrap().to_owned()
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        for child in [&mut self.acme, &mut self.dns] {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

fn spawn(dir: &Path, dns_port: u16, options: &Options) -> Child {
    let log = std::fs::File::create(dir.join("pebble.log")).unwrap();
    let own = SocketAddr::from(([127, 0, 0, 1], dns_port));
    let name_server = options.name_server.unwrap_or(own);
    let program = if options.newer { NEWER } else { "pebble" };
    Command::new(program)
        .arg("-config")
        .arg(dir.join("pebble.json"))
        .args(["-dnsserver", &name_server.to_string()])
        .env("PEBBLE_VA_NOSLEEP", "1")
        .env("PEBBLE_WFE_NONCEREJECT", options.nonces_refused.to_string())
        .env("PEBBLE_AUTHZREUSE", "0")
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap_or_else(|error| panic!("scripts/setup.sh installs {program}: {error}"))
}

/// Debian ships none.
fn own_certificate(dir: &Path) -> String {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let root = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(names)
        .unwrap()
        .signed_by(&key, &root)
        .unwrap();
    std::fs::write(dir.join("cert.pem"), leaf.pem()).unwrap();
    std::fs::write(dir.join("key.pem"), key.serialize_pem()).unwrap();
    root.pem()
}
