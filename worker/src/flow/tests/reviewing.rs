//! What was reviewed, held and released counts when the branch is rolled.

use std::sync::Arc;

use windlass_core::ids::Digest;
use windlass_core::preview::{Flavour, Limits, Preview, Request, Verdict, comment};

use super::paper::Paper;
use super::world::{CLUSTER, World};
use crate::flow::prepare::{self, Memory};
use crate::flow::request::OfForge;
use crate::flow::review::Review;
use crate::flow::trouble::Trouble;
use crate::git::merge::Merged;
use crate::git::mirror::Mirror;
use crate::git::remote::{Access, Remote};
use crate::git::source::Source;
use crate::materials::Directories;
use crate::queue::EventKind::{Moved, Sweep};
use crate::store::Store;
use crate::store::reports::Report;
use crate::store::requests::KnownRequest;

const REQUEST: u64 = 12;

#[derive(Clone, Copy)]
enum How {
    Merge,
    Squash,
    Rebase,
}

struct Place {
    world: World,
    paper: Paper,
}

impl Place {
    /// With a first commit rolled out, and a request that was previewed against it.
    async fn with(policy: &str) -> Self {
        let mut world = World::new();
        let unreachable = "unreachable: skip";
        let cluster = CLUSTER.replace(unreachable, &format!("{unreachable}, {policy}"));
        world.write("cluster.yaml", &cluster);
        let base = world.commit("Policy");
        let paper = Paper::default();
        let store = world.deploy.store.clone();
        world.deploy.review = Some(review(&world, &paper, store));
        let place = Self { world, paper };
        assert_eq!(place.roll().await.outcome.word(), "rolled out");
        place
            .world
            .git(&["switch", "--quiet", "--create", "request-12"]);
        place.world.app("second", "good", "1m");
        let head = place.world.commit("Second");
        place.world.git(&["switch", "--quiet", "main"]);
        place.paper.open(REQUEST, &head);
        let mut known = KnownRequest::new(REQUEST);
        let request = Request {
            number: REQUEST,
            head: head.clone(),
            base: base.clone(),
            branch: "main".to_owned(),
        };
        let mut preview = Preview::new(
            place.world.deploy.cluster.clone(),
            request,
            Verdict::WouldChange {
                nodes: 2,
                of: 2,
                files: 2,
            },
        );
        preview.bundle = Some(place.bundle(&base, &head).await);
        (known.head, known.base, known.preview) = (head, base, Some(preview));
        place.know(&known).await;
        place
    }

    /// From now on a worker rolls that was told nothing: it has what the comment says.
    async fn by_another(&mut self, author: &str) {
        let preview = self.known().await.preview.unwrap();
        let text = comment(&preview, &Limits::of(Flavour::GitHub));
        self.paper.says(REQUEST, author, &text);
        let path = self.world.dir.path().join("another.db");
        let store = Store::open(&path).unwrap();
        self.world.deploy.review = Some(review(&self.world, &self.paper, store));
    }

    async fn know(&self, known: &KnownRequest) {
        let deploy = &self.world.deploy;
        let remembered = deploy.store.remember_request(&deploy.cluster, known).await;
        remembered.unwrap();
    }

    async fn known(&self) -> KnownRequest {
        let deploy = &self.world.deploy;
        let known = deploy.store.request(&deploy.cluster, REQUEST).await;
        known.unwrap().unwrap()
    }

    /// What merging would roll.
    async fn bundle(&self, base: &str, head: &str) -> Digest {
        let dir = self.world.dir.path();
        let remote = Remote {
            url: dir.join("origin").display().to_string(),
            branch: "main".to_owned(),
            access: Access::Open,
            authorities: None,
            signers: None,
        };
        let source = Source::new(Mirror::new(dir.join("look.git"), remote, String::new()));
        let reference = "refs/heads/request-12";
        source.fetch_request(reference).await.unwrap();
        let Merged::Clean { snapshot, .. } = source.merge(base, head).await.unwrap() else {
            panic!("a conflict");
        };
        let (none, memory) = (Directories::default(), Memory::default());
        let prepared = prepare::render(Arc::new(snapshot), &none, &memory).unwrap();
        prepared.rendered.unwrap().bundle.reviewed()
    }

    async fn roll(&self) -> Report {
        self.world.run(Moved).await.unwrap()
    }

    fn merge(&self, how: How) {
        let world = &self.world;
        match how {
            How::Merge => {
                drop(world.git(&["merge", "--quiet", "--no-ff", "-m", "M", "request-12"]))
            }
            How::Squash => {
                world.git(&["merge", "--quiet", "--squash", "request-12"]);
                world.commit("Squashed");
            }
            How::Rebase => drop(world.git(&["cherry-pick", "request-12"])),
        }
        let commit = world.git(&["rev-parse", "HEAD"]);
        self.paper.merged(REQUEST, Some(&commit));
    }

    /// Another component, which nobody saw beside the request.
    fn move_on(&self) {
        let text = "name: other\ndescription: Another.\non: all\nfiles:\n  - { path: /etc/other.conf, content: \"other\\n\" }\n";
        self.world.write("components/other/component.yaml", text);
        self.world.commit("Other");
    }
}

fn review(world: &World, paper: &Paper, store: Store) -> Review {
    Review {
        merges: Arc::new(OfForge {
            cluster: world.deploy.cluster.clone(),
            branch: "main".to_owned(),
            forge: paper.clone(),
            store,
            source: world.deploy.source.clone(),
        }),
        address: Some("https://windlass.example.org".to_owned()),
    }
}

#[tokio::test]
async fn what_another_worker_told_on_the_request_counts_though_nothing_came_from_it() {
    for how in [How::Merge, How::Squash, How::Rebase] {
        let mut place = Place::with("on_divergence: wait").await;
        place.by_another("windlass-bot").await;
        place.move_on();
        place.merge(how);
        assert_eq!(World::refusal(&place.roll().await), ["WL420"].into());
    }
    let mut place = Place::with("on_divergence: wait").await;
    place.by_another("windlass-bot").await;
    place.merge(How::Merge);
    let report = place.roll().await;
    assert_eq!(report.outcome.word(), "rolled out", "{report:?}");
    // A word that was typed counts without a comment of ours.
    let mut place = Place::with("on_divergence: wait").await;
    place.by_another("mallory").await;
    place.paper.says(REQUEST, "alice", "windlass hold");
    place.merge(How::Merge);
    let codes = World::refusal(&place.roll().await);
    assert!(codes.contains("WL419"), "{codes:?}");
    // What a stranger's file has us show is no command, although we may merge.
    let shown = "**A preview**\n```diff\n windlass release\n+x\n```\n";
    place.paper.says(REQUEST, "windlass-bot", shown);
    let codes = World::refusal(&place.roll().await);
    assert!(codes.contains("WL419"), "{codes:?}");
}

#[tokio::test]
async fn a_marker_of_somebody_elses_is_not_what_was_reviewed() {
    let mut place = Place::with("on_divergence: wait").await;
    let mut known = place.known().await;
    place.move_on();
    let base = place.world.git(&["rev-parse", "HEAD"]);
    known.preview.as_mut().unwrap().bundle = Some(place.bundle(&base, &known.head).await);
    place.know(&known).await;
    place.by_another("mallory").await;
    let mut reviewed = known.preview.unwrap();
    reviewed.bundle = Some(Digest::of(b"what was reviewed"));
    let text = comment(&reviewed, &Limits::of(Flavour::GitHub));
    place.paper.says(REQUEST, "windlass-bot", &text);
    place.merge(How::Merge);
    assert_eq!(World::refusal(&place.roll().await), ["WL420"].into());
}

#[tokio::test]
async fn every_way_of_merging_finds_its_request_and_rolls_what_was_reviewed() {
    for how in [How::Merge, How::Squash, How::Rebase] {
        let place = Place::with("on_divergence: wait").await;
        // A commit that changes nothing on the nodes: squash and rebase make other commits than the request's.
        place.world.write("README.md", "words\n");
        place.world.commit("Words");
        place.merge(how);
        let report = place.roll().await;
        assert_eq!(report.outcome.word(), "rolled out", "{report:?}");
        let reviewed = place.known().await.preview.unwrap().bundle;
        assert_eq!(report.reviewed, reviewed);
    }
}

#[tokio::test]
async fn what_is_not_as_reviewed_waits_until_exactly_it_is_released() {
    for how in [How::Merge, How::Squash, How::Rebase] {
        let place = Place::with("on_divergence: wait").await;
        place.move_on();
        place.merge(how);
        let report = place.roll().await;
        assert_eq!(World::refusal(&report), ["WL420"].into());
        assert_eq!(place.world.fleet.activations().len(), 2);

        let deploy = &place.world.deploy;
        let shown = deploy.store.latest_preview(&deploy.cluster, REQUEST).await;
        let shown = shown.unwrap().unwrap();
        assert_eq!(shown.bundle, report.reviewed);
        let paths: Vec<&str> = shown.diffs.iter().map(|it| it.file.path.as_str()).collect();
        assert_eq!(paths, ["/etc/app.conf", "/etc/other.conf"]);
        assert!(
            shown
                .page
                .unwrap()
                .starts_with("https://windlass.example.org/previews/")
        );

        // Another bundle was released than the one that waits.
        let other = Digest::of(b"other");
        deploy.store.release(&deploy.cluster, other).await.unwrap();
        let report = place.roll().await;
        assert_eq!(World::refusal(&report), ["WL420"].into());
        let released = report.reviewed.unwrap();
        deploy
            .store
            .release(&deploy.cluster, released)
            .await
            .unwrap();
        assert_eq!(place.roll().await.outcome.word(), "rolled out");
        // A later sweep asks nobody.
        place.paper.sheet().away = true;
        let swept = place.world.run(Sweep).await.unwrap();
        assert_eq!(swept.outcome.word(), "unchanged");
    }
}

#[tokio::test]
async fn what_is_not_as_reviewed_is_rolled_and_shown_where_the_policy_says_so() {
    let place = Place::with("on_divergence: roll").await;
    place.move_on();
    place.merge(How::Squash);
    let report = place.roll().await;
    assert_eq!(report.outcome.word(), "rolled out");
    let deploy = &place.world.deploy;
    let shown = deploy.store.latest_preview(&deploy.cluster, REQUEST).await;
    assert_eq!(shown.unwrap().unwrap().bundle, report.reviewed);
}

#[tokio::test]
async fn what_is_pushed_past_requests_is_rolled() {
    let place = Place::with("on_divergence: wait").await;
    place.move_on();
    assert_eq!(place.roll().await.outcome.word(), "rolled out");
}

#[tokio::test]
async fn a_hold_is_found_in_the_comments_although_no_webhook_told_of_it() {
    let place = Place::with("on_divergence: roll").await;
    place.paper.says(REQUEST, "mallory", "windlass release");
    let hold = place.paper.says(REQUEST, "alice", "Wait.\nwindlass hold");
    place.paper.is_changed(hold, "Wait!\nwindlass hold");
    place.paper.says(REQUEST, "mallory", "windlass release");
    // Whoever may write can edit what somebody wrote who may merge.
    let fine = place.paper.says(REQUEST, "alice", "fine");
    place.paper.is_changed(fine, "windlass release");
    place.merge(How::Merge);
    let report = place.roll().await;
    assert_eq!(World::refusal(&report), ["WL419"].into());
    assert_eq!(
        World::refusal(&place.world.run(Sweep).await.unwrap()),
        ["WL419"].into()
    );
    place.paper.says(REQUEST, "alice", "windlass release");
    assert_eq!(place.roll().await.outcome.word(), "rolled out");
}

#[tokio::test]
async fn a_stranger_holds_nothing() {
    let place = Place::with("on_divergence: wait").await;
    place.paper.says(REQUEST, "mallory", "windlass hold");
    place.merge(How::Rebase);
    assert_eq!(place.roll().await.outcome.word(), "rolled out");
}

#[tokio::test]
async fn with_the_forge_away_only_a_cluster_that_insists_on_reviews_waits_and_holds_are_kept() {
    let strict = Place::with("on_divergence: wait").await;
    strict.merge(How::Merge);
    strict.paper.sheet().away = true;
    assert!(matches!(
        strict.world.trouble(Moved).await,
        Trouble::Later(_)
    ));

    let place = Place::with("on_divergence: roll").await;
    place.merge(How::Merge);
    place.paper.sheet().away = true;
    let mut known = place.known().await;
    known.held = Some("alice".to_owned());
    place.know(&known).await;
    assert_eq!(World::refusal(&place.roll().await), ["WL419"].into());
    known.held = None;
    place.know(&known).await;
    assert_eq!(place.roll().await.outcome.word(), "rolled out");
}
