//! The same content as a cluster repository, for Windlass.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::content::{self, Words};
use super::tool::Tool;
use super::workspace::{succeed, write_files};
use crate::lab::{Lab, Node};

/// Writes the repository; `set_version` makes its first commit.
pub(super) fn create(lab: &Lab, dir: &Path) -> Result<()> {
    let nodes = lab.nodes().iter();
    let nodes: Vec<(String, String)> = nodes
        .map(|node| (format!("{}.yaml", node.name()), node_text(node)))
        .collect();
    write_files(&dir.join("nodes"), &nodes)?;
    let sites = content::sites().into_iter().map(|site| {
        let text = format!(
            "hosts: [{}]\non: {{ role: edge }}\nport: {}\ndns: {{ manage: false }}\n",
            site.host, site.port
        );
        (format!("{}.yaml", site.name), text)
    });
    write_files(&dir.join("sites"), &sites.collect::<Vec<_>>())?;
    write_files(&dir.join("components/bench"), &component())?;
    let order: Vec<&str> = lab.nodes().iter().map(Node::name).collect();
    let network = lab
        .nodes()
        .first()
        .map_or([10, 81, 0, 0], |node| node.ip().octets());
    let [a, b, c, _] = network;
    // The version stands here alone, so that one changed line changes every file.
    let cluster = format!(
        "name: bench\ndomain: example.org\nnetworks: {{ public: {a}.{b}.{c}.0/24 }}\norder: [{}]\n\
         edge: {{ role: edge, network: public }}\npolicy: {{ serial: [1], min_healthy_time: 0s }}\n\
         components:\n  bench:\n    vars:\n      version: VERSION\n",
        order.join(", ")
    );
    write_files(
        dir,
        &[
            ("cluster.yaml.in".to_owned(), cluster),
            (".gitignore".to_owned(), "*.in\n".to_owned()),
        ],
    )?;
    succeed(git(dir).args(["init", "--quiet", "--initial-branch=main"]))
}

/// Commits this version.
pub(super) fn set_version(dir: &Path, version: &str) -> Result<()> {
    let text = fs::read_to_string(dir.join("cluster.yaml.in"))?;
    fs::write(dir.join("cluster.yaml"), text.replace("VERSION", version))?;
    succeed(git(dir).args(["add", "--all"]))?;
    succeed(git(dir).args(["commit", "--quiet", "--message", version]))
}

fn git(dir: &Path) -> Command {
    let mut git = Command::new("git");
    git.arg("-C").arg(dir);
    git.args([
        "-c",
        "user.name=bench",
        "-c",
        "user.email=bench@example.org",
    ]);
    git
}

fn node_text(node: &Node) -> String {
    format!(
        "roles: [edge]\naddresses: {{ public: {} }}\nssh:\n  network: public\n  host_keys: [\"{}\"]\n",
        node.ip(),
        node.host_key()
    )
}

/// `component.yaml` and its templates.
fn component() -> Vec<(String, String)> {
    let mut files = content::files(&Words {
        node: "{{ node.name }}",
        version: "{{ vars.version }}",
        port: "{{ vars.port }}",
        as_template: true,
    });
    for (name, _) in &mut files {
        name.push_str(".tera");
    }
    let entries: String = files
        .iter()
        .map(|(template, _)| {
            let name = template.trim_end_matches(".tera");
            format!("  - {{ path: /etc/bench/windlass/{name}, template: {template} }}\n")
        })
        .collect();
    let port = Tool::Windlass.port();
    let definition = format!(
        "name: bench\ndescription: What `make bench` rolls.\non: all\nvars: {{ port: {port}, version: none }}\n\
         files:\n{entries}\
         checks:\n  - run: haproxy -c -q -f /etc/bench/windlass/haproxy.cfg\n\
         apply:\n  - {{ when: /etc/bench/windlass/**, reload: bench-windlass }}\n\
         gates:\n  - http: {{ url: \"http://{{{{ node.addresses.public }}}}:{port}/version/{{{{ vars.version }}}}\" }}\n"
    );
    files.push(("component.yaml".to_owned(), definition));
    files
}
