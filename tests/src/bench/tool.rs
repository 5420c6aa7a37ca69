//! The tools that are compared, and how each is called. All end a node's turn with a request that proves that the
//! new version is served.

use std::path::Path;
use std::process::Command;

use clap::ValueEnum;
use serde::Serialize;

use super::workspace::Workspace;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Tool {
    Floor,
    Windlass,
    Pyinfra,
    AnsibleTemplate,
    AnsibleArchive,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scenario {
    /// All files change, one node at a time.
    Change,
    /// The nodes hold everything already; all are asked at once.
    Nothing,
    /// All files would change: only say how; all are asked at once.
    Diff,
}

impl Scenario {
    pub(super) const ALL: [Self; 3] = [Self::Change, Self::Nothing, Self::Diff];

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Change => "change",
            Self::Nothing => "nothing",
            Self::Diff => "diff",
        }
    }
}

impl Tool {
    pub const ALL: [Self; 5] = [
        Self::Floor,
        Self::Windlass,
        Self::Pyinfra,
        Self::AnsibleTemplate,
        Self::AnsibleArchive,
    ];

    /// Its folder and its HAProxy on the nodes: a tool never sees another's files.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::Windlass => "windlass",
            Self::Pyinfra => "pyinfra",
            Self::AnsibleTemplate => "template",
            Self::AnsibleArchive => "archive",
        }
    }

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Floor => "shell floor",
            Self::Windlass => "Windlass",
            Self::Pyinfra => "pyinfra",
            Self::AnsibleTemplate => "Ansible, `template` and `validate`",
            Self::AnsibleArchive => "Ansible, one archive",
        }
    }

    pub(super) fn port(self) -> u16 {
        match self {
            Self::Floor => 8101,
            Self::Windlass => 8102,
            Self::Pyinfra => 8103,
            Self::AnsibleTemplate => 8104,
            Self::AnsibleArchive => 8105,
        }
    }

    pub(super) fn command(self, scenario: Scenario, work: &Workspace) -> Command {
        match self {
            Self::Floor => floor(scenario, work),
            Self::Windlass => windlass(scenario, work),
            Self::Pyinfra => pyinfra(scenario, work),
            Self::AnsibleTemplate | Self::AnsibleArchive => self.ansible(scenario, work),
        }
    }

    fn ansible(self, scenario: Scenario, work: &Workspace) -> Command {
        let mut command = Command::new(work.venv.join("bin/ansible-playbook"));
        let config = recipes().join("ansible/ansible.cfg");
        command
            .env("ANSIBLE_CONFIG", config)
            .env("ANSIBLE_SSH_CONTROL_PATH_DIR", work.dir().join("cp"))
            .env("ANSIBLE_LOCAL_TEMP", work.dir().join("ansible"))
            .env(
                "ANSIBLE_SSH_ARGS",
                format!(
                    "-F {} -o ControlMaster=auto -o ControlPersist=5s",
                    work.ssh_config().display()
                ),
            )
            .arg("--inventory")
            .arg(work.inventory())
            .arg("--extra-vars")
            .arg(format!("@{}", work.variables().display()))
            .arg("--extra-vars")
            .arg(format!("listen_port={}", self.port()));
        match scenario {
            Scenario::Change => command.args(["--extra-vars", "batch=1"]),
            Scenario::Nothing => command.args(["--extra-vars", "batch=100%"]),
            Scenario::Diff => command.args(["--extra-vars", "batch=100%", "--check", "--diff"]),
        };
        command.arg(recipes().join(format!("ansible/{}.yml", self.word())));
        command
    }
}

fn floor(scenario: Scenario, work: &Workspace) -> Command {
    let mut command = Command::new(recipes().join("floor.sh"));
    command
        .arg(scenario.word())
        .env("BENCH_WORK", work.dir())
        .env("BENCH_VERSION", work.version())
        .env("BENCH_PORT", Tool::Floor.port().to_string());
    command
}

fn windlass(scenario: Scenario, work: &Workspace) -> Command {
    let mut command = Command::new(&work.windlass);
    command
        .arg("--repo")
        .arg(work.cluster())
        .arg("--state")
        .arg(work.dir().join("state"))
        .arg("--identity")
        .arg(&work.identity);
    match scenario {
        Scenario::Change | Scenario::Nothing => command.args(["roll", "--yes"]),
        Scenario::Diff => command.args(["plan", "--diff"]),
    };
    command
}

fn pyinfra(scenario: Scenario, work: &Workspace) -> Command {
    let mut command = Command::new(work.venv.join("bin/pyinfra"));
    command
        .current_dir(work.dir())
        .env("BENCH_WORK", work.dir());
    match scenario {
        Scenario::Change => command.args(["--yes", "--serial"]),
        Scenario::Nothing => command.arg("--yes"),
        Scenario::Diff => command.args(["--dry", "--diff"]),
    };
    command
        .arg(recipes().join("pyinfra/inventory.py"))
        .arg(recipes().join("pyinfra/deploy.py"));
    command
}

/// The playbooks and scripts that people can read.
pub(super) fn recipes() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/bench"))
}
