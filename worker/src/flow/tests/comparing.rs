use windlass_core::outcome::Outcome;

use super::world::World;
use crate::flow::compare::Compared;
use crate::flow::newer::Signals;
use crate::flow::trouble::Trouble;
use crate::queue::EventKind::{Moved, Sweep};

const AS_KNOWN: Compared = Compared::AsKnown { behind: false };

async fn compare(world: &World) -> Compared {
    world.deploy.compare().await.unwrap()
}

#[tokio::test]
async fn comparing_changes_nothing_and_tells_what_differs() {
    let world = World::new();
    let differs = compare(&world).await;
    assert_eq!(
        differs,
        Compared::Differs("to be brought up to date: one, two".to_owned())
    );
    assert!(world.fleet.activations().is_empty());
    let record = world.deploy.store.cluster(&world.deploy.cluster).await;
    let compared = record.unwrap().compared.unwrap();
    assert!(compared.contains("one, two"), "{compared}");
    assert_eq!(world.deploy.store.reports(None, 10).await.unwrap(), []);

    world.run(Moved).await.unwrap();
    assert_eq!(compare(&world).await, AS_KNOWN);
    world.app("second", "good", "1m");
    world.commit("Change it");
    assert!(matches!(compare(&world).await, Compared::Differs(_)));
    assert_eq!(world.fleet.activations().len(), 2);
}

#[tokio::test]
async fn what_a_sweep_would_only_repeat_is_no_reason_for_one() {
    let world = World::new();
    world.run(Moved).await.unwrap();
    world.write("nodes/one.yaml", "roles: [");
    world.commit("Break");
    assert_eq!(
        compare(&world).await,
        Compared::Differs("refused would be new".to_owned())
    );
    world.run(Sweep).await.unwrap();
    assert_eq!(compare(&world).await, AS_KNOWN);
}

#[tokio::test]
async fn a_node_that_is_away_is_told_once_and_looked_for_again() {
    let world = World::new();
    world.run(Moved).await.unwrap();
    world.fleet.set_away("two", true);
    assert!(matches!(compare(&world).await, Compared::Differs(_)));
    let report = world.run(Sweep).await.unwrap();
    assert!(matches!(report.outcome, Outcome::Unchanged { skipped } if skipped.len() == 1));
    assert_eq!(compare(&world).await, Compared::AsKnown { behind: true });
}

#[tokio::test]
async fn nothing_is_compared_while_a_roll_is_under_way() {
    let world = World::new();
    let rolling = world.deploy.newer.begin("a", &Signals::default());
    let compared = world.deploy.compare().await;
    assert!(matches!(compared, Err(Trouble::Later(_))), "{compared:?}");
    drop(rolling);
    assert!(matches!(compare(&world).await, Compared::Differs(_)));
}
