//! A machine, a forge with the cluster's repository, and a broker for as many workers as are started.

use anyhow::{Context as _, Result, ensure};
use windlass_tests::broker::Broker;
use windlass_tests::forge::{Fake, Flavour, State, Word};
use windlass_tests::lab::{Lab, LabSpec, wait_until};

use super::place::SOON;
use super::worker::Worker;

pub const APP: &str = "components/app/component.yaml";

pub struct Forge {
    pub fake: Fake,
    pub broker: Broker,
    lab: Lab,
    dir: tempfile::TempDir,
}

/// What the machine is to hold.
pub fn component(version: &str) -> String {
    format!(
        "name: app\ndescription: What the test rolls.\non: all\nfiles:\n  \
         - {{ path: /etc/app.conf, content: \"{version}\\n\" }}\n"
    )
}

impl Forge {
    /// With a cluster that insists on reviews. Nobody works yet.
    pub fn make(flavour: Flavour) -> Result<Self> {
        let broker = Broker::start()?;
        let lab = Lab::boot(&LabSpec::only(&["vps1"]))?;
        let fake = Fake::start(flavour);
        let node = lab.node("vps1");
        let host = lab.host_ip().to_string();
        let (network, _) = host.rsplit_once('.').context("an address")?;
        let vps1 = format!(
            "roles: [web]\naddresses: {{ public: {} }}\n\
             ssh: {{ network: public, user: root, host_keys: [\"{}\"] }}\n",
            node.ip(),
            node.host_key()
        );
        let cluster = format!(
            "name: example\ndomain: example.org\nnetworks: {{ public: {network}.0/24 }}\norder: [vps1]\n\
             edge: {{ role: web, network: public }}\n\
             policy: {{ min_healthy_time: 0s, healthy_deadline: 20s, progress_deadline: 2m, reconnect_deadline: 30s, on_divergence: wait }}\n"
        );
        fake.push_main(&[
            ("cluster.yaml", &cluster),
            ("nodes/vps1.yaml", &vps1),
            (APP, &component("1")),
        ]);
        Ok(Self {
            fake,
            broker,
            lab,
            dir: tempfile::tempdir()?,
        })
    }

    /// A worker that knows nothing but its configuration.
    pub fn worker(&self, name: &str) -> Result<Worker> {
        let (fake, dir) = (&self.fake, self.dir.path().join(name));
        let (address, kind) = (fake.address(), fake.flavour.word());
        let (token, ca) = (fake.token_file(), fake.ca_file());
        let (token, ca) = (token.display(), ca.display());
        let cluster = format!(
            "{{ name: example, poll: 3s, \
             repository: {{ url: '{address}/ops/cluster.git', token_file: {token}, ca_file: {ca} }}, \
             forge: {{ kind: {kind}, url: '{address}', project: ops/cluster, token_file: {token}, ca_file: {ca}, poll: 5s }} }}"
        );
        let broker = self.broker.node(0).address();
        Worker::watching(&cluster, &dir, &self.lab.ssh_key(), broker)
    }

    pub fn holds(&self, version: &str) -> bool {
        let path = self.lab.node("vps1").root().join("etc/app.conf");
        std::fs::read_to_string(path).is_ok_and(|text| text.trim() == version)
    }

    /// Waits until the forge has what is wanted, and tells what this worker logged where it does not.
    pub fn until(&self, worker: &Worker, what: &str, holds: impl Fn(&State) -> bool) -> Result<()> {
        wait_until(SOON, || holds(&self.fake.state())).with_context(|| {
            let state = self.fake.state();
            let (comments, statuses) = (&state.comments, &state.statuses);
            format!(
                "waited in vain for {what}\n{}\n{comments:#?}\n{statuses:#?}",
                worker.log()
            )
        })
    }

    /// Until our one comment says this; gives it, and what it is.
    pub fn says(&self, worker: &Worker, part: &str) -> Result<(u64, String)> {
        self.until(worker, part, |state| {
            let own = state.own(12);
            own.iter().any(|it| it.body.contains(part))
        })?;
        let state = self.fake.state();
        let own = state.own(12);
        ensure!(own.len() == 1, "{own:#?}");
        Ok((own[0].id, own[0].body.clone()))
    }

    pub fn has_status(&self, worker: &Worker, commit: &str, word: &str, part: &str) -> Result<()> {
        self.until(worker, &format!("{word}: {part}"), |state| {
            let status = state.status(commit);
            status.is_some_and(|it| it.state == word && it.description.contains(part))
        })
    }

    pub fn types(&self, worker: &Worker, words: &str) -> Result<()> {
        let comment = self.fake.state().comment(12, "alice", words);
        let told = Word::Commented(12, comment);
        self.deliver(worker, &format!("typed-{comment}"), told)
    }

    pub fn deliver(&self, worker: &Worker, id: &str, word: Word) -> Result<()> {
        let status = self.fake.deliver(worker.port, id, word);
        ensure!(status == 202, "{id}: {status}");
        Ok(())
    }
}
