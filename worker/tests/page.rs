//! The page of a preview in a real browser. Its pictures are left below `target/` for whoever wants to see them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use windlass::store::Store;
use windlass::web::previews;
use windlass_core::codes::checks::CHECK_REFUSED;
use windlass_core::finding::{Finding, Findings};
use windlass_core::plan::{ChangeKind, Skipped};
use windlass_core::preview::{Preview, Radius, Request, Roll, Shown, TurnWords, Verdict};
use windlass_core::report::diff::{FileDiff, Shared};
use windlass_core::snapshot::Snapshot;

const BROWSER: &str = "chromium-headless-shell";
const DIFF: &str = "@@ -1,4 +1,5 @@\n global\n-  maxconn 1000\n+  maxconn 2000\n+  <script>document.title = 'taken'</script>\n end\n";

fn preview() -> Preview {
    let request = Request {
        number: 12,
        head: "fedcba9876543210".to_owned(),
        base: "0123456789abcdef".to_owned(),
        branch: "main".to_owned(),
    };
    let verdict = Verdict::WouldChange {
        nodes: 2,
        of: 4,
        files: 2,
    };
    let mut preview = Preview::new("example".parse().unwrap(), request, verdict);
    let warning = Finding::warning(CHECK_REFUSED, "a line that nobody expects").quoting(
        "/etc/haproxy/haproxy.cfg",
        3,
        "<script>",
    );
    let findings = Findings::from_iter([warning]);
    preview.findings = Shown::all(&findings, &Snapshot::default());
    let turn = |node: &str, wave| TurnWords {
        node: node.parse().unwrap(),
        wave,
        files: 1,
        drain: Vec::new(),
        actions: vec!["reload haproxy".to_owned()],
        gates: vec!["haproxy: https://blog.example.org/".to_owned()],
        undrain: Vec::new(),
        replaced: Vec::new(),
        because: vec!["sites/blog.yaml changed".to_owned()],
    };
    preview.roll = Some(Roll {
        turns: vec![turn("vps1", 1), turn("vps2", 2)],
        unchanged: vec!["vps3".parse().unwrap()],
        skipped: vec![Skipped {
            node: "home".parse().unwrap(),
            why: "it cannot be reached".to_owned(),
        }],
        radius: Radius::default(),
    });
    preview.diffs = vec![Shared {
        nodes: vec!["vps1".parse().unwrap(), "vps2".parse().unwrap()],
        file: FileDiff {
            path: "/etc/haproxy/haproxy.cfg".parse().unwrap(),
            kind: ChangeKind::Replace,
            added: 2,
            removed: 1,
            diff: Some(DIFF.to_owned()),
            note: None,
        },
    }];
    preview
}

/// What the browser wrote and what it complained of.
async fn browse(url: String, home: PathBuf, arguments: Vec<String>) -> (String, String) {
    let browsing = tokio::task::spawn_blocking(move || {
        Command::new(BROWSER)
            // It runs as root in CI, where its own sandbox refuses to start; what it opens is ours.
            .args(["--no-sandbox", "--disable-gpu", "--enable-logging=stderr"])
            .arg("--timeout=20000")
            .arg(format!("--user-data-dir={}", home.display()))
            .args(arguments)
            .arg(url)
            .env("HOME", &home)
            .output()
    });
    let output = browsing.await.unwrap().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (text(output.stdout), text(output.stderr))
}

#[tokio::test]
async fn a_browser_shows_it_in_light_and_dark_and_runs_nothing_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let (url, serving) = served(preview(), dir.path()).await;
    let home = dir.path().join("home");
    let dump = vec![WIDE.to_owned(), "--dump-dom".to_owned()];
    let (dom, said) = browse(url.clone(), home.clone(), dump).await;
    assert!(
        !said.contains("Refused") && !said.contains("violates"),
        "{said}"
    );
    assert!(
        dom.contains("<title>example #12: merging would change"),
        "{dom}"
    );
    for words in [
        "maxconn <em>2000</em>",
        "&lt;script&gt;document",
        "<rect class=\"changes\"",
        "a line that nobody expects",
        "<section id=\"node-vps2\">",
    ] {
        assert!(dom.contains(words), "{words}: {dom}");
    }
    let mut taken = Vec::new();
    for (name, scheme) in [("light", 1), ("dark", 0)] {
        let arguments = vec![
            WIDE.to_owned(),
            format!("--blink-settings=preferredColorScheme={scheme}"),
        ];
        taken.push(picture(name, url.clone(), home.clone(), arguments).await);
    }
    assert_ne!(taken[0], taken[1], "light and dark look the same");
    serving.abort();
}

/// Says how wide the page is, as data of its own: the page itself lets no script run, so it is looked at as a file.
const MEASURE: &str = "<script>document.body.dataset.overflow = document.documentElement.scrollWidth - document.documentElement.clientWidth</script>";

#[tokio::test]
async fn on_a_telephone_nothing_is_wider_than_the_screen_whatever_the_verdict() {
    let mut refused = preview();
    refused.verdict = Verdict::Refused;
    refused.request.branch = "a-branch-with-a-name-that-has-no-end".repeat(5);
    let path = "deeper/".repeat(20);
    refused.diffs[0].file.path = format!("/etc/{path}haproxy.cfg").parse().unwrap();
    refused.diffs[0].file.diff = Some(format!("@@ -1 +1 @@\n-x\n+{}\n", "long".repeat(100)));
    for (name, preview) in [("narrow", preview()), ("narrow-refused", refused)] {
        let dir = tempfile::tempdir().unwrap();
        let (url, serving) = served(preview, dir.path()).await;
        let home = dir.path().join("home");
        let arguments = vec![NARROW.to_owned()];
        picture(name, url.clone(), home.clone(), arguments).await;

        drop(rustls::crypto::ring::default_provider().install_default());
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let get = async |url: &str| client.get(url).send().await.unwrap().text().await.unwrap();
        let page = get(&url).await;
        let (host, _) = url.split_once("/previews/").unwrap();
        let style = get(&format!("{host}/previews/style.css")).await;
        let link = "<link rel=\"stylesheet\" href=\"/previews/style.css\">";
        assert!(page.contains(link), "{page}");
        let page = page.replace(link, &format!("<style>{style}</style>"));
        let page = page.replace("</body>", &format!("{MEASURE}</body>"));
        let file = dir.path().join("page.html");
        fs::write(&file, page).unwrap();
        let arguments = vec![NARROW.to_owned(), "--dump-dom".to_owned()];
        let (dom, said) = browse(format!("file://{}", file.display()), home, arguments).await;
        assert!(dom.contains("data-overflow=\"0\""), "{name}: {said}\n{dom}");
        serving.abort();
    }
}

const WIDE: &str = "--window-size=1000,1400";
const NARROW: &str = "--window-size=360,1400";

/// Kept for whoever wants to see it.
async fn picture(name: &str, url: String, home: PathBuf, mut arguments: Vec<String>) -> Vec<u8> {
    let pictures = Path::new(env!("CARGO_TARGET_TMPDIR")).join("previews");
    fs::create_dir_all(&pictures).unwrap();
    let picture = pictures.join(format!("{name}.png"));
    let _ = fs::remove_file(&picture);
    arguments.push(format!("--screenshot={}", picture.display()));
    let (_, said) = browse(url, home, arguments).await;
    let bytes = fs::read(&picture).unwrap_or_else(|error| panic!("{error}: {said}"));
    assert!(
        bytes.starts_with(b"\x89PNG") && bytes.len() > 10_000,
        "{}",
        bytes.len()
    );
    bytes
}

async fn served(preview: Preview, dir: &Path) -> (String, JoinHandle<std::io::Result<()>>) {
    let store = Store::open(&dir.join("windlass.db")).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let stored = store.add_preview(preview, Some(&address)).await.unwrap();
    let router = previews::router(store);
    let serving = tokio::spawn(async move { axum::serve(listener, router).await });
    (stored.page.unwrap(), serving)
}
