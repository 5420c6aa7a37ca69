//! Certificates that nobody wants any more.

use std::collections::BTreeSet;

use windlass_core::acme::{Entry, Wanted};
use windlass_core::materials::SecretText;

use super::authority::begun;
use super::joint::Workers;
use super::world::Told;
use crate::acme::Orderer;

fn valid_until(year: i32) -> SecretText {
    let mut params = rcgen::CertificateParams::new(vec!["blog.example.org".to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(year, 1, 1);
    let key = rcgen::KeyPair::generate().unwrap();
    let own = params.self_signed(&key).unwrap();
    SecretText::new(&format!("{}{}", own.pem(), key.serialize_pem()))
}

/// An order under way, as every worker knows it.
async fn ordered(worker: &Orderer<Told>, wanted: &Wanted) {
    let hold = worker.ledger.hold().await.unwrap().unwrap();
    let mut open = worker.ledger.begin(begun(wanted)).await.unwrap();
    let key = Some(SecretText::new("key"));
    let keyed = worker.ledger.append(&mut open, &Entry::Keyed, key);
    keyed.await.unwrap();
    hold.release().await;
}

#[tokio::test]
async fn what_nobody_wants_is_forgotten_by_every_worker_once_it_has_expired() {
    let workers = Workers::new().await;
    let wanted = workers.world.wanted("blog", &["blog.example.org"]);
    let (one, other) = (workers.worker("one"), workers.worker("other"));
    let (none, names) = (BTreeSet::new(), BTreeSet::from([wanted.name.clone()]));
    let forget = async |names: &BTreeSet<_>| {
        let hold = one.ledger.hold().await.unwrap().unwrap();
        one.ledger.forget_all_but(names, &one.shelf).await.unwrap();
        hold.release().await;
    };
    let is_known = async |worker: &Orderer<Told>| {
        worker.ledger.hold().await.unwrap().unwrap().release().await;
        let open = worker.ledger.open(&wanted.name).await.unwrap();
        let pem = worker.shelf.get(&wanted.name).unwrap();
        assert_eq!(open.is_some(), pem.is_some());
        open.is_some()
    };
    let put = |pem: &SecretText| one.shelf.put_whole(&wanted.name, pem).unwrap();
    let expired = valid_until(1999);
    put(&expired);
    ordered(&one, &wanted).await;
    assert!(is_known(&other).await);
    forget(&none).await;
    assert!(is_known(&one).await, "not that soon");

    let age = |db: &mut rusqlite::Connection| db.execute("UPDATE acme_entry SET at = 0", []);
    one.ledger.store.call(age).await.unwrap();
    forget(&names).await;
    assert!(is_known(&one).await, "it is wanted");
    put(&valid_until(2999));
    forget(&none).await;
    assert!(is_known(&one).await, "it is in force");

    put(&expired);
    forget(&none).await;
    for worker in [&one, &other, &workers.worker("late")] {
        assert!(!is_known(worker).await);
    }
    let left = workers.kept.records.lock().unwrap().clone();
    assert_eq!(left.len(), 1);
    assert!(left.values().all(|record| record.len() < 1000), "{left:?}");
}
