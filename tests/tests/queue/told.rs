//! What one worker learns, those beside it know: also one that was away, and one that is new.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use jiff::Timestamp;
use windlass::queue::EventQueue as _;
use windlass::store::Store;
use windlass::store::reports::Report;
use windlass::store::requests::KnownRequest;
use windlass_core::outcome::Outcome;
use windlass_tests::broker::Version;

use super::place::{Place, SOON, cluster, event, take};

const LONG: Duration = Duration::from_secs(60);

fn report(commit: &str) -> Report {
    Report {
        id: 0,
        roll: None,
        cluster: cluster(),
        commit: commit.to_owned(),
        subject: String::new(),
        bundle: None,
        reviewed: None,
        trigger: "push".to_owned(),
        started: Timestamp::now(),
        ended: Timestamp::now(),
        outcome: Outcome::Unchanged { skipped: vec![] },
    }
}

async fn commits(store: &Store) -> Result<Vec<String>> {
    let reports = store.reports(None, 10).await?;
    Ok(reports.into_iter().map(|report| report.commit).collect())
}

async fn until_known(store: &Store, wanted: &[&str]) -> Result<()> {
    let known = async {
        while commits(store).await? != wanted {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        anyhow::Ok(())
    };
    let known = tokio::time::timeout(SOON, known).await;
    known.with_context(|| format!("{wanted:?} did not come"))?
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_worker_learns_all_know() -> Result<()> {
    let place = Place::start(Version::V3)?;
    let url = place.broker.url("v0");
    let (a, b) = (place.store("a")?, place.store("b")?);
    let of_a = place.queue(&url, "a", LONG)?;
    let of_b = place.queue(&url, "b", LONG)?;
    a.add_report(report("one")).await?;
    until_known(&b, &["one"]).await?;
    let mut known = KnownRequest::new(12);
    known.held = Some("alice".to_owned());
    b.remember_request(&cluster(), &known).await?;
    b.add_report(report("two")).await?;
    until_known(&a, &["two", "one"]).await?;
    ensure!(a.request(&cluster(), 12).await? == Some(known));

    // Nobody is there to hear it; it is with the broker, and its worker dies.
    of_b.close().await;
    a.add_report(report("three")).await?;
    let untold = async {
        while !a.untold(10).await?.is_empty() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(SOON, untold)
        .await
        .context("the broker has it")??;
    of_a.close().await;
    let _of_b = place.queue(&url, "b", LONG)?;
    until_known(&b, &["three", "two", "one"]).await?;

    // One that never was there is told by who is.
    let c = place.store("c")?;
    let _of_c = place.queue(&url, "c", LONG)?;
    until_known(&c, &["three", "two", "one"]).await?;
    ensure!(c.request(&cluster(), 12).await?.is_some());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_learnt_while_the_broker_is_away_is_told_when_it_is_back() -> Result<()> {
    let place = Place::start(Version::V3)?;
    let url = place.broker.url("v0");
    let (a, b) = (place.store("a")?, place.store("b")?);
    let of_a = place.queue(&url, "a", LONG)?;
    let _of_b = place.queue(&url, "b", LONG)?;
    a.add_report(report("one")).await?;
    until_known(&b, &["one"]).await?;
    place.broker.node(0).stop()?;
    a.add_report(report("two")).await?;
    of_a.publish(&event("meanwhile")).await?;
    place.broker.node(0).start()?;
    until_known(&b, &["two", "one"]).await?;
    let lease = take(&of_a).await?;
    ensure!(lease.event.id == "meanwhile");
    Ok(of_a.ack(lease, &[]).await?)
}
