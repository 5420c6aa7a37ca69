use axum::body::to_bytes;
use axum::http::Request;
use tower::ServiceExt as _;
use windlass_core::codes::checks::CHECK_REFUSED;
use windlass_core::finding::{Finding, Findings};
use windlass_core::plan::{ChangeKind, Skipped};
use windlass_core::preview::{Radius, Request as Asked, Roll, Shown, TurnWords, Verdict};
use windlass_core::report::diff::{FileDiff, Shared};
use windlass_core::snapshot::Snapshot;

use super::*;

const TRICKS: [&str; 5] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "</title></style><h1>mine</h1>",
    "{{ 7 * 7 }}{% raw %}",
    "\u{202e}javascript:alert(1)\u{1b}",
];

/// Everything that a page can show, with this text wherever a request's can stand.
fn preview(text: &str) -> Preview {
    let asked = Asked {
        number: 12,
        head: "fedcba98".to_owned(),
        base: "01234567".to_owned(),
        branch: text.to_owned(),
    };
    let verdict = Verdict::WouldChange {
        nodes: 2,
        of: 4,
        files: 2,
    };
    let mut preview = Preview::new("example".parse().unwrap(), asked, verdict);
    let findings = Findings::from_iter([Finding::warning(CHECK_REFUSED, text)
        .quoting("/etc/haproxy/haproxy.cfg", 2, text)
        .hint(text)]);
    preview.findings = Shown::all(&findings, &Snapshot::default());
    let turn = |node: &str, wave| TurnWords {
        node: node.parse().unwrap(),
        wave,
        files: 1,
        drain: vec![text.to_owned()],
        actions: vec!["reload haproxy".to_owned()],
        gates: vec![text.to_owned()],
        undrain: Vec::new(),
        replaced: Vec::new(),
        because: vec![text.to_owned()],
    };
    preview.roll = Some(Roll {
        turns: vec![turn("vps1", 1), turn("vps2", 2)],
        unchanged: vec!["vps3".parse().unwrap()],
        skipped: vec![Skipped {
            node: "home".parse().unwrap(),
            why: text.to_owned(),
        }],
        radius: Radius::default(),
    });
    preview.diffs = vec![Shared {
        nodes: vec!["vps1".parse().unwrap(), "vps2".parse().unwrap()],
        file: FileDiff {
            path: "/etc/haproxy/haproxy.cfg".parse().unwrap(),
            kind: ChangeKind::Replace,
            added: 1,
            removed: 1,
            diff: Some(format!(
                "@@ -1,3 +1,3 @@\n global\n-  maxconn 1000\n+{text}\n end\n"
            )),
            note: Some(text.to_owned()),
        },
    }];
    preview
}

async fn get(store: &Store, path: &str) -> (StatusCode, String, String) {
    let request = Request::get(path).body(axum::body::Body::empty()).unwrap();
    let response = router(store.clone()).oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let policy = parts.headers.get(CONTENT_SECURITY_POLICY);
    let policy = policy.map(|policy| policy.to_str().unwrap().to_owned());
    let body = to_bytes(body, 16 << 20).await.unwrap();
    let body = String::from_utf8(body.to_vec()).unwrap();
    (parts.status, policy.unwrap_or_default(), body)
}

async fn stored(preview: Preview) -> (tempfile::TempDir, Store, String) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("windlass.db")).unwrap();
    let address = Some("https://windlass.example.org/");
    let page = store
        .add_preview(preview, address)
        .await
        .unwrap()
        .page
        .unwrap();
    let path = page.strip_prefix("https://windlass.example.org").unwrap();
    (dir, store, path.to_owned())
}

#[tokio::test]
async fn a_preview_is_shown_under_an_address_that_cannot_be_guessed() {
    let (_dir, store, path) = stored(preview("  maxconn 2000")).await;
    assert_eq!(path.len(), "/previews/".len() + 32);
    let (status, policy, page) = get(&store, &path).await;
    assert_eq!(status, StatusCode::OK);
    assert!(policy.starts_with("default-src 'none'; style-src 'self';"));
    for words in [
        "merging would change 2 of 4 nodes (2 files)",
        "-  maxconn <em>1000</em>",
        "+  maxconn <em>2000</em>",
        "on <a href=\"#node-vps1\">vps1</a>, <a href=\"#node-vps2\">vps2</a>: changed, +1 −1",
        "<section id=\"node-vps2\"><h3>vps2: 1 file</h3>\n<ul><li><a href=\"#file-0\"><code>/etc/haproxy/haproxy.cfg</code></a>: changed, +1 −1</li>",
        "<details open id=\"file-0\">",
        "reload haproxy",
        "<strong>vps1</strong>: 1 file\n",
        "the roll takes vps1, then vps2",
        "WL301",
        "<svg",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
    // The finding stands right below the line that it is about.
    let (line, note) = (
        page.find("+  maxconn <em>2000"),
        page.find("WL301:   maxconn 2000"),
    );
    assert!(line < note && note < page.rfind("end"), "{page}");
    let (status, _, style) = get(&store, "/previews/style.css").await;
    assert!(status == StatusCode::OK && style.contains("prefers-color-scheme: dark"));
    let (status, ..) = get(&store, "/previews/00000000000000000000000000000000").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn nothing_of_a_request_becomes_a_tag() {
    let plain = {
        let (_dir, store, path) = stored(preview("plain")).await;
        get(&store, &path).await.2
    };
    for trick in TRICKS {
        let (_dir, store, path) = stored(preview(trick)).await;
        let (status, _, page) = get(&store, &path).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(
            page.matches('<').count(),
            plain.matches('<').count(),
            "{page}"
        );
        assert!(
            !page.contains("<script") && !page.contains("<img"),
            "{page}"
        );
        assert!(!page.contains(['\u{202e}', '\u{1b}']), "{page}");
        assert!(!page.contains("49{%"), "{page}");
    }
}

#[tokio::test]
async fn only_so_many_are_kept_and_each_only_so_long() {
    let mut long = preview("x");
    let file = long.diffs[0].clone();
    long.diffs = vec![file; 40_000];
    let (_dir, store, path) = stored(long.clone()).await;
    let id = path.rsplit('/').next().unwrap();
    let kept = store.preview(id).await.unwrap().unwrap();
    assert_eq!(kept.diffs.len() + kept.left_out, long.diffs.len());
    assert!(kept.left_out > 0 && kept.diffs.len() > 1000);
    for number in 0..501 {
        let mut next = preview("x");
        next.request.number = number;
        store.add_preview(next, None).await.unwrap();
    }
    assert_eq!(store.preview(id).await.unwrap(), None);
    let latest = store.latest_preview(&long.cluster, 500).await.unwrap();
    assert_eq!(latest.unwrap().request.number, 500);
}
