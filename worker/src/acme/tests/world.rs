//! A worker's part in orders: database, shelf, and answers over HTTP at several nodes' addresses.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use windlass_core::acme::{Due, Issued, Wanted, Why};
use windlass_core::ids::ClusterName;
use windlass_core::materials::SecretText;
use windlass_core::model::names::{DomainName, HostName, Label};
use windlass_core::model::reach::Way;
use windlass_core::model::{Authority, Eab, KeyType};
use windlass_core::yaml::At;

use super::pebble::{Options, Pebble, free_port};
use crate::acme::{Access, Announce, Ledger, Orderer, Paths, Ran, Records, Resolver, Shelf};
use crate::challenges::Challenges;
use crate::inbound::challenge;
use crate::store::Store;

/// For secondaries that lag behind.
const PATIENCE: Duration = Duration::from_secs(10);

/// Remembers what it was told.
#[derive(Debug, Clone, Default)]
pub(crate) struct Told(pub(super) Arc<Mutex<Vec<String>>>);

impl Announce for Told {
    async fn announce(&self, id: &str, _: &[(Label, SecretText)]) -> Result<(), String> {
        self.0.lock().unwrap().push(id.to_owned());
        Ok(())
    }
}

pub(crate) struct World {
    pub(super) dir: tempfile::TempDir,
    pub(crate) pebble: Pebble,
    pub(super) told: Told,
    /// The worker's answers; a new process begins with none.
    pub(super) challenges: Arc<Mutex<Challenges>>,
    pub(crate) http_port: u16,
    /// Whom the worker asks about the world: at first the one that the authority asks.
    pub(super) resolver: Resolver,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(Options::default()).await
    }

    /// Its authority's certificates are in force for so many seconds.
    pub(crate) async fn short_lived(seconds: u32) -> Self {
        Self::with(Options {
            lifetime: Some(seconds),
            ..Options::default()
        })
        .await
    }

    /// Its authority says when to renew.
    pub(crate) async fn suggesting() -> Self {
        Self::with(Options {
            newer: true,
            ..Options::default()
        })
        .await
    }

    pub(super) async fn with(options: Options) -> Self {
        // As `cli::main` does.
        drop(rustls::crypto::ring::default_provider().install_default());
        let http_port = free_port();
        let pebble = Pebble::start(http_port, options);
        let world = Self {
            dir: tempfile::tempdir().unwrap(),
            resolver: Resolver::asking(vec![pebble.names()]),
            pebble,
            told: Told::default(),
            challenges: Arc::default(),
            http_port,
        };
        world.answer_at("127.0.0.1").await;
        world.answer_at("127.0.0.2").await;
        world
    }

    /// One more node answers.
    pub(crate) async fn answer_at(&self, address: &str) {
        let listener = tokio::net::TcpListener::bind((address, self.http_port))
            .await
            .unwrap();
        let current = Arc::clone(&self.challenges);
        tokio::spawn(async move {
            let service = axum::Router::new().fallback(move |request: axum::extract::Request| {
                // Whoever is the worker at this moment answers.
                let router = challenge::router(current.lock().unwrap().clone());
                async move {
                    use tower::ServiceExt as _;
                    router.oneshot(request).await
                }
            });
            axum::serve(listener, service).await
        });
    }

    pub(crate) fn store(&self) -> Store {
        Store::open(&self.dir.path().join("windlass.db")).unwrap()
    }

    /// A worker that has just started: it knows what is on disk, and nothing else.
    pub(crate) fn orderer(&self) -> Orderer<Told> {
        let challenges = Challenges::default();
        *self.challenges.lock().unwrap() = challenges.clone();
        let cluster: ClusterName = "example".parse().unwrap();
        Orderer {
            ledger: Ledger::new(self.store(), cluster.clone()),
            shelf: Shelf::new(self.dir.path(), &cluster),
            challenges,
            paths: Paths::new(self.resolver.clone()).at_port(self.http_port),
            records: Records::new(self.resolver.clone()).patient_for(PATIENCE),
            announce: self.told.clone(),
        }
    }

    pub(super) fn authority(&self) -> Authority {
        Authority {
            name: "pebble".parse().unwrap(),
            directory: At::nowhere(self.pebble.directory()),
            staging: None,
            root: None,
            eab: None,
        }
    }

    /// A certificate for these names, led to two nodes.
    pub(super) fn wanted(&self, name: &str, names: &[&str]) -> Wanted {
        let way = |node: &str, address: &str| Way {
            node: Some(node.parse().unwrap()),
            address: address.parse().unwrap(),
        };
        let ways = vec![way("vps1", "127.0.0.1"), way("vps2", "127.0.0.2")];
        let ways: BTreeMap<_, _> = names
            .iter()
            .map(|host| (host.parse().unwrap(), ways.clone()))
            .collect();
        let zone: DomainName = "example.org".parse().unwrap();
        let through = ways.keys().map(|host: &HostName| {
            let own = host.is_in(&zone).then(|| zone.clone());
            (host.clone(), own.into_iter().collect())
        });
        let servers = |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect();
        Wanted {
            name: name.parse().unwrap(),
            names: names.iter().map(|name| name.parse().unwrap()).collect(),
            key: KeyType::EcdsaP256,
            profile: None,
            authorities: vec![self.authority()],
            contact: vec!["hostmaster@example.org".to_owned()],
            through: through.collect(),
            zones: [
                (zone.clone(), servers(&["ns.example.org"])),
                (
                    "acme.example.org".parse().unwrap(),
                    servers(&["ns.acme.example.org"]),
                ),
            ]
            .into(),
            ways,
            dns: None,
        }
    }

    pub(super) fn eab(&self, key_id: &str) -> Authority {
        Authority {
            eab: Some(Eab {
                key_id: key_id.to_owned(),
                secret: "eab".to_owned(),
            }),
            ..self.authority()
        }
    }

    pub(super) fn access(&self) -> Access {
        Access {
            root: Some(self.pebble.root.clone()),
            eab: None,
            zone_key: None,
            contact: vec!["hostmaster@example.org".to_owned()],
        }
    }

    pub(super) async fn run(&self, wanted: &Wanted) -> Ran {
        let orderer = self.orderer();
        let ran = orderer
            .run(wanted, &now(), &self.access())
            .await
            .unwrap()
            .unwrap();
        orderer.announce().await.unwrap();
        ran
    }

    #[track_caller]
    pub(super) fn issued(ran: Ran) -> Issued {
        match ran {
            Ran::Issued(issued) => issued,
            other => panic!("{other:?}"),
        }
    }

    /// How many rows a query counts.
    pub(crate) async fn count(&self, from: &'static str) -> i64 {
        let store = self.store();
        let count = store.call(move |db| {
            db.query_row(&format!("SELECT count(*) FROM {from}"), [], |row| {
                row.get(0)
            })
        });
        count.await.unwrap()
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }
}

pub(super) fn now() -> Due {
    Due {
        at: Timestamp::now(),
        why: Why::Missing,
        authority: 0,
        rehearsal: false,
        put_off: false,
    }
}
