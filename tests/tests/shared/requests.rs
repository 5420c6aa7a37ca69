//! Requests where several workers share the work: what one has learnt counts at another, whether a word came from it or not.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use windlass_tests::forge::{Flavour, State, Weather, Word};
use windlass_tests::lab::wait_until;

use super::forge::{APP, Forge, component};
use super::place::SOON;
use super::worker::Worker;

const OTHER: &str = "components/other/component.yaml";
const ANOTHER: &str = "name: other\ndescription: Another.\non: all\nfiles:\n  - { path: /etc/other.conf, content: \"other\\n\" }\n";

/// The end of the full preview's address.
fn page(comment: &str) -> Result<String> {
    let (_, rest) = comment.split_once("/previews/").context("a link")?;
    let end = rest.find(['>', ')']).context("its end")?;
    Ok(format!("/previews/{}", &rest[..end]))
}

/// The name of the report that tells of this commit's roll.
fn rolled(worker: &Worker, commit: &str) -> Option<String> {
    let reports = worker.reports().unwrap_or_default();
    let mut reports = reports.iter();
    let report = reports.find(|it| it["commit"] == commit && it["outcome"] == "rolled-out")?;
    report["roll"].as_str().map(str::to_owned)
}

/// Each worker dies with all that it has told nobody, and the next one knows nothing but what stands at the forge.
#[test]
#[ignore = "lab: needs root"]
fn a_merge_is_judged_by_a_worker_that_never_heard_of_the_request() -> Result<()> {
    let place = Forge::make(Flavour::Gitea)?;
    let mut a = place.worker("a")?;
    wait_until(SOON, || place.holds("1")).with_context(|| a.log())?;
    let head = place.fake.open(12, "alice", &[(APP, &component("2"))]);
    // It dies in the middle of its look: the forge takes its time with what is asked last.
    place.deliver(&a, "opened", Word::Opened(12))?;
    place.has_status(&a, &head, "pending", "checking")?;
    place.fake.state().weather = vec![Weather::Slow(Duration::from_secs(2)); 3].into();
    a.kill()?;
    let mut b = place.worker("b")?;
    let (comment, _) = place.says(&b, "merging would change 1 of 1 node")?;
    place.types(&b, "windlass hold")?;
    place.has_status(&b, &head, "pending", "held by alice")?;
    b.kill()?;

    // Nobody is told of the merge either.
    place.fake.push_main(&[(OTHER, ANOTHER)]);
    place.fake.merge(12);
    let c = place.worker("c")?;
    let held = place.says(&c, "merged, and held until someone releases it")?;
    ensure!(held.0 == comment && place.holds("1"), "{}", held.1);
    ensure!(
        held.1.contains("This is not what was reviewed"),
        "{}",
        held.1
    );
    place.types(&c, "windlass release")?;
    place.has_status(&c, &head, "success", "rolled out to vps1")?;
    ensure!(place.says(&c, "rolled out to vps1")?.0 == comment);
    ensure!(place.holds("2"));
    Ok(())
}

#[test]
#[ignore = "lab: needs root"]
fn what_one_worker_previewed_and_rolled_all_show() -> Result<()> {
    let place = Forge::make(Flavour::GitHub)?;
    let mut workers = vec![place.worker("a")?, place.worker("b")?];
    wait_until(SOON, || place.holds("1")).with_context(|| workers[0].log())?;
    let head = place.fake.open(12, "alice", &[(APP, &component("2"))]);
    // Both are told, as two webhooks and two polls would.
    place.deliver(&workers[0], "one", Word::Opened(12))?;
    place.deliver(&workers[1], "other", Word::Opened(12))?;
    let (comment, text) = place.says(&workers[0], "merging would change 1 of 1 node")?;
    let page = page(&text)?;
    for worker in &workers {
        let shown = || worker.get(&page).is_ok_and(|status| status == 200);
        wait_until(SOON, shown).with_context(|| format!("{page}\n{}", worker.log()))?;
    }
    let commit = place.fake.merge(12);
    place.deliver(&workers[0], "merged", Word::Merged(12))?;
    place.deliver(&workers[1], "push", Word::Push)?;
    place.has_status(&workers[0], &head, "success", "rolled out to vps1")?;
    ensure!(place.says(&workers[1], "rolled out to vps1")?.0 == comment);
    // One that comes later is told of what was before it.
    workers.push(place.worker("c")?);
    for worker in &workers {
        let known = || rolled(worker, &commit).is_some() && worker.get(&page).ok() == Some(200);
        wait_until(SOON, known).with_context(|| worker.log())?;
        ensure!(rolled(worker, &commit) == rolled(&workers[0], &commit));
        ensure!(!worker.log().contains("panicked"), "{}", worker.log());
    }
    Ok(())
}

/// What is typed comes to each worker, as from two webhooks and two polls.
#[test]
#[ignore = "lab: needs root"]
fn a_command_that_every_worker_hears_is_answered_once() -> Result<()> {
    let place = Forge::make(Flavour::GitLab)?;
    let workers = [place.worker("a")?, place.worker("b")?];
    wait_until(SOON, || place.holds("1")).with_context(|| workers[0].log())?;
    place.fake.open(12, "alice", &[(APP, &component("2"))]);
    place.deliver(&workers[0], "opened", Word::Opened(12))?;
    place.says(&workers[0], "merging would change 1 of 1 node")?;
    let typed = [
        "windlass explain WL601",
        "windlass dance",
        "windlass release",
    ];
    let typed = typed.map(|words| place.fake.state().comment(12, "alice", words));
    for comment in typed {
        for (index, worker) in workers.iter().enumerate() {
            let told = Word::Commented(12, comment);
            place.deliver(worker, &format!("typed-{comment}-{index}"), told)?;
        }
    }
    let answered = |state: &State, comment: u64| {
        let mark = format!("<!-- windlass:example/answers {comment} -->");
        let own = state.own(12);
        own.iter().filter(|it| it.body.contains(&mark)).count()
    };
    let read = |state: &State, comment: u64| state.asked("GET", &format!("/notes/{comment}"));
    place.until(&workers[0], "one answer to each", |state| {
        let mut typed = typed.iter();
        typed.all(|comment| read(state, *comment) > 0 && answered(state, *comment) == 1)
    })?;
    // One that comes afterwards may not have been told.
    let [mut a, mut b] = workers;
    a.kill()?;
    b.kill()?;
    let c = place.worker("c")?;
    let before = typed.map(|comment| read(&place.fake.state(), comment));
    for comment in typed {
        place.deliver(
            &c,
            &format!("again-{comment}"),
            Word::Commented(12, comment),
        )?;
    }
    place.until(&c, "another look at each", |state| {
        let mut typed = typed.iter().zip(before);
        typed.all(|(comment, before)| read(state, *comment) > before)
    })?;
    let last = place
        .fake
        .state()
        .comment(12, "alice", "windlass explain WL602");
    place.deliver(&c, "last", Word::Commented(12, last))?;
    place.until(&c, "the last answer", |state| answered(state, last) == 1)?;
    let state = place.fake.state();
    ensure!(state.own(12).len() == 5, "{:#?}", state.own(12));
    Ok(())
}
