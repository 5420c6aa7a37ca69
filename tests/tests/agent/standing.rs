//! The confirmed release that stands under an attempt which changed nothing.

use windlass_core::observed::AttemptPhase;

use super::bench::{Bench, OLD, release, turn};

/// What was staged since changed nothing: the confirmed release can still be taken back, and if the machine dies
/// meanwhile, that is what it goes on with.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "lab: needs root"]
async fn a_confirmed_release_goes_back_although_another_was_staged_since() {
    let bench = Bench::boot();
    let (one, two) = (release(&[(OLD, "old\n")]), release(&[(OLD, "changed\n")]));
    bench.roll("1-a", &turn(None, &one), &one).await;
    bench.roll("1-b", &turn(Some(&one), &two), &two).await;
    assert_eq!(bench.status().await.standing, None);
    let three = release(&[(OLD, "never\n")]);
    bench.stage("1-c", Some(&two), &three).await;
    let state = bench.status().await;
    assert_eq!(state.attempt.unwrap().token, "1-c");
    let standing = state.standing.unwrap();
    assert_eq!(
        (standing.token.as_str(), standing.phase),
        ("1-b", AttemptPhase::Confirmed)
    );
    bench.rollback("1-b").await.unwrap();
    assert_eq!(bench.read(OLD), "old\n");
    let state = bench.status().await;
    let latest = state.attempt.unwrap();
    assert_eq!(
        (latest.token.as_str(), latest.phase),
        ("1-b", AttemptPhase::RolledBack)
    );
    assert_eq!(state.standing, None);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "lab: needs root"]
async fn nothing_stands_under_an_attempt_that_changed_something() {
    let bench = Bench::boot();
    let (one, two) = (release(&[(OLD, "old\n")]), release(&[(OLD, "changed\n")]));
    bench.roll("1-a", &turn(None, &one), &one).await;
    bench.stage("1-b", Some(&one), &two).await;
    bench.activate("1-b", 60).await.unwrap();
    assert_eq!(bench.status().await.standing, None);
    bench.rollback("1-b").await.unwrap();
    assert_eq!(bench.status().await.standing, None);
}
