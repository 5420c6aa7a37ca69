//! From a rolled commit to a certificate and an event, against a real pebble.

use std::process::Command;

use super::*;
use crate::acme::tests::world::World;
use crate::git::mirror::Mirror;
use crate::git::remote::{Access as GitAccess, Remote};
use crate::queue::embedded::EmbeddedQueue;
use crate::queue::{Event, EventKind, EventQueue as _};
use crate::worker::orders::Waking;

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";

/// A repository with two edge nodes at this machine's own addresses.
pub(super) struct Cluster {
    pub(super) world: World,
    commit: String,
}

fn git(world: &World, args: &[&str]) -> String {
    let user = [
        "-c",
        "user.name=t",
        "-c",
        "user.email=t@example.org",
        "-c",
        "commit.gpgsign=false",
    ];
    let output = Command::new("git")
        .args(user)
        .args(args)
        .current_dir(world.path().join("origin"))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "git {args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

impl Cluster {
    async fn new(nodes: &[(&str, &str)]) -> Self {
        Self::of(World::new().await, nodes)
    }

    pub(super) fn of(world: World, nodes: &[(&str, &str)]) -> Self {
        let write = |path: &str, text: &str| {
            let path = world.path().join("origin").join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let names: Vec<&str> = nodes.iter().map(|(name, _)| *name).collect();
        let directory = world.pebble.directory();
        write(
            "cluster.yaml",
            &format!(
                "name: example\ndomain: example.org\nnetworks: {{ public: 127.0.0.0/8 }}\norder: [{}]\nedge: {{ role: edge, network: public }}\nacme:\n  authorities: [{{ name: pebble, directory: \"{directory}\", root: ca/pebble.pem }}]\n",
                names.join(", ")
            ),
        );
        write("ca/pebble.pem", &world.pebble.root);
        for (name, address) in nodes {
            write(
                &format!("nodes/{name}.yaml"),
                &format!(
                    "roles: [edge]\naddresses: {{ public: {address} }}\nssh: {{ network: public, host_keys: [\"{KEY}\"] }}\n"
                ),
            );
        }
        write(
            "zones/example.org.yaml",
            &format!(
                "contact: hostmaster@example.org\nprimary: {{ nodes: [{}] }}\nsecondaries: {{ nodes: [{}] }}\nnameservers: [{}.example.org]\n",
                names[0], names[1], names[1]
            ),
        );
        for (site, port) in [("blog", 8081), ("shop", 8082)] {
            write(
                &format!("sites/{site}.yaml"),
                &format!(
                    "hosts: [{site}.example.org]\non: {{ role: edge }}\nport: {port}\ntls: {{}}\n"
                ),
            );
        }
        git(&world, &["init", "--quiet", "--initial-branch=main"]);
        git(&world, &["add", "--all"]);
        git(&world, &["commit", "--quiet", "--message", "two sites"]);
        let commit = git(&world, &["rev-parse", "HEAD"]);
        let snapshot =
            crate::git::checkout::snapshot_rev(&world.path().join("origin"), "HEAD").unwrap();
        let loaded = model::load(&snapshot);
        assert!(loaded.model.is_some(), "{:#?}", loaded.findings);
        Self { world, commit }
    }

    /// A worker that has just started.
    pub(super) fn renewer(&self) -> Renewer<Waking<EmbeddedQueue>> {
        let cluster: ClusterName = "example".parse().unwrap();
        let remote = Remote {
            url: self.world.path().join("origin").display().to_string(),
            branch: "main".to_owned(),
            access: GitAccess::Open,
            authorities: None,
            signers: None,
        };
        let store = self.world.store();
        let own = self.world.orderer();
        let mirror = Mirror::new(self.world.path().join("mirror.git"), remote, String::new());
        Renewer {
            source: Source::new(mirror),
            orderer: Orderer {
                ledger: own.ledger,
                shelf: own.shelf,
                challenges: own.challenges,
                paths: own.paths,
                records: own.records,
                announce: Waking {
                    cluster: cluster.clone(),
                    queue: self.queue(),
                    others: None,
                },
            },
            store,
            given: Directories::default(),
            opened: Opened::default(),
            cluster,
        }
    }

    pub(super) fn queue(&self) -> EmbeddedQueue {
        EmbeddedQueue::new(self.world.store(), Duration::from_secs(60))
    }

    async fn events(&self) -> Vec<Event> {
        let events = self.queue().list(10).await.unwrap();
        let events = events.iter().filter_map(|queued| queued.readable());
        events.cloned().collect()
    }

    pub(super) async fn roll(&self) {
        let renewer = self.renewer();
        renewer.source.fetch().await.unwrap();
        renewer
            .store
            .rolled(&renewer.cluster, &self.commit)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn what_the_rolled_commit_wants_is_ordered_and_announced_once() {
    let cluster = Cluster::new(&[("vps1", "127.0.0.1"), ("vps2", "127.0.0.2")]).await;
    cluster.renewer().round(None).await.unwrap();
    assert!(cluster.events().await.is_empty(), "nothing was rolled yet");
    cluster.roll().await;
    let renewer = cluster.renewer();
    renewer.round(None).await.unwrap();
    let events = cluster.events().await;
    let [event] = &events[..] else {
        panic!("one for both: {events:?}")
    };
    assert_eq!(event.kind, EventKind::Certificate);
    let serial = |name: &str| {
        let leaf = renewer
            .orderer
            .shelf
            .leaf(&name.parse().unwrap())
            .unwrap()
            .unwrap();
        leaf.serial
    };
    let (blog, shop) = (serial("blog"), serial("shop"));

    // The next round, and a worker without its database, find nothing to do.
    cluster.renewer().round(None).await.unwrap();
    renewer
        .store
        .call(|db| db.execute_batch("DELETE FROM acme_order; DELETE FROM acme_certificate"))
        .await
        .unwrap();
    cluster.renewer().round(None).await.unwrap();
    assert_eq!((serial("blog"), serial("shop")), (blog.clone(), shop));
    assert_eq!(cluster.events().await.len(), 1);

    // A person wants one renewed.
    renewer
        .orderer
        .ledger
        .ask(&"blog".parse().unwrap(), crate::acme::Asked::Yes)
        .await
        .unwrap();
    cluster.renewer().round(None).await.unwrap();
    assert_ne!(serial("blog"), blog);
    assert_eq!(cluster.events().await.len(), 2);
    cluster.renewer().round(None).await.unwrap();
    assert_eq!(cluster.events().await.len(), 2, "asked once, renewed once");

    // The worker's disk is lost, or one file of it: ordered anew.
    std::fs::remove_dir_all(renewer.orderer.shelf.folder()).unwrap();
    cluster.renewer().round(None).await.unwrap();
    assert!(!serial("shop").is_empty());
    assert_eq!(cluster.events().await.len(), 3);
}

#[tokio::test]
async fn a_way_that_is_missing_is_tried_again_when_something_was_rolled() {
    let cluster = Cluster::new(&[("vps1", "127.0.0.1"), ("vps3", "127.0.0.3")]).await;
    cluster.roll().await;
    cluster.renewer().round(None).await.unwrap();
    let blog = "blog".parse().unwrap();
    assert!(
        cluster
            .renewer()
            .orderer
            .shelf
            .leaf(&blog)
            .unwrap()
            .is_none()
    );
    cluster.world.answer_at("127.0.0.3").await;
    // Nothing has happened since: the failure puts it off.
    let again = cluster.renewer().round(None).await.unwrap();
    assert!(again > Timestamp::now());
    assert!(
        cluster
            .renewer()
            .orderer
            .shelf
            .leaf(&blog)
            .unwrap()
            .is_none()
    );
    cluster
        .renewer()
        .round(Some(Timestamp::now()))
        .await
        .unwrap();
    assert!(
        cluster
            .renewer()
            .orderer
            .shelf
            .leaf(&blog)
            .unwrap()
            .is_some()
    );
    assert_eq!(
        cluster.world.count("acme_order").await,
        2,
        "the same orders, resumed"
    );
}

#[tokio::test]
async fn what_is_wrong_with_one_certificate_does_not_stop_the_others() {
    let cluster = Cluster::new(&[("vps1", "127.0.0.1"), ("vps2", "127.0.0.2")]).await;
    cluster.roll().await;
    let renewer = cluster.renewer();
    let broken = "CREATE TRIGGER broken BEFORE INSERT ON acme_order WHEN NEW.certificate = 'blog'
        BEGIN SELECT RAISE(ABORT, 'broken'); END";
    renewer
        .store
        .call(move |db| db.execute_batch(broken))
        .await
        .unwrap();
    let error = renewer.round(None).await.unwrap_err();
    assert!(format!("{error:#}").starts_with("blog: "), "{error:#}");
    let shelf = &renewer.orderer.shelf;
    assert!(shelf.leaf(&"blog".parse().unwrap()).unwrap().is_none());
    assert!(shelf.leaf(&"shop".parse().unwrap()).unwrap().is_some());
    assert_eq!(cluster.events().await.len(), 1, "and it is told");
}

#[tokio::test]
async fn what_the_rolled_commit_does_not_want_any_more_is_forgotten_in_time() {
    let cluster = Cluster::new(&[("vps1", "127.0.0.1"), ("vps2", "127.0.0.2")]).await;
    cluster.roll().await;
    let renewer = cluster.renewer();
    let past =
        "INSERT INTO acme_order (id, cluster, certificate, over) VALUES (7, 'example', 'gone', 1);
        INSERT INTO acme_entry (order_id, at, entry) VALUES (7, 0, '{}')";
    renewer
        .store
        .call(move |db| db.execute_batch(past))
        .await
        .unwrap();
    renewer.round(None).await.unwrap();
    assert_eq!(cluster.world.count("acme_order").await, 2, "blog and shop");
}
