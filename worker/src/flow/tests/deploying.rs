use std::collections::BTreeSet;
use std::time::Duration;

use windlass_core::outcome::Outcome;

use super::world::World;
use crate::flow::trouble::Trouble;
use crate::git::mirror::Mirror;
use crate::git::remote::{Access, Remote};
use crate::git::source::Source;
use crate::queue::EventKind::{Asked, Moved, Sweep};
use crate::roll::RollPermit;

fn word(report: Option<&crate::store::reports::Report>) -> &'static str {
    report.map_or("nothing", |report| report.outcome.word())
}

#[tokio::test]
async fn a_push_is_rolled_once() {
    let world = World::new();
    let first = world.run(Moved).await;
    assert_eq!(word(first.as_ref()), "rolled out", "{first:?}");
    assert_eq!(world.fleet.activations(), ["one", "two"]);
    assert_eq!(word(world.run(Moved).await.as_ref()), "nothing");
    assert_eq!(word(world.run(Sweep).await.as_ref()), "unchanged");

    for n in 0..5 {
        world.app(&format!("burst {n}"), "good", "1m");
        world.commit("burst");
    }
    assert_eq!(word(world.run(Moved).await.as_ref()), "rolled out");
    for _ in 0..4 {
        assert_eq!(word(world.run(Moved).await.as_ref()), "nothing");
    }
    assert_eq!(world.fleet.activations().len(), 4);
    let reports = world.deploy.store.reports(None, 10).await.unwrap();
    assert_eq!(
        reports.len(),
        2,
        "a sweep that finds nothing new is not told"
    );
}

#[tokio::test]
async fn a_broken_commit_is_refused_once_and_its_mending_goes_on() {
    let world = World::new();
    world.run(Moved).await.unwrap();
    world.write("nodes/one.yaml", "roles: [");
    world.commit("Break");
    let report = world.run(Moved).await.unwrap();
    assert_eq!(report.outcome.word(), "refused");
    world.run(Sweep).await.unwrap();
    assert_eq!(world.deploy.store.reports(None, 10).await.unwrap().len(), 2);
    world.git(&["revert", "--no-edit", "HEAD"]);
    assert_eq!(word(world.run(Moved).await.as_ref()), "unchanged");
}

#[tokio::test]
async fn what_was_rolled_back_is_not_tried_again_until_a_person_says_so() {
    let world = World::new();
    world.run(Moved).await.unwrap();
    let good = world.fleet.commits();
    world.app("second", "bad", "1s");
    world.commit("Break the site");
    let report = world.run(Moved).await.unwrap();
    let Outcome::RolledBack { failure, .. } = &report.outcome else {
        panic!("{report:?}")
    };
    assert_eq!(failure.node.as_str(), "one");
    assert_eq!(world.fleet.commits(), good);
    let activations = world.fleet.activations().len();

    let again = world.run(Sweep).await.unwrap();
    assert_eq!(World::refusal(&again), BTreeSet::from(["WL407"]));
    assert_eq!(world.fleet.activations().len(), activations);
    let told = world.deploy.store.reports(None, 10).await.unwrap();
    let words: Vec<&str> = told.iter().map(|report| report.outcome.word()).collect();
    assert_eq!(
        words,
        ["rolled back", "rolled out"],
        "why, and not that it waits"
    );
    let asked = world.run(Asked).await.unwrap();
    assert_eq!(asked.outcome.word(), "rolled back");

    world.app("third", "good", "1m");
    world.commit("Mend it");
    assert_eq!(word(world.run(Moved).await.as_ref()), "rolled out");
}

#[tokio::test]
async fn a_rewound_branch_is_refused_until_a_person_accepts_it() {
    let world = World::new();
    let first = world.git(&["rev-parse", "HEAD"]);
    world.app("second", "good", "1m");
    world.commit("Second");
    world.run(Moved).await.unwrap();
    world.git(&["reset", "--quiet", "--hard", &first]);
    assert_eq!(
        World::refusal(&world.run(Moved).await.unwrap()),
        BTreeSet::from(["WL601"])
    );
    // A new database knows nothing, but the nodes do.
    let forget = |db: &mut rusqlite::Connection| db.execute("DELETE FROM cluster", []);
    world.deploy.store.call(forget).await.unwrap();
    assert_eq!(
        World::refusal(&world.run(Sweep).await.unwrap()),
        BTreeSet::from(["WL601"])
    );

    let store = &world.deploy.store;
    let another = "1".repeat(40);
    store.accept(&world.deploy.cluster, &another).await.unwrap();
    let report = world.run(Asked).await.unwrap();
    assert_eq!(World::refusal(&report), BTreeSet::from(["WL601"]));
    world
        .deploy
        .store
        .accept(&world.deploy.cluster, &first)
        .await
        .unwrap();
    assert_eq!(word(world.run(Asked).await.as_ref()), "rolled out");
    let other = world.commit("Forward again");
    assert_eq!(word(world.run(Moved).await.as_ref()), "unchanged");
    world.git(&["reset", "--quiet", "--hard", &first]);
    let report = world.run(Moved).await.unwrap();
    assert_eq!(
        World::refusal(&report),
        BTreeSet::from(["WL601"]),
        "accepted once: {other}"
    );
}

#[tokio::test]
async fn a_node_that_was_away_catches_up() {
    let world = World::new();
    world.fleet.set_away("two", true);
    let report = world.run(Moved).await.unwrap();
    let Outcome::RolledOut { skipped, .. } = &report.outcome else {
        panic!("{report:?}")
    };
    assert_eq!(skipped[0].node.as_str(), "two");
    assert!(skipped[0].why.contains("cannot be reached"), "{skipped:?}");
    assert_eq!(world.fleet.commits().len(), 1);
    world.fleet.set_away("two", false);
    assert_eq!(word(world.run(Sweep).await.as_ref()), "rolled out");
    assert_eq!(world.fleet.commits().len(), 2);
    assert_eq!(world.fleet.activations(), ["one", "two"]);
}

#[tokio::test]
async fn a_commit_without_a_signature_that_counts_is_refused() {
    let mut world = World::new();
    let remote = Remote {
        url: world.dir.path().join("origin").display().to_string(),
        branch: "main".to_owned(),
        access: Access::Open,
        authorities: None,
        signers: Some("/dev/null".into()),
    };
    let mirror = world.dir.path().join("signed.git");
    world.deploy.source = Source::new(Mirror::new(mirror, remote, String::new()));
    let report = world.run(Moved).await.unwrap();
    assert_eq!(World::refusal(&report), BTreeSet::from(["WL605"]));
    assert!(world.fleet.activations().is_empty());
}

#[tokio::test]
async fn trouble_outside_is_no_verdict() {
    let world = World::new();
    let origin = world.dir.path().join("origin");
    std::fs::rename(&origin, world.dir.path().join("elsewhere")).unwrap();
    assert!(matches!(world.trouble(Moved).await, Trouble::Later(_)));
    std::fs::rename(world.dir.path().join("elsewhere"), &origin).unwrap();
    let permit = RollPermit::take(world.dir.path(), &world.deploy.cluster).unwrap();
    assert!(matches!(world.trouble(Moved).await, Trouble::Later(_)));
    drop(permit);
    world.git(&["branch", "--move", "main", "trunk"]);
    assert_eq!(
        World::refusal(&world.run(Moved).await.unwrap()),
        BTreeSet::from(["WL602"])
    );
    world.git(&["branch", "--move", "trunk", "main"]);
    world.write(
        "cluster.yaml",
        &super::world::CLUSTER.replace("name: example", "name: other"),
    );
    world.commit("Rename");
    let renamed = World::refusal(&world.run(Moved).await.unwrap());
    assert!(renamed.contains("WL604"), "{renamed:?}");
}

#[tokio::test]
async fn a_roll_that_somebody_must_go_on_with_waits_for_git() {
    let world = World::new();
    let origin = world.dir.path().join("origin");
    std::fs::rename(&origin, world.dir.path().join("elsewhere")).unwrap();
    let unknown = world.deploy.model_of(&"0".repeat(40)).await;
    assert!(matches!(unknown, Err(Trouble::Later(_))), "{unknown:?}");
}

/// A worker is killed after the roll's last entry, and before anything else is written.
#[tokio::test]
async fn how_a_roll_ended_is_told_by_the_next_worker_where_the_last_one_could_not() {
    let world = World::new();
    let (store, cluster) = (&world.deploy.store, &world.deploy.cluster);
    let killed = || async {
        let forget = "DELETE FROM report; DELETE FROM quarantine; UPDATE roll SET told = 0;
            UPDATE cluster SET rolled = NULL";
        let done = store.call(move |db| db.execute_batch(forget)).await;
        done.unwrap();
    };
    let told = || async { store.reports(Some(cluster), 9).await.unwrap() };

    world.run(Moved).await.unwrap();
    killed().await;
    world.deploy.recover().await.unwrap();
    world.deploy.recover().await.unwrap();
    let reports = told().await;
    assert_eq!(reports.len(), 1, "{reports:?}");
    assert_eq!(reports[0].outcome.word(), "rolled out");
    assert!(world.run(Moved).await.is_none(), "it was dealt with");

    world.app("second", "bad", "1s");
    world.commit("Break the site");
    let before = world.run(Moved).await.unwrap();
    assert_eq!(before.outcome.word(), "rolled back");
    killed().await;
    world.deploy.recover().await.unwrap();
    let reports = told().await;
    assert_eq!(reports.len(), 1, "{reports:?}");
    assert_eq!(reports[0].outcome, before.outcome);
    assert_eq!(reports[0].commit, before.commit);
    let held = store.quarantined_bundles(cluster).await.unwrap();
    assert_eq!(held, BTreeSet::from([before.bundle.unwrap()]));
}

#[tokio::test]
async fn a_mending_commit_does_not_wait_for_the_broken_one() {
    let world = World::new();
    world.run(Moved).await.unwrap();
    world.app("second", "bad", "40s");
    world.commit("Break the site, with a long deadline");
    let mending = async {
        // Until the roll of the broken commit waits for its gate.
        world.until_activated(3).await;
        world.app("third", "good", "1h");
        world.commit("Mend it");
    };
    let deadline = Duration::from_secs(60);
    let both = async { tokio::join!(world.run(Moved), mending) };
    let (report, ()) = tokio::time::timeout(deadline, both).await.unwrap();
    assert_eq!(word(report.as_ref()), "rolled back");
    let quarantine = world
        .deploy
        .store
        .quarantined(&world.deploy.cluster)
        .await
        .unwrap();
    assert!(
        quarantine.is_empty(),
        "it was called off, it did not fail: {quarantine:?}"
    );
    assert_eq!(word(world.run(Moved).await.as_ref()), "rolled out");
}

#[tokio::test]
async fn a_worker_that_stops_takes_the_turn_back() {
    let world = World::new();
    world.run(Moved).await.unwrap();
    let good = world.fleet.commits();
    world.app("second", "bad", "1h");
    world.commit("Wait for ever");
    let stopping = async {
        world.until_activated(3).await;
        world.deploy.stop.cancel();
    };
    let deadline = Duration::from_secs(60);
    let both = async { tokio::join!(world.run(Moved), stopping) };
    let (report, ()) = tokio::time::timeout(deadline, both).await.unwrap();
    assert_eq!(word(report.as_ref()), "rolled back");
    assert_eq!(world.fleet.commits(), good);
}

#[tokio::test]
async fn a_slow_start_is_not_taken_back_for_a_newer_commit() {
    let world = World::new();
    world.run(Moved).await.unwrap();
    world.fleet.forget_when_asked();
    world.app("second", "slow", "2m");
    world.commit("Needs a few seconds");
    let pushing = async {
        world.until_activated(3).await;
        world.app("third", "good", "1m");
        world.commit("While the first node starts");
    };
    let deadline = Duration::from_secs(60);
    let both = async { tokio::join!(world.run(Moved), pushing) };
    let (report, ()) = tokio::time::timeout(deadline, both).await.unwrap();
    assert_eq!(word(report.as_ref()), "rolled out", "{report:?}");
    assert_eq!(word(world.run(Moved).await.as_ref()), "rolled out");
}

#[tokio::test]
async fn where_the_policy_stops_the_nodes_done_stay_and_the_newer_commit_follows() {
    let world = World::new();
    world.stops_for_newer();
    world.commit("Stop for what is newer");
    world.run(Moved).await.unwrap();
    world.fleet.forget_when_asked();
    world.app("second", "slow", "2m");
    let second = world.commit("Needs a few seconds");
    let pushing = async {
        world.until_activated(3).await;
        world.app("third", "good", "1m");
        world.commit("While the first node starts")
    };
    let moved = world.event(Moved);
    let deadline = Duration::from_secs(60);
    let both = async { tokio::join!(world.deploy.run(&moved), pushing) };
    let (answered, third) = tokio::time::timeout(deadline, both).await.unwrap();
    let answered = answered.unwrap();
    let Outcome::Overtaken { by, nodes, left } = &answered.report.unwrap().outcome else {
        panic!("not overtaken");
    };
    assert_eq!(
        (by, nodes[0].as_str(), left[0].as_str()),
        (&third, "one", "two")
    );
    let commits = world.fleet.commits();
    assert_eq!((nodes.len(), &commits["one"]), (1, &second));
    assert_ne!(commits["two"], second);
    let quarantine = world.deploy.store.quarantined(&world.deploy.cluster).await;
    assert!(quarantine.unwrap().is_empty());

    let next = answered.then.unwrap();
    assert_eq!(next.kind, Moved);
    let answered = world.deploy.run(&next).await.unwrap();
    assert_eq!(word(answered.report.as_ref()), "rolled out");
    assert!(world.fleet.commits().values().all(|held| *held == third));
    assert_eq!(world.fleet.activations().len(), 5);
}
