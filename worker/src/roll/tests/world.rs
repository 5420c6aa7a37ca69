//! A cluster of three nodes on an old release, a plan to a new one, and a worker that can be killed.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tempfile::TempDir;
use tokio::sync::SetOnce;
use tokio_util::sync::CancellationToken;
use windlass_core::finding::Findings;
use windlass_core::gate::{Gate, GateScope, HttpProbe, Probe};
use windlass_core::ids::{ClusterName, ComponentName, Digest, NodeName};
use windlass_core::observed::{AttemptPhase, NodeState};
use windlass_core::outcome::Outcome;
use windlass_core::plan::{OnFailure, OnNewerCommit, Plan, Timing, Turn};
use windlass_core::release::{Bundle, Command, Release, ReleaseComponent, ReleaseMeta};
use windlass_core::roll::Entry;

use super::fleet::Fleet;
use super::probes::Probes;
use crate::roll::{
    Driver, Journal, JournalError, OpenRoll, RollError, RollId, RollPermit, Silent, StoreJournal,
};
use crate::store::{Store, StoreError};

const NODES: [&str; 3] = ["a", "b", "c"];

pub(super) fn node(name: &str) -> NodeName {
    name.parse().unwrap()
}

pub(super) fn cluster() -> ClusterName {
    "example".parse().unwrap()
}

fn component() -> ComponentName {
    "haproxy".parse().unwrap()
}

fn command(label: &str) -> Command {
    Command {
        component: component(),
        label: label.to_owned(),
        run: "true".to_owned(),
        timeout: 10,
    }
}

fn release(name: &str, content: &str) -> Release {
    let part = ReleaseComponent {
        name: component(),
        packages: Vec::new(),
        checks: Vec::new(),
        apply: Vec::new(),
        drain: Vec::new(),
        undrain: Vec::new(),
        remove: Vec::new(),
        units: vec!["haproxy.service".to_owned()],
    };
    Release {
        meta: ReleaseMeta {
            cluster: cluster(),
            node: node(name),
            digest: Digest::of(format!("{name} {content}").as_bytes()),
            commit: content.to_owned(),
            files: BTreeMap::new(),
            components: vec![part],
            gates: Vec::new(),
            sources: BTreeMap::new(),
        },
        contents: BTreeMap::new(),
    }
}

fn gate(name: &str) -> Gate {
    Gate {
        label: format!("site answers on {name}"),
        component: component(),
        probe: Probe::Http(HttpProbe {
            url: format!("https://{name}/"),
            connect: "127.0.0.1:1".parse().unwrap(),
            status: vec![200],
            body: None,
            verify: false,
        }),
        hold: 1,
        deadline: Some(10),
        scope: GateScope::Node,
        needs: Vec::new(),
        before: false,
    }
}

fn turn(name: &str) -> Turn {
    Turn {
        node: node(name),
        base: Some(release(name, "old").meta.digest),
        target: release(name, "new").meta.digest,
        changes: Vec::new(),
        packages: Vec::new(),
        drain: vec![command("drain")],
        undrain: vec![command("undrain")],
        forward: vec![command("reload")],
        backward: vec![command("reload")],
        gates: vec![gate(name)],
        units: BTreeMap::from([(component(), vec!["haproxy.service".to_owned()])]),
        adopt: Vec::new(),
    }
}

/// Journals to disk, until it was told to die: everything after that many writes fails, as when a process is killed.
pub(super) struct Mortal {
    inner: StoreJournal,
    left: Arc<AtomicUsize>,
    /// After so many writes a newer commit is there.
    push: Arc<AtomicUsize>,
    newer: Arc<SetOnce<String>>,
}

impl Mortal {
    fn live(&self) -> Result<(), JournalError> {
        if self.push.fetch_sub(1, Ordering::SeqCst) == 0 {
            self.newer.set("newer".to_owned()).unwrap();
        }
        let lived = self
            .left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
        lived
            .map(drop)
            .map_err(|_| JournalError::Store(StoreError::Closed))
    }
}

impl Journal for Mortal {
    async fn begin(&self, plan: &Plan) -> Result<RollId, JournalError> {
        self.live()?;
        self.inner.begin(plan).await
    }
    async fn append(&self, roll: RollId, entry: &Entry) -> Result<(), JournalError> {
        self.live()?;
        self.inner.append(roll, entry).await
    }
    async fn close(&self, roll: RollId, outcome: &Outcome) -> Result<(), JournalError> {
        self.live()?;
        self.inner.close(roll, outcome).await
    }
    async fn unfinished(&self, cluster: &ClusterName) -> Result<Option<OpenRoll>, JournalError> {
        self.inner.unfinished(cluster).await
    }
    async fn forget(&self, roll: RollId) -> Result<(), JournalError> {
        self.live()?;
        self.inner.forget(roll).await
    }
}

pub(super) struct World {
    pub(super) fleet: Arc<Fleet>,
    pub(super) probes: Arc<Probes>,
    pub(super) cancel: CancellationToken,
    pub(super) on_failure: OnFailure,
    pub(super) on_newer_commit: OnNewerCommit,
    pub(super) newer: Arc<SetOnce<String>>,
    /// Entries and rolls written so far.
    left: Arc<AtomicUsize>,
    push: Arc<AtomicUsize>,
    dir: TempDir,
}

const FOR_EVER: usize = usize::MAX / 2;

impl World {
    pub(super) fn new(broken: Option<&str>) -> Self {
        let state = |name: &&str| {
            let state = NodeState {
                boot_id: String::new(),
                clock: 0,
                cluster: Some(cluster()),
                fence: 6,
                holder: String::new(),
                current: Some(release(name, "old").meta),
                previous: None,
                attempt: None,
                drift: BTreeMap::new(),
                standing: None,
                rolled_back: Vec::new(),
            };
            (node(name), state)
        };
        Self {
            fleet: Arc::new(Fleet::of(NODES.iter().map(state))),
            probes: Arc::new(Probes {
                broken: broken.map(node),
            }),
            cancel: CancellationToken::new(),
            on_failure: OnFailure::RollbackAll,
            on_newer_commit: OnNewerCommit::Wait,
            newer: Arc::default(),
            left: Arc::new(AtomicUsize::new(FOR_EVER)),
            push: Arc::new(AtomicUsize::new(FOR_EVER)),
            dir: tempfile::tempdir().unwrap(),
        }
    }

    pub(super) fn plan(&self) -> Plan {
        Plan {
            cluster: cluster(),
            commit: "new".into(),
            subject: "Add a site".into(),
            bundle: Digest::of(b"bundle"),
            reviewed: None,
            waves: NODES.map(|name| vec![node(name)]).to_vec(),
            turns: NODES.iter().map(|name| (node(name), turn(name))).collect(),
            unchanged: BTreeMap::new(),
            skipped: Vec::new(),
            findings: Findings::default(),
            timing: Timing {
                min_healthy_time: 2,
                healthy_deadline: 20,
                progress_deadline: 600,
                reconnect_deadline: 30,
            },
            on_failure: self.on_failure,
            on_newer_commit: self.on_newer_commit,
            fence: 1000,
        }
    }

    pub(super) fn bundle() -> Arc<Bundle> {
        let releases = NODES.map(|name| (node(name), release(name, "new")));
        Arc::new(Bundle::new("new".into(), releases.into_iter().collect()))
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(super) fn permit(&self) -> RollPermit {
        RollPermit::take(self.path(), &cluster()).unwrap().unwrap()
    }

    fn driver(&self) -> Driver<Fleet, Probes, Mortal> {
        let store = Store::open(&self.path().join("db")).unwrap();
        Driver {
            nodes: Arc::clone(&self.fleet),
            prober: Arc::clone(&self.probes),
            journal: Mortal {
                inner: StoreJournal::new(store),
                left: Arc::clone(&self.left),
                push: Arc::clone(&self.push),
                newer: Arc::clone(&self.newer),
            },
            observer: Arc::new(Silent),
            cancel: self.cancel.clone(),
            newer: Arc::clone(&self.newer),
            pause: CancellationToken::new(),
        }
    }

    pub(super) async fn roll(&self) -> Result<Outcome, RollError> {
        self.roll_with(&self.permit()).await
    }

    pub(super) async fn roll_with(&self, permit: &RollPermit) -> Result<Outcome, RollError> {
        self.driver()
            .drive(permit, self.plan(), Self::bundle(), "worker")
            .await
    }

    /// The worker is killed after this many writes to its journal.
    pub(super) fn die_after(&self, writes: usize) {
        self.left.store(writes, Ordering::SeqCst);
    }

    pub(super) fn writes(&self) -> usize {
        FOR_EVER - self.left.load(Ordering::SeqCst)
    }

    /// Another process finds what the dead one left.
    pub(super) async fn resume(&self) -> Option<Outcome> {
        self.left.store(FOR_EVER, Ordering::SeqCst);
        self.driver()
            .resume(&self.permit(), &cluster())
            .await
            .unwrap()
    }

    /// Whether it died again.
    pub(super) async fn resume_and_die(&self) -> bool {
        let resumed = self.driver().resume(&self.permit(), &cluster()).await;
        resumed.is_err()
    }

    /// A newer commit is there after so many writes to the journal. The paused clock runs on while the disk is busy, so
    /// no time would do.
    pub(super) fn push_at(&self, writes: usize) {
        self.push.store(writes, Ordering::SeqCst);
    }

    /// A newer commit is there after this many milliseconds; for rolls without a journal.
    pub(super) fn push_after(&self, milliseconds: u64) {
        let newer = Arc::clone(&self.newer);
        tokio::spawn(async move {
            tokio::time::sleep(tokio::time::Duration::from_millis(milliseconds)).await;
            newer.set("newer".to_owned()).unwrap();
        });
    }

    /// Every node holds the old release or every node the new one, in rotation, unless the outcome names it.
    pub(super) fn check_end(&self, outcome: Option<&Outcome>, what: &str) {
        let holds = |name: &&str, content: &str| {
            self.fleet.look(|nodes| {
                let current = nodes[&node(name)].state.current.as_ref().unwrap();
                current.digest == release(name, content).meta.digest
            })
        };
        let named: Vec<NodeName> = match outcome {
            Some(Outcome::Stuck { nodes, .. }) => nodes.iter().map(|s| s.node.clone()).collect(),
            _ => Vec::new(),
        };
        for name in NODES.iter().filter(|name| !named.contains(&node(name))) {
            let between = self.fleet.look(|nodes| nodes[&node(name)].is_between());
            assert!(!between, "{what}: {name} was left in between: {outcome:?}");
            let wanted = match outcome {
                Some(Outcome::RolledOut { .. }) => "new",
                Some(Outcome::Overtaken { nodes, .. }) if nodes.contains(&node(name)) => "new",
                _ => "old",
            };
            assert!(
                holds(name, wanted),
                "{what}: {name} is not on {wanted}: {outcome:?}"
            );
        }
        assert!(
            self.fleet.widest() <= 1,
            "{what}: two nodes out of rotation"
        );
    }

    pub(super) fn phase(&self, name: &str) -> Option<AttemptPhase> {
        let phase = |nodes: &BTreeMap<NodeName, super::node::Node>| {
            let attempt = nodes[&node(name)].state.attempt.as_ref();
            attempt.map(|attempt| attempt.phase)
        };
        self.fleet.look(phase)
    }
}
