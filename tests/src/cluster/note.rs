//! A cluster for stories about nodes: two machines with a note and a service, quick to roll.

use std::fs;

use anyhow::ensure;

use super::fixture::Cluster;
use crate::lab::{Lab, LabSpec};

/// The component; the third line is its variables.
pub const NOTE: &str = r#"name: note
on: all
vars: { text: first, nap: 0 }
units: [note]
files:
  - path: /etc/note/text
    content: "{{ vars.text }}\n"
  - path: /etc/systemd/system/note.service
    content: |
      [Service]
      ExecStart=/bin/sleep infinity
      [Install]
      WantedBy=multi-user.target
apply:
  - run: sleep {{ vars.nap }}
  - restart: note
remove:
  - stop: note
gates:
  - command: systemctl is-active --quiet note
"#;
const COMPONENT: &str = "components/note/component.yaml";

impl Cluster {
    /// A cluster whose machines have nothing but the note, already rolled out.
    pub fn with_note(lab: &Lab) -> anyhow::Result<Self> {
        let cluster = Self::make(lab)?;
        for folder in ["components", "sites", "zones", "certificates"] {
            fs::remove_dir_all(cluster.checkout().join(folder))?;
        }
        cluster.write_component(NOTE)?;
        cluster.commit("Leave nothing but a note")?;
        cluster.says(&["roll", "--yes"])?.ended(0);
        cluster.notes(lab, "first")?;
        Ok(cluster)
    }

    /// Puts another text in the place of [`NOTE`].
    pub fn write_component(&self, text: &str) -> anyhow::Result<()> {
        self.write(COMPONENT, text)
    }

    /// Commits that the note says this; its turn takes so many seconds.
    pub fn note(&self, text: &str, nap: u32) -> anyhow::Result<String> {
        self.noted(NOTE, text, nap)
    }

    /// The same with a component that is more than [`NOTE`].
    pub fn noted(&self, component: &str, text: &str, nap: u32) -> anyhow::Result<String> {
        let first = "vars: { text: first, nap: 0 }";
        ensure!(component.contains(first), "a component without {first:?}");
        let now = format!("vars: {{ text: {text}, nap: {nap} }}");
        self.write_component(&component.replace(first, &now))?;
        self.commit(&format!("Say {text}"))
    }

    /// The note says this on every node, and its service runs.
    pub fn notes(&self, lab: &Lab, text: &str) -> anyhow::Result<()> {
        for node in lab.nodes() {
            let held = node.sh("cat /etc/note/text")?;
            ensure!(held.trim() == text, "{}: {held:?}", node.name());
            node.sh("systemctl is-active note")?;
        }
        Ok(())
    }

    /// Nothing is half done: the program says so itself, and no dead-man is armed.
    pub fn is_whole(&self, lab: &Lab) -> anyhow::Result<()> {
        let said = self.says(&["status"])?;
        ensure!(said.code == Some(0), "{said}");
        for node in lab.nodes() {
            let timers = node.sh("systemctl list-timers --all --no-legend 'windlass-*'")?;
            ensure!(timers.trim().is_empty(), "{}: {timers}", node.name());
        }
        Ok(())
    }
}

/// The two machines.
pub fn two_machines() -> anyhow::Result<Lab> {
    Lab::boot(&LabSpec::only(&["vps1", "homelab"]))
}
