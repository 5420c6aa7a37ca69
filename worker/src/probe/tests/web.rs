use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use windlass_core::gate::HttpProbe;

use super::*;

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
        let (leaf, key) = self.signed(names, 2020, until);
        let chain = match complete {
            true => self.middle.pem(),
            false => String::new(),
        };
        format!("{}{chain}{}", leaf.pem(), key.serialize_pem())
    }

    fn signed(&self, names: &[&str], from: i32, until: i32) -> (rcgen::Certificate, KeyPair) {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.middle).unwrap(), key)
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
        put("haproxy.cfg", &config);
        let haproxy = Server::start("haproxy", &["-db", "-f", "haproxy.cfg"], directory);
        let web = Self {
            _haproxy: haproxy,
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
            serial: None,
        };
        probe(Some(self.ca.clone()), wanted).await
    }

    async fn serial(&self, connect: SocketAddr, name: &str, serial: &str) -> ProbeResult {
        let wanted = Probe::Tls {
            connect,
            name: name.to_owned(),
            days_left: 1,
            serial: Some(serial.to_owned()),
        };
        probe(Some(self.ca.clone()), wanted).await
    }
}

#[tokio::test]
async fn exactly_the_new_certificate_is_served() {
    let web = Web::start().await;
    let other = web.serial(web.good, "blog.example.org", "00").await;
    assert_seen(&other, false, "another certificate is served");
    let served = other.seen.split([' ', ',']).find(|word| word.len() > 16);
    let same = web
        .serial(web.good, "blog.example.org", served.unwrap())
        .await;
    assert_seen(&same, true, "valid for");
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

/// `openssl s_server` with a certificate and chain and a key, each a PEM text.
async fn openssl(
    authority: &Authority,
    leaf: &rcgen::Certificate,
    key: &KeyPair,
) -> (Server, SocketAddr) {
    let directory = TempDir::new().unwrap();
    let put = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
    put("leaf.pem", &leaf.pem());
    put("chain.pem", &authority.middle.pem());
    put("key.pem", &key.serialize_pem());
    let address = local(free_port());
    let at = address.to_string();
    let arguments = [
        "s_server",
        "-quiet",
        "-accept",
        &at,
        "-cert",
        "leaf.pem",
        "-cert_chain",
        "chain.pem",
        "-key",
        "key.pem",
    ];
    let server = Server::start("openssl", &arguments, directory);
    wait_until_open(address).await;
    (server, address)
}

async fn asked(authority: &Authority, address: SocketAddr) -> ProbeResult {
    let directory = TempDir::new().unwrap();
    let ca = directory.path().join("ca.pem");
    std::fs::write(&ca, authority.root.pem()).unwrap();
    let wanted = Probe::Tls {
        connect: address,
        name: "blog.example.org".to_owned(),
        days_left: 1,
        serial: None,
    };
    probe(Some(ca), wanted).await
}

#[tokio::test]
async fn tls_refuses_a_certificate_before_its_time_and_one_of_a_stranger() {
    let (own, stranger) = (Authority::new(), Authority::new());
    let names = ["blog.example.org"];
    let (early, key) = own.signed(&names, 2190, 2200);
    let (_server, address) = openssl(&own, &early, &key).await;
    assert_seen(&asked(&own, address).await, false, "not valid yet");

    // Its chain is complete and ends in a root of the same name.
    let (leaf, key) = stranger.signed(&names, 2020, 2200);
    let (_server, address) = openssl(&stranger, &leaf, &key).await;
    let seen = asked(&own, address).await;
    assert!(!seen.ok, "{seen:?}");
    assert_seen(&asked(&stranger, address).await, true, "more days");
}

/// No server of the usual kind starts with a key that is not the certificate's; whoever has only the certificate of
/// a host is refused all the same.
#[tokio::test]
async fn tls_refuses_a_server_whose_key_is_not_the_certificates() {
    use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
    use rustls::sign::{CertifiedKey, SingleCertAndKey};

    let authority = Authority::new();
    let (leaf, _) = authority.signed(&["blog.example.org"], 2020, 2200);
    let other = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(
        KeyPair::generate().unwrap().serialize_der(),
    ));
    let key = rustls::crypto::ring::sign::any_supported_type(&other).unwrap();
    let chain = vec![leaf.der().clone(), authority.middle.der().clone()];
    let shown = SingleCertAndKey::from(CertifiedKey::new(chain, key));
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(std::sync::Arc::new(shown));
    let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        acceptor.accept(stream).await.map(drop)
    });
    let seen = asked(&authority, address).await;
    assert_seen(&seen, false, "not the certificate's");
    assert!(server.await.unwrap().is_err());
}
