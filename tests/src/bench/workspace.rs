//! The folder that all tools work from: one version of the content at a time, in the shape that each wants it.
//! Making it is not measured.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::cluster;
use super::content::{self, CONFIG, Words};
use super::tool::Tool;
use crate::lab::Lab;

pub struct Workspace {
    dir: PathBuf,
    pub(super) windlass: PathBuf,
    pub(super) venv: PathBuf,
    pub(super) identity: PathBuf,
    known_hosts: PathBuf,
    /// Name and address.
    nodes: Vec<(String, String)>,
    version: String,
}

impl Workspace {
    /// Lays out what does not change from version to version. `dir` must be empty.
    pub fn create(lab: &Lab, dir: &Path, windlass: &Path, venv: &Path) -> Result<Self> {
        let nodes = lab.nodes().iter();
        let workspace = Self {
            dir: dir.to_owned(),
            windlass: windlass.to_owned(),
            venv: venv.to_owned(),
            identity: lab.ssh_key(),
            known_hosts: lab.known_hosts(),
            nodes: nodes
                .map(|node| (node.name().to_owned(), node.ip().to_string()))
                .collect(),
            version: "none".to_owned(),
        };
        fs::write(workspace.ssh_config(), workspace.ssh_config_text())?;
        let names: Vec<&str> = workspace.names().collect();
        fs::write(dir.join("nodes.txt"), format!("{}\n", names.join(" ")))?;
        fs::write(workspace.inventory(), workspace.inventory_text())?;
        fs::create_dir_all(dir.join("cp"))?;
        cluster::create(lab, &workspace.cluster())?;
        workspace.write_templates()?;
        Ok(workspace)
    }

    /// Brings every tool's input to `version`, which changes all files.
    pub(super) fn set_version(&mut self, version: &str) -> Result<()> {
        version.clone_into(&mut self.version);
        for tool in [Tool::Floor, Tool::AnsibleArchive] {
            for (node, _) in &self.nodes {
                let tree = self.dir.join("trees").join(tool.word()).join(node);
                write_files(&tree, &self.expected(tool, node))?;
                if tool == Tool::AnsibleArchive {
                    self.archive(&tree, node)?;
                }
            }
        }
        fs::write(self.variables(), self.variables_text())?;
        cluster::set_version(&self.cluster(), version)
    }

    /// What a node holds after this tool brought the present version.
    pub(super) fn expected(&self, tool: Tool, node: &str) -> Vec<(String, String)> {
        content::files(&Words {
            node,
            version: &self.version,
            port: &tool.port().to_string(),
            as_template: false,
        })
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn version(&self) -> &str {
        &self.version
    }

    pub(super) fn ssh_config(&self) -> PathBuf {
        self.dir.join("ssh_config")
    }

    pub(super) fn inventory(&self) -> PathBuf {
        self.dir.join("inventory.yaml")
    }

    pub(super) fn variables(&self) -> PathBuf {
        self.dir.join("variables.json")
    }

    pub(super) fn cluster(&self) -> PathBuf {
        self.dir.join("cluster")
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.nodes.iter().map(|(name, _)| name.as_str())
    }

    fn ssh_config_text(&self) -> String {
        let hosts = self
            .nodes
            .iter()
            .map(|(name, address)| format!("Host {name}\n  HostName {address}\n"));
        let all = format!(
            "Host *\n  User root\n  IdentityFile {}\n  IdentitiesOnly yes\n  UserKnownHostsFile {}\n  \
             StrictHostKeyChecking yes\n  BatchMode yes\n  LogLevel ERROR\n",
            self.identity.display(),
            self.known_hosts.display()
        );
        // The keys of known_hosts are addresses.
        hosts.chain([all]).collect()
    }

    fn inventory_text(&self) -> String {
        let hosts = self
            .names()
            .map(|name| (name.to_owned(), json!({ "node": { "name": name } })));
        let hosts: serde_json::Map<String, Value> = hosts.collect();
        json!({ "all": { "hosts": hosts } }).to_string()
    }

    fn variables_text(&self) -> String {
        let sites = content::sites()
            .into_iter()
            .map(|site| json!({ "name": site.name, "hosts": [site.host], "port": site.port }));
        let files = self.expected(Tool::Floor, "any");
        let services = files
            .iter()
            .map(|(name, _)| name)
            .filter(|name| *name != CONFIG);
        let addresses = self
            .nodes
            .iter()
            .map(|(name, ip)| (name.clone(), json!(ip)));
        json!({
            "version": self.version,
            "sites": sites.collect::<Vec<Value>>(),
            "services": services.collect::<Vec<_>>(),
            "templates": self.dir.join("templates"),
            "archives": self.dir.join("archives"),
            "addresses": addresses.collect::<serde_json::Map<String, Value>>(),
            "identity": self.identity,
            "known_hosts": self.known_hosts,
        })
        .to_string()
    }

    fn write_templates(&self) -> Result<()> {
        let templates = content::files(&Words {
            node: "{{ node.name }}",
            version: "{{ version }}",
            port: "{{ listen_port }}",
            as_template: true,
        });
        write_files(&self.dir.join("templates"), &templates)
    }

    fn archive(&self, tree: &Path, node: &str) -> Result<()> {
        let folder = self.dir.join("archives");
        fs::create_dir_all(&folder)?;
        let mut tar = Command::new("tar");
        tar.args(["--owner=root", "--group=root", "-C"]).arg(tree);
        tar.arg("-cf").arg(folder.join(format!("{node}.tar")));
        succeed(
            tar.args(
                self.expected(Tool::AnsibleArchive, node)
                    .iter()
                    .map(|(name, _)| name),
            ),
        )
    }
}

pub(super) fn write_files(folder: &Path, files: &[(String, String)]) -> Result<()> {
    fs::create_dir_all(folder)?;
    for (name, text) in files {
        let path = folder.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// Runs a command that must succeed.
pub(super) fn succeed(command: &mut Command) -> Result<()> {
    let output = command
        .output()
        .with_context(|| format!("cannot run {:?}", command.get_program()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{command:?} failed: {}", said.trim_end());
    }
    Ok(())
}
