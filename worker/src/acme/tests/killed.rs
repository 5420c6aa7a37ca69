//! A worker that dies anywhere: after an entry was stored, or after the step and before its entry. Whoever comes next
//! goes on with the same order, and with the same key.

use instant_acme::AuthorizationStatus;
use windlass_core::acme::{Entry, Step};

use super::authority::begun;
use super::world::World;

#[tokio::test]
async fn killed_after_every_entry() {
    let world = World::new().await;
    let wanted = world.wanted("blog", &["blog.example.org", "www.example.org"]);
    drop(world.orderer().ledger.begin(begun(&wanted)).await.unwrap());
    let mut steps = Vec::new();
    loop {
        // Nothing of the last worker is left but its files.
        let orderer = world.orderer();
        let Some(mut open) = orderer.ledger.open(&wanted.name).await.unwrap() else {
            break;
        };
        steps.push(open.order.next());
        assert!(steps.len() < 20, "{steps:?}");
        if open.order.next() == Step::Announce {
            orderer.announce().await.unwrap();
            continue;
        }
        let ran = orderer
            .advance(&mut open, &mut None, &wanted, &world.access())
            .await
            .unwrap();
        assert!(
            !matches!(ran, Some(crate::acme::Ran::Failed { .. })),
            "{steps:?}: {ran:?}"
        );
    }
    assert_eq!(
        steps,
        [
            Step::MakeKey,
            Step::Place,
            Step::Publish,
            Step::Probe,
            Step::Prove,
            Step::Finalize,
            Step::Download,
            Step::Store,
            Step::Announce
        ]
    );
    let leaf = world.orderer().shelf.leaf(&wanted.name).unwrap().unwrap();
    assert!(leaf.is_for(&wanted.names));
    assert_eq!(world.told.0.lock().unwrap().len(), 1);
    assert_eq!(world.count("acme_order").await, 1);
    assert_eq!(world.pebble.orders(), 1);
}

/// The database refuses the n-th entry: the step was carried out, and nobody wrote it down. A full disk looks the same.
#[tokio::test]
async fn killed_before_every_entry() {
    for refused in 2..=10 {
        let world = World::new().await;
        let wanted = world.wanted("blog", &["blog.example.org"]);
        let store = world.store();
        let trigger = format!(
            "CREATE TRIGGER full BEFORE INSERT ON acme_entry WHEN (SELECT count(*) FROM acme_entry) >= {}
             BEGIN SELECT RAISE(ABORT, 'disk full'); END",
            refused - 1
        );
        store
            .call(move |db| db.execute_batch(&trigger))
            .await
            .unwrap();
        let died = world
            .orderer()
            .run(&wanted, &super::world::now(), &world.access())
            .await;
        let announced = world.orderer().announce().await;
        assert!(
            died.is_err() || announced.is_err(),
            "at entry {refused}: {died:?}"
        );
        store
            .call(|db| db.execute_batch("DROP TRIGGER full"))
            .await
            .unwrap();
        World::issued(world.run(&wanted).await);
        let leaf = world.orderer().shelf.leaf(&wanted.name).unwrap().unwrap();
        assert!(leaf.is_for(&wanted.names));
        assert_eq!(world.count("acme_order").await, 1, "at entry {refused}");
        let told = world.told.0.lock().unwrap().clone();
        assert!(
            !told.is_empty() && told.iter().all(|id| *id == told[0]),
            "at entry {refused}: {told:?}"
        );
    }
}

/// It had the authority look and died; the authority was convinced after the next worker saw its open question, and
/// before that worker had it look. It looks once only.
#[tokio::test]
async fn killed_while_the_authority_looks() {
    let world = World::new().await;
    let wanted = world.wanted("blog", &["blog.example.org", "www.example.org"]);
    let orderer = world.orderer();
    let mut open = orderer.ledger.begin(begun(&wanted)).await.unwrap();
    let mut session = None;
    while open.order.next() != Step::Prove {
        let ran = orderer
            .advance(&mut open, &mut session, &wanted, &world.access())
            .await;
        assert_eq!(ran.unwrap(), None);
    }
    let (session, url) = (session.unwrap(), open.order.url.clone().unwrap());
    let mut seen = session.account.order(url.clone()).await.unwrap();
    let mut questions = seen.authorizations();
    while let Some(question) = questions.next().await {
        assert_eq!(question.unwrap().status, AuthorizationStatus::Pending);
    }

    let answers = open.order.proofs.iter();
    let _given = orderer
        .challenges
        .give(answers.map(|proof| (proof.token.clone(), proof.answer.clone())));
    let before = session.prove(&open.order.begun, &url).await;
    assert!(matches!(before, Ok(Entry::Ready)), "{before:?}");
    let proven = session.convince(&open.order.begun, seen).await;
    assert!(matches!(proven, Ok(Entry::Ready)), "{proven:?}");
}

/// No space for the certificate itself: it stays in the database, and is put down when there is.
#[tokio::test]
async fn a_full_disk_loses_no_certificate() {
    let world = World::new().await;
    let wanted = world.wanted("blog", &["blog.example.org"]);
    let folder = world.path().join("certificates");
    std::fs::write(&folder, "in the way").unwrap();
    let ran = world.run(&wanted).await;
    let crate::acme::Ran::Failed { failure, why } = ran else {
        panic!("{ran:?}")
    };
    assert_eq!(failure, windlass_core::acme::Failure::Local, "{why}");
    assert!(!why.contains("PRIVATE"));
    std::fs::remove_file(&folder).unwrap();
    World::issued(world.run(&wanted).await);
    assert_eq!(world.count("acme_order").await, 1);
}
