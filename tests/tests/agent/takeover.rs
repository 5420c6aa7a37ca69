//! One worker takes a turn over from another: the old one is refused whatever it tries, and the new one goes on with
//! the same attempt.

use windlass::node::Nodes;
use windlass::ports::{Claimed, Fence, NodeError, NodeReader, NodeWriter};
use windlass_core::fence::next_generation;
use windlass_core::observed::AttemptPhase;
use windlass_core::plan::Turn;
use windlass_core::release::Release;

use super::bench::{Bench, OLD, command, release, turn};

const VERBS: [&str; 8] = [
    "stage", "check", "drain", "activate", "extend", "undrain", "confirm", "rollback",
];

fn fence(number: u64) -> Fence {
    Fence {
        cluster: "example".parse().unwrap(),
        number,
        holder: format!("worker-{number}#1@1000/roll"),
    }
}

struct World {
    bench: Bench,
    old: Release,
    new: Release,
    turn: Turn,
}

impl World {
    /// A node that holds a release.
    async fn new() -> Self {
        let bench = Bench::boot();
        let (old, new) = (release(&[(OLD, "old\n")]), release(&[(OLD, "new\n")]));
        bench.roll("1-start", &turn(None, &old), &old).await;
        let mut turn = turn(Some(&old), &new);
        turn.drain = vec![command("touch /run/drained")];
        turn.undrain = vec![command("rm -f /run/drained")];
        turn.forward = vec![command("echo forward >>/root/done")];
        turn.backward = vec![command("echo backward >>/root/done")];
        let world = Self {
            bench,
            old,
            new,
            turn,
        };
        world.bench.sh("true >/root/done");
        world
    }

    async fn claim(&self, nodes: &Nodes, number: u64) -> Result<Claimed, NodeError> {
        nodes.claim(&fence(number), &self.bench.name).await
    }

    async fn say(
        &self,
        nodes: &Nodes,
        number: u64,
        verb: &str,
        token: &str,
    ) -> Result<(), NodeError> {
        let (fence, name) = (&fence(number), &self.bench.name);
        match verb {
            "stage" => nodes.stage(fence, token, &self.new, &self.turn).await,
            "check" => nodes.check(fence, token, name).await.map(drop),
            "drain" => nodes.drain(fence, token, name).await,
            "activate" => nodes.activate(fence, token, name, 60).await,
            "extend" => nodes.extend(fence, token, name, 60).await,
            "undrain" => nodes.undrain(fence, token, name).await,
            "confirm" => nodes.confirm(fence, token, name).await,
            "claim" => nodes.claim(fence, name).await.map(drop),
            _ => {
                nodes
                    .rollback(fence, token, name, "a test asked for it")
                    .await
            }
        }
    }
}

/// At every phase of a turn the first worker is overtaken and goes on.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "lab: needs root"]
async fn a_worker_that_was_overtaken_is_refused_at_every_verb() {
    let world = World::new().await;
    let (first, second) = (&world.bench.nodes, world.bench.other_worker());
    let mut number = 1000;
    for reached in 1..VERBS.len() {
        let token = format!("{number}-a");
        for verb in &VERBS[..reached] {
            world.say(first, number, verb, &token).await.unwrap();
        }
        let taken = world.claim(&second, number + 1).await.unwrap();
        assert_eq!(taken.before, (number, fence(number).holder));
        let before = world.bench.status().await;
        assert_eq!(before.attempt, taken.state.attempt);
        for verb in VERBS.iter().chain(&["claim"]) {
            let said = world.say(first, number, verb, &token).await;
            let refused = matches!(said, Err(NodeError::Fenced { .. }));
            assert!(refused, "{verb} after {:?}: {said:?}", &VERBS[..reached]);
        }
        let after = world.bench.status().await;
        assert_eq!((after.attempt, after.fence), (before.attempt, number + 1));
        world
            .say(&second, number + 1, "rollback", &token)
            .await
            .unwrap();
        assert_eq!(world.bench.read(OLD), "old\n");
        number += 2;
    }
}

/// Each verb by another worker, and repeated by the one that takes over next.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "lab: needs root"]
async fn the_next_worker_goes_on_with_the_same_attempt_at_every_phase() {
    let world = World::new().await;
    let mut number = 1000;
    for verb in VERBS {
        for _ in 0..2 {
            let worker = world.bench.other_worker();
            world.claim(&worker, number).await.unwrap();
            let said = world.say(&worker, number, verb, "1000-a").await;
            said.unwrap_or_else(|error| panic!("{verb} with {number}: {error}"));
            number += 1;
        }
        if verb == "confirm" {
            assert_eq!(world.bench.read("/root/done"), "forward\n", "once");
            assert_eq!(world.bench.read(OLD), "new\n");
            assert!(!world.bench.exists("/run/drained"));
        }
    }
    let state = world.bench.status().await;
    assert_eq!(state.current.unwrap().digest, world.old.meta.digest);
    assert_eq!(state.attempt.unwrap().phase, AttemptPhase::RolledBack);
    assert_eq!(world.bench.read("/root/done"), "forward\nbackward\n");
}

/// Before there were takeovers, fences were small and had no turn beside them.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "lab: needs root"]
async fn a_node_with_a_small_fence_of_old_goes_on() {
    let world = World::new().await;
    let state = world.bench.nodes.status(&world.bench.name).await.unwrap();
    assert_eq!((state.fence, state.holder.as_str()), (1, "roll-1"));
    let number = next_generation(state.fence);
    let claimed = world.claim(&world.bench.nodes, number).await.unwrap();
    assert_eq!(claimed.before, (1, "roll-1".to_owned()));
    for verb in &VERBS[..7] {
        let said = world.say(&world.bench.nodes, number, verb, "1000-a").await;
        said.unwrap_or_else(|error| panic!("{verb}: {error}"));
    }
    // The worker of old takes one number more than the highest, and is let in as before.
    let claimed = world.claim(&world.bench.nodes, number + 1).await.unwrap();
    assert_eq!(claimed.before.0, number);
}
