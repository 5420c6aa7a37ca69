//! Small releases for the tests of plan, roll and reports.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Adopt, Input, Inventory, Outline, Plan, Tried, make};
use crate::gate::{Gate, GateScope, Probe};
use crate::ids::{ClusterName, ComponentName, Digest, NodeName, NodePath};
use crate::model::Policy;
use crate::model::scalars::Percent;
use crate::observed::{NodeState, Observed, Seen};
use crate::release::{Apply, Bundle, Command, FileMeta, Release, ReleaseComponent, ReleaseMeta};

pub(crate) fn node(name: &str) -> NodeName {
    name.parse().unwrap()
}

pub(crate) fn path(text: &str) -> NodePath {
    text.parse().unwrap()
}

pub(crate) fn cluster() -> ClusterName {
    "example".parse().unwrap()
}

fn command(component: &ComponentName, label: &str) -> Command {
    Command {
        component: component.clone(),
        label: label.to_owned(),
        run: format!("do {label}"),
        timeout: 30,
    }
}

/// A component that reloads, stops, drains and undrains under its own name.
pub(crate) fn component(name: &str, when: &[&str]) -> ReleaseComponent {
    let name: ComponentName = name.parse().unwrap();
    let one = |verb: &str| vec![command(&name, &format!("{verb} {name}"))];
    ReleaseComponent {
        packages: vec![format!("{name}-package")],
        checks: Vec::new(),
        apply: vec![Apply {
            alone: false,
            when: when.iter().map(|glob| (*glob).to_owned()).collect(),
            command: command(&name, &format!("reload {name}")),
        }],
        drain: one("drain"),
        undrain: one("undrain"),
        remove: one("stop"),
        units: vec![format!("{name}.service")],
        name,
    }
}

pub(crate) fn gate(label: &str, component: &str) -> Gate {
    Gate {
        label: label.to_owned(),
        component: component.parse().unwrap(),
        probe: Probe::Tcp {
            connect: "127.0.0.1:1".parse().unwrap(),
        },
        hold: 5,
        deadline: None,
        scope: GateScope::Node,
        needs: Vec::new(),
        before: false,
    }
}

/// A release of files given as (path, component, content).
pub(crate) fn release(
    name: &str,
    commit: &str,
    files: &[(&str, &str, &str)],
    components: Vec<ReleaseComponent>,
    gates: Vec<Gate>,
) -> Release {
    let mut metas = BTreeMap::new();
    let mut contents: BTreeMap<NodePath, Arc<[u8]>> = BTreeMap::new();
    let mut sources = BTreeMap::new();
    for (at, component, content) in files {
        let source = format!("components/{component}/{}", at.replace('/', "_"));
        sources.insert(source.clone(), Digest::of(content.as_bytes()));
        let meta = FileMeta {
            digest: Digest::of(content.as_bytes()),
            mode: "0644".to_owned(),
            owner: "root:root".to_owned(),
            component: component.parse().unwrap(),
            secret: false,
            serial: false,
            inputs: vec![source],
        };
        metas.insert(path(at), meta);
        contents.insert(path(at), Arc::from(content.as_bytes()));
    }
    let digest = Release::digest_of(&metas, &components);
    Release {
        meta: ReleaseMeta {
            cluster: cluster(),
            node: node(name),
            digest,
            commit: commit.to_owned(),
            files: metas,
            components,
            gates,
            sources,
        },
        contents,
    }
}

pub(crate) fn bundle(commit: &str, releases: Vec<Release>) -> Bundle {
    let releases = releases.into_iter().map(|r| (r.meta.node.clone(), r));
    Bundle::new(commit.to_owned(), releases.collect())
}

pub(crate) fn state(current: Option<&Release>) -> NodeState {
    NodeState {
        boot_id: "boot".to_owned(),
        clock: now().as_second(),
        cluster: current.map(|_| cluster()),
        fence: 6,
        holder: "worker".to_owned(),
        current: current.map(|release| release.meta.clone()),
        previous: None,
        attempt: None,
        drift: BTreeMap::new(),
        standing: None,
        rolled_back: Vec::new(),
    }
}

pub(crate) fn now() -> jiff::Timestamp {
    "2026-11-22T20:00:00Z".parse().unwrap()
}

/// The defaults, with nothing limited.
pub(crate) fn policy() -> Policy {
    let mut policy = Policy::default();
    policy.limits.dns_records = Percent::new(100);
    policy.limits.backends = Percent::new(100);
    policy.limits.files = Percent::new(100);
    policy
}

/// All that `make` takes, owned, so that a test changes one thing and plans.
pub(crate) struct World {
    pub(crate) policy: Policy,
    pub(crate) bundle: Bundle,
    pub(crate) observed: Observed,
    pub(crate) incomplete: bool,
    pub(crate) base: Option<Inventory>,
    pub(crate) target: Inventory,
    pub(crate) quarantined: BTreeSet<Digest>,
    pub(crate) tried: Option<Tried>,
    pub(crate) settled: bool,
    pub(crate) retry: bool,
    pub(crate) adopt: Adopt,
}

impl World {
    pub(crate) fn new(bundle: Bundle, states: Vec<(&str, NodeState)>) -> Self {
        let seen = |(name, state)| (node(name), Seen::State(Box::new(state)));
        Self {
            policy: policy(),
            bundle,
            observed: Observed {
                nodes: states.into_iter().map(seen).collect(),
            },
            incomplete: false,
            base: Some(Inventory::default()),
            target: Inventory::default(),
            quarantined: BTreeSet::new(),
            tried: None,
            settled: false,
            retry: false,
            adopt: Adopt::default(),
        }
    }

    pub(crate) fn state(&mut self, name: &str) -> &mut NodeState {
        match self.observed.nodes.get_mut(&node(name)) {
            Some(Seen::State(state)) => state,
            other => panic!("{name} is {other:?}"),
        }
    }

    pub(crate) fn plan(&self) -> Plan {
        let order: Vec<NodeName> = self.bundle.releases.keys().cloned().collect();
        let edge = |name: &NodeName| (name.clone(), BTreeSet::from(["edge".to_owned()]));
        let outline = Outline {
            cluster: cluster(),
            roles: order.iter().map(edge).collect(),
            order,
            policy: self.policy.clone(),
            inventory: self.target.clone(),
        };
        make(&Input {
            outline: &outline,
            bundle: &self.bundle,
            incomplete: self.incomplete,
            subject: "Add a site",
            observed: &self.observed,
            base: self.base.as_ref(),
            quarantined: &self.quarantined,
            tried: self.tried,
            settled: self.settled,
            retry: self.retry,
            adopt: &self.adopt,
            now: now(),
        })
    }
}
