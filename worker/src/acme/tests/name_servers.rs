//! A hidden primary and its secondaries, each a BIND of its own, set up as the starter's components do it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use hickory_proto::rr::RecordType;
use windlass_core::acme::wanted::{Asked, Dns, Server};
use windlass_core::materials::SecretText;

use super::pebble::free_port;
use crate::dns::{ask, shown};

pub(super) const KEY: &str = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0IQ==";
const XFER: &str = "dHJhbnNmZXItdHJhbnNmZXItdHJhbnNmZXItdHI=";
const PRIMARY: &str = "homelab";
const SECONDARIES: [&str; 2] = ["vps1", "vps2"];
/// Whom an authority asks: it follows an alias into another zone, which name servers themselves do not, and remembers
/// what it saw for as long as it may.
const RESOLVER: &str = "resolver";
/// Names that have their alias; the last is in a zone that the repository does not know.
const LED: [(&str, &str); 5] = [
    ("example.org", "example.org"),
    ("example.org", "blog.example.org"),
    ("example.org", "www.example.org"),
    ("example.net", "there.example.net"),
    ("example.org", "deep.down.example.org"),
];
const ZONE: &str = "acme.example.org";

pub(super) struct NameServers {
    dir: tempfile::TempDir,
    ports: BTreeMap<&'static str, u16>,
    running: BTreeMap<&'static str, Child>,
}

impl Drop for NameServers {
    fn drop(&mut self) {
        for child in self.running.values_mut() {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

impl NameServers {
    /// All of them; `vps2` is told of changes only if it `is_notified`.
    pub(super) async fn start(is_notified: bool) -> Self {
        let mut servers = Self {
            dir: tempfile::tempdir().unwrap(),
            ports: [PRIMARY, "vps1", "vps2", RESOLVER]
                .map(|node| (node, free_port()))
                .into(),
            running: BTreeMap::new(),
        };
        servers.begin(PRIMARY, &servers.primary(is_notified));
        // One that finds no primary does not ask again for minutes.
        servers.serves(PRIMARY).await;
        for node in SECONDARIES {
            let config = servers.secondary();
            servers.begin(node, &config);
        }
        let config = servers.resolver();
        servers.begin(RESOLVER, &config);
        servers.ready().await;
        servers
    }

    /// Ends one.
    pub(super) fn stop(&mut self, node: &str) {
        let mut child = self.running.remove(node).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// The primary again, with what it had on disk.
    pub(super) async fn start_primary(&mut self) {
        self.begin(PRIMARY, &self.primary(true));
        self.ready().await;
    }

    fn begin(&mut self, node: &'static str, zones: &str) {
        let dir = self.dir.path().join(node);
        std::fs::create_dir_all(&dir).unwrap();
        let (shown, port) = (dir.display(), self.ports[node]);
        let recursion = match node {
            RESOLVER => "yes",
            _ => "no",
        };
        let head = format!(
            "key \"xfer\" {{ algorithm hmac-sha256; secret \"{XFER}\"; }};
             key \"acme\" {{ algorithm hmac-sha256; secret \"{KEY}\"; }};
             controls {{ }};
             options {{ directory \"{shown}\"; pid-file none; session-keyfile none; listen-on port {port} {{ 127.0.0.1; }};
               listen-on-v6 {{ none; }}; recursion {recursion}; allow-query {{ any; }}; allow-transfer {{ none; }};
               notify explicit; notify-delay 0; masterfile-format text; dnssec-validation no; empty-zones-enable no;
               minimal-responses yes; min-refresh-time 3600; }};\n"
        );
        std::fs::write(dir.join("named.conf"), head + zones).unwrap();
        let log = std::fs::File::create(dir.join("log")).unwrap();
        let child = Command::new("named")
            .arg("-g")
            .args(["-n", "1"])
            .arg("-c")
            .arg(dir.join("named.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("bind9 is installed by scripts/setup.sh");
        self.running.insert(node, child);
    }

    fn primary(&self, is_notified: bool) -> String {
        let dir = self.dir.path().join("homelab");
        std::fs::create_dir_all(&dir).unwrap();
        let told: String = SECONDARIES
            .iter()
            .filter(|node| is_notified || **node != "vps2")
            .map(|node| format!("127.0.0.1 port {} key \"xfer\"; ", self.ports[node]))
            .collect();
        let mut zones = String::new();
        for zone in ["example.org", "example.net", ZONE] {
            let dynamic = zone == ZONE;
            let file = dir.join(format!("{zone}.db"));
            if !file.exists() {
                put_down(&file, zone);
            }
            let policy = match dynamic {
                true => "update-policy { grant acme zonesub TXT; }; serial-update-method unixtime;",
                false => "",
            };
            zones.push_str(&format!(
                "zone \"{zone}\" {{ type primary; file \"{zone}.db\"; {policy} allow-transfer {{ key \"xfer\"; }};
                 also-notify {{ {told} }}; }};\n"
            ));
        }
        zones
    }

    fn secondary(&self) -> String {
        let zone = |zone: &str| {
            format!(
                "zone \"{zone}\" {{ type secondary; file \"{zone}.db\"; primaries {{ 127.0.0.1 port {} key \"xfer\"; }};
                 allow-notify {{ key \"xfer\"; }}; }};\n",
                self.ports[PRIMARY]
            )
        };
        ["example.org", "example.net", ZONE].map(zone).concat()
    }

    fn resolver(&self) -> String {
        let servers: String = SECONDARIES
            .iter()
            .map(|node| format!("127.0.0.1 port {}; ", self.ports[node]))
            .collect();
        let zone = |zone: &str| {
            format!(
                "zone \"{zone}\" {{ type forward; forward only; forwarders {{ {servers} }}; }};\n"
            )
        };
        ["example.org", "example.net"].map(zone).concat()
    }

    async fn ready(&self) {
        for node in SECONDARIES {
            self.serves(node).await;
        }
        self.serves(PRIMARY).await;
        let deadline = Instant::now() + Duration::from_secs(30);
        while std::net::TcpStream::connect(self.public()).is_err() {
            assert!(Instant::now() < deadline, "the resolver does not come up");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn serves(&self, node: &str) {
        let deadline = Instant::now() + Duration::from_secs(30);
        for zone in ["example.org", "example.net", ZONE] {
            let second = Duration::from_secs(1);
            while ask(self.socket(node), zone, RecordType::SOA, second)
                .await
                .is_err()
            {
                assert!(Instant::now() < deadline, "{node} does not serve {zone}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }

    fn socket(&self, node: &str) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.ports[node]))
    }

    /// Whom an authority asks.
    pub(super) fn public(&self) -> SocketAddr {
        self.socket(RESOLVER)
    }

    /// What the worker knows of them.
    pub(super) fn dns(&self, names: &[&str]) -> Dns {
        let server = |node: &str| Server {
            node: node.parse().unwrap(),
            socket: self.socket(node),
        };
        let secondaries: Vec<Server> = SECONDARIES.into_iter().map(server).collect();
        let bases = names.iter().map(|name| name.trim_start_matches("*."));
        let asked = bases.map(|base| {
            let own = base.ends_with("example.org");
            let asked = Asked {
                owner: format!("_acme-challenge.{base}").parse().unwrap(),
                target: format!("{base}.{ZONE}").parse().unwrap(),
                zone: own.then(|| "example.org".parse().unwrap()),
                servers: if own { secondaries.clone() } else { Vec::new() },
            };
            (base.parse().unwrap(), asked)
        });
        Dns {
            zone: ZONE.parse().unwrap(),
            primary: server(PRIMARY),
            names: asked.collect(),
            secondaries,
        }
    }

    /// The texts that stand for a name at the primary.
    pub(super) async fn texts(&self, base: &str) -> Vec<String> {
        let socket = self.socket(PRIMARY);
        let target = format!("{base}.{ZONE}");
        match ask(socket, &target, RecordType::TXT, Duration::from_secs(5)).await {
            Ok(answer) => answer.answers.iter().map(|own| shown(&own.data)).collect(),
            Err(_) => Vec::new(),
        }
    }

    /// Changes the zone as anybody with this key can; whether it was taken, and what was said.
    pub(super) fn nsupdate(&self, key: &str, line: &str) -> (bool, String) {
        let script = self.dir.path().join("update");
        let text = format!("server 127.0.0.1 {}\n{line}\nsend\n", self.ports[PRIMARY]);
        std::fs::write(&script, text).unwrap();
        let output = Command::new("nsupdate")
            .args(["-y", &format!("hmac-sha256:{key}")])
            .arg(&script)
            .output()
            .expect("bind9-dnsutils is installed by scripts/setup.sh");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.success(), said)
    }
}

fn put_down(file: &Path, zone: &str) {
    let mut text = format!(
        "$TTL 60\n$ORIGIN {zone}.\n@ IN SOA ns.{zone}. hostmaster.{zone}. ( 1 3600 900 1209600 60 )\n@ IN NS ns.{zone}.\nns IN A 127.0.0.11\n"
    );
    for (_, host) in LED.iter().filter(|(own, _)| *own == zone) {
        text.push_str(&format!(
            "_acme-challenge.{host}. IN CNAME {host}.{ZONE}.\n"
        ));
    }
    std::fs::write(file, text).unwrap();
}

pub(super) fn key() -> SecretText {
    SecretText::new(KEY)
}
