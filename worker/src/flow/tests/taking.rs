//! Certificates that the worker lost and the nodes hold.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use windlass_core::acme::order::Begun;
use windlass_core::acme::{Entry, Issued};
use windlass_core::ids::Digest;
use windlass_core::materials::SecretText;
use windlass_core::model::names::Label;
use windlass_core::model::{Challenge, KeyType};
use windlass_core::outcome::Outcome;

use super::world::{CLUSTER, World};
use crate::acme::tests::joint::Kept;
use crate::acme::{Common, Leaf, Ledger, Shelf};
use crate::flow::trouble::Trouble;
use crate::flow::turn::Handover;
use crate::queue::EventKind;
use crate::store::Store;

const ACME: &str = "acme:
  authorities: [{ name: away, directory: https://127.0.0.1:1/dir }]
";
const ZONE: &str = "contact: hostmaster@example.org
primary: { nodes: [one] }
secondaries: { nodes: [two] }
nameservers: [two.example.org]
";
const COMPONENT: &str = "name: app
description: What the test rolls.
on: all
files:
  - each: certificate in certificates
    path: /etc/app/{{ certificate.name }}.pem
    content: \"{{ certificate.pem }}\"
    mode: \"0600\"
    secret: true
gates:
  - tls: { certificate: every }
";

/// A site whose certificate is given as a file, on the nodes.
async fn by_file() -> (World, PathBuf, String) {
    by_file_for("blog.example.org").await
}

async fn by_file_for(name: &str) -> (World, PathBuf, String) {
    let mut world = World::new();
    let (given, ordered) = (
        world.dir.path().join("given"),
        world.dir.path().join("ordered"),
    );
    fs::create_dir(&given).unwrap();
    let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
    let pem = format!("{}{}", made.cert.pem(), made.signing_key.serialize_pem());
    fs::write(given.join("blog.pem"), &pem).unwrap();
    world.deploy.materials.certificates = Some(given);
    world.deploy.materials.ordered = Some(ordered.clone());
    world.write("cluster.yaml", &format!("{CLUSTER}{ACME}"));
    world.write("zones/example.org.yaml", ZONE);
    world.write("components/app/component.yaml", COMPONENT);
    world.write("certificates/blog.yaml", &format!("names: ['{name}']\n"));
    site(&world, "{ certificate: blog }");
    world.commit("By file");
    let report = world.run(EventKind::Moved).await.unwrap();
    assert!(
        matches!(report.outcome, Outcome::RolledOut { .. }),
        "{:#?}",
        report.outcome
    );
    (world, ordered.join("blog.pem"), pem)
}

fn site(world: &World, tls: &str) {
    let text = format!("hosts: [blog.example.org]\non: {{ role: web }}\nport: 8080\ntls: {tls}\n");
    world.write("sites/blog.yaml", &text);
}

#[tokio::test]
async fn a_file_that_goes_while_the_site_moves_to_orders_is_had_from_the_nodes() {
    let (world, taken, pem) = by_file().await;
    fs::remove_file(world.dir.path().join("given/blog.pem")).unwrap();
    world.git(&["rm", "--quiet", "certificates/blog.yaml"]);
    site(&world, "{}");
    world.commit("Ordered from now on");
    let report = world.run(EventKind::Moved).await.unwrap();
    assert!(
        !matches!(report.outcome, Outcome::Refused { .. }),
        "{:#?}",
        report.outcome
    );
    assert_eq!(fs::read_to_string(&taken).unwrap(), pem);

    // The worker's disk is lost as well.
    fs::remove_file(&taken).unwrap();
    let report = world.run(EventKind::Sweep).await.unwrap();
    assert!(
        matches!(report.outcome, Outcome::Unchanged { .. }),
        "{:#?}",
        report.outcome
    );
    assert_eq!(fs::read_to_string(&taken).unwrap(), pem);
}

/// Gives the blog other hosts.
fn hosts(world: &World, hosts: &str) {
    let path = world.dir.path().join("origin/sites/blog.yaml");
    let text = fs::read_to_string(path).unwrap();
    let hosts = format!("hosts: [{hosts}]");
    let text = text.replace("hosts: [blog.example.org]", &hosts);
    world.write("sites/blog.yaml", &text);
}

async fn rolled(world: &World) -> Option<String> {
    let record = world.deploy.store.cluster(&world.deploy.cluster);
    record.await.unwrap().rolled
}

#[tokio::test]
async fn a_host_that_is_new_is_no_reason_to_take_tls_from_the_others() {
    let (world, taken, pem) = by_file().await;
    fs::remove_file(world.dir.path().join("given/blog.pem")).unwrap();
    world.git(&["rm", "--quiet", "certificates/blog.yaml"]);
    site(&world, "{}");
    hosts(&world, "www.example.org, blog.example.org");
    let commit = world.commit("Another name");
    let report = world.run(EventKind::Moved).await.unwrap();
    assert!(
        matches!(report.outcome, Outcome::Unchanged { .. }),
        "{:#?}",
        report.outcome
    );
    assert_eq!(fs::read_to_string(&taken).unwrap(), pem);
    // So what it wants is ordered from now on.
    assert_eq!(rolled(&world).await, Some(commit));

    // What is there is not replaced by what the nodes hold, though they hold more.
    let other = rcgen::generate_simple_self_signed(vec!["www.example.org".to_owned()]).unwrap();
    let other = format!("{}{}", other.cert.pem(), other.signing_key.serialize_pem());
    fs::write(&taken, &other).unwrap();
    let report = world.run(EventKind::Sweep).await.unwrap();
    assert_eq!(World::refusal(&report), ["WL418"].into());
    assert_eq!(fs::read_to_string(&taken).unwrap(), other);
}

#[tokio::test]
async fn sites_come_into_a_certificate_and_leave_it_without_losing_tls() {
    let (world, own, pem) = by_file().await;
    fs::create_dir_all(own.parent().unwrap()).unwrap();
    let of_zone = own.with_file_name("example-org.pem");
    fs::rename(world.dir.path().join("given/blog.pem"), &of_zone).unwrap();
    world.git(&["rm", "--quiet", "certificates/blog.yaml"]);
    let grouped = ACME.replace("acme:\n", "acme:\n  group: zone\n");
    world.write("cluster.yaml", &format!("{CLUSTER}{grouped}"));
    site(&world, "{}");
    let shop = "hosts: [shop.example.org]\non: { role: web }\nport: 8081\ntls: {}\n";
    world.write("sites/shop.yaml", shop);
    let commit = world.commit("One for the zone, and a shop");
    let report = world.run(EventKind::Moved).await.unwrap();
    assert!(
        matches!(report.outcome, Outcome::RolledOut { .. }),
        "{:#?}",
        report.outcome
    );
    assert_eq!(rolled(&world).await, Some(commit));

    // Each its own again: until they are there, what no definition names any more serves the blog.
    world.write("cluster.yaml", &format!("{CLUSTER}{ACME}"));
    let commit = world.commit("One for each site");
    let report = world.run(EventKind::Moved).await.unwrap();
    assert!(
        matches!(report.outcome, Outcome::Unchanged { .. }),
        "{:#?}",
        report.outcome
    );
    assert_eq!(rolled(&world).await, Some(commit));
    assert_eq!(fs::read_to_string(&of_zone).unwrap(), pem);
    assert!(!own.exists());
}

#[tokio::test]
async fn a_new_site_is_not_served_with_the_certificate_of_another() {
    let (world, taken, _) = by_file_for("*.example.org").await;
    let shop = "hosts: [shop.example.org]\non: { role: web }\nport: 8081\ntls: {}\n";
    world.write("sites/shop.yaml", shop);
    world.commit("A shop");
    let report = world.run(EventKind::Moved).await.unwrap();
    assert!(
        matches!(report.outcome, Outcome::Unchanged { .. }),
        "{:#?}",
        report.outcome
    );
    assert!(!taken.with_file_name("shop.pem").exists());
}

/// Of the name of the test's site, issued in the year.
fn issued_in(year: i32) -> String {
    let mut params = rcgen::CertificateParams::new(vec!["blog.example.org".to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(year, 1, 1);
    let key = rcgen::KeyPair::generate().unwrap();
    let own = params.self_signed(&key).unwrap();
    format!("{}{}", own.pem(), key.serialize_pem())
}

/// Several workers order, and the nodes hold the blog's certificate of 1975.
async fn ordered() -> (World, PathBuf, String) {
    let (mut world, taken, pem) = by_file().await;
    fs::remove_file(world.dir.path().join("given/blog.pem")).unwrap();
    world.git(&["rm", "--quiet", "certificates/blog.yaml"]);
    site(&world, "{}");
    world.commit("Ordered from now on");
    world.run(EventKind::Moved).await.unwrap();
    world.deploy.handover = Handover::EachTurn;
    (world, taken, pem)
}

/// Notes that a worker ordered this one.
async fn note(ledger: &Ledger, pem: &str) {
    note_as(ledger, pem, &Leaf::read(pem).unwrap().serial).await;
}

async fn note_as(ledger: &Ledger, pem: &str, serial: &str) {
    let name: Label = "blog".parse().unwrap();
    let leaf = Leaf::read(pem).unwrap();
    let wanted = "blog.example.org".parse().unwrap();
    let begun = Begun {
        certificate: name.clone(),
        authority: "away".parse().unwrap(),
        directory: "https://127.0.0.1:1/dir".to_owned(),
        names: vec![wanted],
        key: KeyType::default(),
        profile: None,
        terms: Digest::of(b"terms"),
        rehearsal: false,
        challenge: Challenge::Http,
    };
    let issued = Issued {
        serial: serial.to_owned(),
        lifetime: leaf.lifetime,
        terms: begun.terms,
        directory: begun.directory.clone(),
    };
    let mut open = ledger.begin(begun).await.unwrap();
    let url = "https://127.0.0.1:1/order".to_owned();
    let key = Some(SecretText::new("key"));
    ledger.append(&mut open, &Entry::Keyed, key).await.unwrap();
    for entry in [
        Entry::Placed { url },
        Entry::Published { proofs: vec![] },
        Entry::Ready,
        Entry::Finalized,
        Entry::Downloaded {
            chain: String::new(),
        },
        Entry::Stored { issued },
        Entry::Announced,
    ] {
        ledger.append(&mut open, &entry, None).await.unwrap();
    }
}

#[tokio::test]
async fn where_it_is_known_what_was_ordered_nothing_else_is_taken_from_a_node() {
    let (world, taken, pem) = ordered().await;
    let older = issued_in(1970);
    fs::write(&taken, &older).unwrap();
    note(&world.deploy.ledger, &older).await;
    // Root on a node has one of its own, at last with the serial of ours.
    drop(world.deploy.look(EventKind::Sweep).await.unwrap());
    assert_eq!(fs::read_to_string(&taken).unwrap(), older);
    let serial = Leaf::read(&pem).unwrap().serial;
    note_as(&world.deploy.ledger, &older, &serial).await;
    drop(world.deploy.look(EventKind::Sweep).await.unwrap());
    assert_eq!(fs::read_to_string(&taken).unwrap(), older);
    note(&world.deploy.ledger, &pem).await;
    drop(world.deploy.look(EventKind::Sweep).await.unwrap());
    assert_eq!(fs::read_to_string(&taken).unwrap(), pem);
}

#[tokio::test]
async fn what_another_worker_ordered_is_had_from_the_strongbox_and_not_from_a_node() {
    let (mut world, taken, _) = ordered().await;
    let (kept, cluster) = (Kept::default(), &world.deploy.cluster);
    let ledger = |store: &Store, folder: &Path| {
        let common = Common::new(Arc::new(kept.clone()), Shelf::at(folder));
        Ledger::new(store.clone(), cluster.clone()).common(common)
    };
    // The other one has ordered, and its certificate is not rolled yet.
    let (between, other) = (issued_in(1974), world.dir.path().join("other"));
    let shelf = Shelf::at(&other);
    let name = "blog".parse().unwrap();
    shelf.put_whole(&name, &SecretText::new(&between)).unwrap();
    let theirs = ledger(&Store::open(&other.join("db")).unwrap(), &other);
    let hold = theirs.hold().await.unwrap().unwrap();
    note(&theirs, &between).await;
    let own = ledger(&world.deploy.store, taken.parent().unwrap());
    world.deploy.ledger = own;
    let older = issued_in(1970);
    fs::write(&taken, &older).unwrap();
    let early = world.deploy.look(EventKind::Sweep).await;
    assert!(
        matches!(early, Err(Trouble::Later(_))),
        "it may come in a moment"
    );
    assert_eq!(fs::read_to_string(&taken).unwrap(), older);
    hold.release().await;
    drop(world.deploy.look(EventKind::Sweep).await.unwrap());
    assert_eq!(fs::read_to_string(&taken).unwrap(), between);
}

/// A person may just have replaced it.
#[tokio::test]
async fn one_of_the_same_day_as_ours_stays_on_the_node() {
    let (world, taken, pem) = ordered().await;
    let own = issued_in(1975);
    let from = |pem: &str| Leaf::read(pem).unwrap().lifetime.from;
    assert_eq!(from(&own), from(&pem));
    fs::write(&taken, &own).unwrap();
    drop(world.deploy.look(EventKind::Sweep).await.unwrap());
    assert_eq!(fs::read_to_string(&taken).unwrap(), own);
}

#[tokio::test]
async fn where_several_workers_roll_the_one_issued_last_is_in_use() {
    let (world, taken, pem) = ordered().await;
    // Nothing is known of orders, as after an import: while there is one, a node's may be anybody's.
    let older = issued_in(1970);
    fs::write(&taken, &older).unwrap();
    drop(world.deploy.look(EventKind::Sweep).await.unwrap());
    assert_eq!(fs::read_to_string(&taken).unwrap(), older);
    // The file is lost as well.
    fs::remove_file(&taken).unwrap();
    drop(world.deploy.look(EventKind::Sweep).await.unwrap());
    assert_eq!(fs::read_to_string(&taken).unwrap(), pem);
    let newer = issued_in(2020);
    fs::write(&taken, &newer).unwrap();
    drop(world.deploy.look(EventKind::Sweep).await.unwrap());
    assert_eq!(fs::read_to_string(&taken).unwrap(), newer);
}
