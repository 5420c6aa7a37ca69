//! Real servers: haproxy for HTTP and TLS, named for DNS, the kernel for ports.

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use tempfile::TempDir;
use tokio::net::{TcpSocket, TcpStream};
use windlass_core::gate::{DnsExpect, GateScope, HttpProbe};

use super::*;

const QUICK: Duration = Duration::from_millis(1500);

/// A server process that ends with its test.
struct Server {
    process: Child,
    directory: TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

async fn probe(extra_ca: Option<PathBuf>, probe: Probe) -> ProbeResult {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut prober = NetProber::new(extra_ca.as_deref()).unwrap();
    prober.timeout = QUICK;
    let gate = Gate {
        label: "a gate".to_owned(),
        component: "thing".parse().unwrap(),
        probe,
        hold: 0,
        deadline: None,
        scope: GateScope::Node,
        needs: Vec::new(),
        before: false,
    };
    prober.probe(&gate).await
}

#[track_caller]
fn assert_seen(result: &ProbeResult, ok: bool, words: &str) {
    assert_eq!(result.ok, ok, "{result:?}");
    assert!(result.seen.contains(words), "{result:?} lacks {words:?}");
}

/// Certificates of an authority of our own: a root, an intermediate, and leaves below it.
struct Authority {
    root: CertifiedIssuer<'static, KeyPair>,
    middle: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let params = |name: &str| {
            let mut params = CertificateParams::new(Vec::new()).unwrap();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
            params
                .distinguished_name
                .push(rcgen::DnType::CommonName, name);
            params
        };
        let root =
            CertifiedIssuer::self_signed(params("root"), KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let middle = CertifiedIssuer::signed_by(params("middle"), key, &root).unwrap();
        Self { root, middle }
    }

    /// Certificate, chain if complete, key.
    fn leaf(&self, names: &[&str], until: i32, complete: bool) -> String {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        let key = KeyPair::generate().unwrap();
        let leaf = params.signed_by(&key, &self.middle).unwrap();
        let chain = match complete {
            true => self.middle.pem(),
            false => String::new(),
        };
        format!("{}{chain}{}", leaf.pem(), key.serialize_pem())
    }
}

struct Web {
    _haproxy: Server,
    ca: PathBuf,
    http: SocketAddr,
    good: SocketAddr,
    expired: SocketAddr,
    incomplete: SocketAddr,
}

impl Web {
    async fn start() -> Self {
        let directory = TempDir::new().unwrap();
        let authority = Authority::new();
        let put = |name: &str, text: &str| {
            let path = directory.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let names = ["blog.example.org", "*.wild.example.org"];
        let good = put("good.pem", &authority.leaf(&names, 2200, true));
        let expired = put("expired.pem", &authority.leaf(&names, 2021, true));
        let incomplete = put("incomplete.pem", &authority.leaf(&names, 2200, false));
        let ca = put("ca.pem", &authority.root.pem());
        let [http, tls, late, short] = [(); 4].map(|()| free_port());
        let config = format!(
            "defaults\n mode http\n timeout client 5s\n timeout connect 5s\n timeout server 5s\n\
             frontend in\n bind 127.0.0.1:{http}\n bind 127.0.0.1:{tls} ssl crt {}\n \
             bind 127.0.0.1:{late} ssl crt {}\n bind 127.0.0.1:{short} ssl crt {}\n \
             http-request redirect location https://elsewhere.example.org/ code 302 if {{ path /away }}\n \
             http-request return status 503 if {{ path /down }}\n \
             http-request return status 200 content-type text/plain lf-string \"%[req.hdr(host)] %[ssl_fc_sni]\"\n",
            good.display(),
            expired.display(),
            incomplete.display()
        );
        let config = put("haproxy.cfg", &config);
        let process = Command::new("haproxy")
            .arg("-db")
            .arg("-f")
            .arg(config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let web = Self {
            _haproxy: Server { process, directory },
            ca,
            http: local(http),
            good: local(tls),
            expired: local(late),
            incomplete: local(short),
        };
        wait_until_open(web.incomplete).await;
        web
    }

    async fn get(
        &self,
        url: &str,
        connect: SocketAddr,
        status: u16,
        body: Option<&str>,
    ) -> ProbeResult {
        let wanted = HttpProbe {
            url: url.to_owned(),
            connect,
            status: vec![status],
            body: body.map(str::to_owned),
            verify: true,
        };
        probe(Some(self.ca.clone()), Probe::Http(wanted)).await
    }

    async fn tls(&self, connect: SocketAddr, name: &str, days_left: u32) -> ProbeResult {
        let name = name.to_owned();
        let wanted = Probe::Tls {
            connect,
            name,
            days_left,
        };
        probe(Some(self.ca.clone()), wanted).await
    }
}

async fn wait_until_open(address: SocketAddr) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while TcpStream::connect(address).await.is_err() {
        assert!(Instant::now() < deadline, "nothing listens on {address}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn http_judges_status_and_body_and_follows_no_redirect() {
    let web = Web::start().await;
    let url = "http://blog.example.org";
    assert_seen(
        &web.get(&format!("{url}/"), web.http, 200, None).await,
        true,
        "200 OK",
    );
    let body = web
        .get(&format!("{url}/"), web.http, 200, Some("blog.example.org "))
        .await;
    assert_seen(&body, true, "200 OK");
    let body = web
        .get(&format!("{url}/"), web.http, 200, Some("shop"))
        .await;
    assert_seen(&body, false, "lacks \"shop\"");
    let down = web.get(&format!("{url}/down"), web.http, 200, None).await;
    assert_seen(&down, false, "503 Service Unavailable");
    let away = web.get(&format!("{url}/away"), web.http, 302, None).await;
    assert_seen(&away, true, "302 Found to https://elsewhere.example.org/");
    let away = web.get(&format!("{url}/away"), web.http, 200, None).await;
    assert_seen(&away, false, "302");
    let by_address = web
        .get("http://192.0.2.7/", web.http, 200, Some("192.0.2.7 "))
        .await;
    assert_seen(&by_address, true, "200 OK");
}

#[tokio::test]
async fn https_sends_the_name_to_the_address_and_verifies_what_is_served() {
    let web = Web::start().await;
    let url = "https://blog.example.org/";
    let named = web
        .get(
            url,
            web.good,
            200,
            Some("blog.example.org blog.example.org"),
        )
        .await;
    assert_seen(&named, true, "200 OK");
    let other = web
        .get("https://shop.example.org/", web.good, 200, None)
        .await;
    assert_seen(
        &other,
        false,
        "for other names: blog.example.org, *.wild.example.org",
    );
    assert_seen(
        &web.get(url, web.expired, 200, None).await,
        false,
        "expired",
    );
    assert_seen(
        &web.get(url, web.incomplete, 200, None).await,
        false,
        "chain is incomplete",
    );
    assert_seen(&web.get(url, web.http, 200, None).await, false, "");

    let unverified = HttpProbe {
        url: url.to_owned(),
        connect: web.expired,
        status: vec![200],
        body: None,
        verify: false,
    };
    assert_seen(&probe(None, Probe::Http(unverified)).await, true, "200 OK");
    let unknown = HttpProbe {
        url: url.to_owned(),
        connect: web.good,
        status: vec![200],
        body: None,
        verify: true,
    };
    assert_seen(
        &probe(None, Probe::Http(unknown)).await,
        false,
        "not trusted",
    );
}

#[tokio::test]
async fn tls_judges_the_served_certificate() {
    let web = Web::start().await;
    assert_seen(
        &web.tls(web.good, "blog.example.org", 14).await,
        true,
        "more days",
    );
    assert_seen(
        &web.tls(web.good, "*.wild.example.org", 14).await,
        true,
        "more days",
    );
    assert_seen(
        &web.tls(web.good, "blog.example.org", 4_000_000).await,
        false,
        "expires in",
    );
    assert_seen(
        &web.tls(web.good, "shop.example.org", 14).await,
        false,
        "for other names",
    );
    assert_seen(
        &web.tls(web.expired, "blog.example.org", 14).await,
        false,
        "expired",
    );
    assert_seen(
        &web.tls(web.incomplete, "blog.example.org", 14).await,
        false,
        "incomplete",
    );
    assert_seen(
        &web.tls(web.http, "blog.example.org", 14).await,
        false,
        "no TLS",
    );
    assert_seen(
        &web.tls(local(free_port()), "blog.example.org", 14).await,
        false,
        "refused",
    );

    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = web
        .tls(silent.local_addr().unwrap(), "blog.example.org", 14)
        .await;
    assert_seen(&silent, false, "no answer");
}

#[tokio::test]
async fn ports_are_open_closed_or_silent() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let open = listener.local_addr().unwrap();
    let shut = local(free_port());
    assert_seen(
        &probe(None, Probe::Tcp { connect: open }).await,
        true,
        "accepted",
    );
    assert_seen(
        &probe(None, Probe::Tcp { connect: shut }).await,
        false,
        "refused",
    );
    assert_seen(
        &probe(None, Probe::Closed { connect: open }).await,
        false,
        "accepted",
    );
    assert_seen(
        &probe(None, Probe::Closed { connect: shut }).await,
        true,
        "refused",
    );

    // A full queue drops what comes next, as a firewall would.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(local(0)).unwrap();
    let full = socket.listen(1).unwrap();
    let silent = full.local_addr().unwrap();
    let mut waiting = Vec::new();
    while let Ok(connected) = tokio::time::timeout(QUICK / 4, TcpStream::connect(silent)).await {
        waiting.push(connected);
    }
    assert_seen(
        &probe(None, Probe::Tcp { connect: silent }).await,
        false,
        "no answer within",
    );
    assert_seen(
        &probe(None, Probe::Closed { connect: silent }).await,
        true,
        "no answer",
    );
}

/// One named with a good zone, a broken one, and a large text that only fits TCP.
async fn named(serial: u32) -> (Server, SocketAddr) {
    let directory = TempDir::new().unwrap();
    let path = directory.path();
    let port = free_port();
    let zone = format!(
        "$TTL 300\n@ IN SOA ns1.example.org. hostmaster.example.org. ( {serial} 3600 900 604800 300 )\n\
         @ IN NS ns1\nns1 IN A 10.80.0.11\n@ IN MX 10 mail\nmail IN A 10.80.0.12\n\
         two IN A 10.80.0.1\ntwo IN A 10.80.0.2\nsix IN AAAA 2001:db8::1\n\
         txt IN TXT \"v=spf1 -all\"\nlarge IN TXT {}\n",
        format!("\"{}\" ", "x".repeat(200)).repeat(15)
    );
    std::fs::write(path.join("good"), zone).unwrap();
    std::fs::write(path.join("bad"), "@ IN A nonsense\n").unwrap();
    let config = format!(
        "options {{ directory \"{dir}\"; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};\n\
         pid-file none; session-keyfile none; recursion no; dnssec-validation no; }};\ncontrols {{ }};\n\
         zone \"example.org\" {{ type master; file \"good\"; }};\n\
         zone \"broken.example\" {{ type master; file \"bad\"; }};\n",
        dir = path.display()
    );
    let mut file = std::fs::File::create(path.join("named.conf")).unwrap();
    file.write_all(config.as_bytes()).unwrap();
    let process = Command::new("named")
        .arg("-g")
        .arg("-c")
        .arg(path.join("named.conf"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let server = Server { process, directory };
    wait_until_open(local(port)).await;
    (server, local(port))
}

async fn dns(server: SocketAddr, name: &str, rtype: &str, expect: DnsExpect) -> ProbeResult {
    let (name, rtype) = (name.to_owned(), rtype.to_owned());
    probe(
        None,
        Probe::Dns {
            server,
            name,
            rtype,
            expect,
        },
    )
    .await
}

async fn answer(server: SocketAddr, name: &str, rtype: &str, wanted: &[&str]) -> ProbeResult {
    let wanted = wanted.iter().map(|&record| record.to_owned()).collect();
    dns(server, name, rtype, DnsExpect::Answer(wanted)).await
}

#[tokio::test]
async fn dns_compares_answers_as_zone_files_write_them() {
    let (server, at) = named(7).await;
    assert!(server.directory.path().exists());
    assert_seen(
        &answer(at, "ns1.example.org", "A", &["10.80.0.11"]).await,
        true,
        "10.80.0.11",
    );
    assert_seen(
        &answer(at, "two.example.org.", "a", &["10.80.0.2", "10.80.0.1"]).await,
        true,
        "10.80.0.1",
    );
    assert_seen(
        &answer(at, "two.example.org", "A", &["10.80.0.3"]).await,
        false,
        "instead of 10.80.0.3",
    );
    assert_seen(
        &answer(at, "example.org", "MX", &["10 Mail.example.org."]).await,
        true,
        "10 mail",
    );
    assert_seen(
        &answer(at, "six.example.org", "AAAA", &["2001:db8:0:0::1"]).await,
        true,
        "2001:db8::1",
    );
    assert_seen(
        &answer(at, "txt.example.org", "TXT", &["\"v=spf1 -all\""]).await,
        true,
        "v=spf1",
    );
    let large = "x".repeat(3000);
    assert_seen(
        &answer(at, "large.example.org", "TXT", &[&large]).await,
        true,
        "xxx",
    );
    assert_seen(
        &answer(at, "ns1.example.org", "AAAA", &["::1"]).await,
        false,
        "no AAAA record",
    );
    assert_seen(
        &answer(at, "gone.example.org", "A", &["10.0.0.1"]).await,
        false,
        "NXDOMAIN",
    );
    assert_seen(
        &answer(at, "x.broken.example", "A", &["10.0.0.1"]).await,
        false,
        "SERVFAIL",
    );
    assert_seen(
        &answer(at, "www.example.net", "A", &["10.0.0.1"]).await,
        false,
        "REFUSED",
    );
    assert_seen(
        &answer(local(free_port()), "example.org", "A", &["10.0.0.1"]).await,
        false,
        "",
    );
}

#[tokio::test]
async fn dns_knows_a_stale_secondary_from_a_current_one() {
    let (_old, old) = named(4_294_967_290).await;
    let (_new, new) = named(5).await;
    let serial = |primary| DnsExpect::Serial { primary };
    assert_seen(
        &dns(new, "example.org", "SOA", serial(new)).await,
        true,
        "serial 5",
    );
    let ahead = dns(new, "example.org", "SOA", serial(old)).await;
    assert_seen(&ahead, true, "serial 5");
    let behind = dns(old, "example.org", "SOA", serial(new)).await;
    assert_seen(&behind, false, "serial 4294967290 is behind 5");
    let dead = dns(new, "example.org", "SOA", serial(local(free_port()))).await;
    assert_seen(&dead, false, "the primary");
    let own = dns(new, "example.org", "SOA", DnsExpect::Authoritative).await;
    assert_seen(&own, true, "authoritative, serial 5");
    let broken = dns(new, "broken.example", "SOA", DnsExpect::Authoritative).await;
    assert_seen(&broken, false, "SERVFAIL");
    let below = dns(new, "two.example.org", "SOA", DnsExpect::Authoritative).await;
    assert_seen(&below, false, "no SOA");
}

#[test]
fn an_unusable_authority_file_is_an_error() {
    let directory = TempDir::new().unwrap();
    let missing = directory.path().join("missing.pem");
    assert!(NetProber::new(Some(&missing)).is_err());
}
