//! `components/<name>/component.yaml`: the file that a person writes. Structs with optional keys rather than
//! tagged enums, because the YAML reader loses the places of values inside tagged ones.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::actions::{Action, CheckEntry};
use super::gates::GateEntry;
use crate::ids::{ComponentName, NodeName};
use crate::model::names::Label;
use crate::yaml::At;

/// One system on the nodes: its files, checks, actions and gates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Component {
    /// The name of its folder.
    pub name: At<ComponentName>,
    /// What it is, in a sentence, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The nodes that have it.
    pub on: Selector,
    /// Components that come before it on a node. Those that the node does not have do not matter.
    #[serde(default)]
    pub after: Vec<At<ComponentName>>,
    /// Values for its templates (`vars`). `components.<name>.vars` of cluster.yaml and `vars.<name>` of a node
    /// override them, key by key.
    #[serde(default)]
    pub vars: Map<String, Value>,
    /// Debian packages that are installed where they are missing.
    #[serde(default)]
    pub packages: Vec<At<String>>,
    /// Secrets that its templates may see as `secrets.<name>`; the worker is given them as files, never by Git.
    #[serde(default)]
    pub secrets: Vec<At<String>>,
    /// systemd units whose last log lines explain a failure.
    #[serde(default)]
    pub units: Vec<At<String>>,
    /// The files it puts on a node.
    #[serde(default)]
    pub files: Vec<FileEntry>,
    /// Programs asked whether the candidate is good, before anything live is touched.
    #[serde(default)]
    pub checks: Vec<CheckEntry>,
    /// What to do when its files have changed, in this order.
    #[serde(default)]
    pub apply: Vec<Action>,
    /// Takes the node out of service before its files change.
    #[serde(default)]
    pub drain: Vec<Action>,
    /// Puts it back into service.
    #[serde(default)]
    pub undrain: Vec<Action>,
    /// What to do after its files are gone, because the node no longer has the component.
    #[serde(default)]
    pub remove: Vec<Action>,
    /// Conditions that must hold before a node's turn begins.
    #[serde(default)]
    pub before: Vec<GateEntry>,
    /// Conditions that must hold after a node's turn.
    #[serde(default)]
    pub gates: Vec<GateEntry>,
}

/// Which nodes have a component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Selector {
    /// Every node.
    All,
    /// Every node with this role.
    Role(At<Label>),
    /// Every node with at least one of these roles.
    Roles(Vec<At<Label>>),
    /// Exactly these nodes.
    Nodes(Vec<At<NodeName>>),
}

/// A file, or with `each` one file an item. Its text comes from exactly one of `template`, `content` and `source`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Where it goes on the node; may hold template expressions.
    pub path: At<String>,
    /// A template in the component's folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<At<String>>,
    /// A template written here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<At<String>>,
    /// A file of the component's folder, taken as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<At<String>>,
    /// Four octal digits; absent: `0644`, or `0600` for a secret file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<At<String>>,
    /// `user:group`, by name.
    #[serde(default = "owner")]
    pub owner: At<String>,
    /// `zone in zones`: one file an item, which the path and the template see under that name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub each: Option<At<String>>,
    /// A template condition; where it is false there is no such file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<At<String>>,
    /// Never shown, diffed or logged.
    #[serde(default)]
    pub secret: bool,
    /// A zone file whose SOA serial (`soa_serial()`) is set by the node, higher with every change.
    #[serde(default)]
    pub serial: bool,
}

fn owner() -> At<String> {
    At::nowhere("root:root".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml;

    const HAPROXY: &str = r"
name: haproxy
on: { role: edge }
after: [firewall]
packages: [haproxy]
files:
  - path: /etc/haproxy/haproxy.cfg
    template: haproxy.cfg.tera
    mode: '0640'
checks:
  - run: haproxy -c -f /etc/haproxy/haproxy.cfg
    on: worker
apply:
  - when: /etc/haproxy/**
    reload: haproxy
    timeout: 30s
gates:
  - http: { site: every }
  - closed: { tcp: 3306, on: public }
    hold: 5s
";

    #[test]
    fn a_component_keeps_the_places_of_its_values() {
        let component: Component = yaml::parse("c.yaml", HAPROXY.as_bytes()).unwrap();
        assert_eq!(component.files[0].path.line, 7);
        let when = component.apply[0].when.as_ref().unwrap();
        assert_eq!(when.iter().next().unwrap().as_str(), "/etc/haproxy/**");
        assert_eq!(component.gates[1].closed.as_ref().unwrap().tcp.get(), 3306);
    }

    #[test]
    fn all_nodes_are_one_word() {
        let text = b"name: base\non: all\n";
        let component: Component = yaml::parse("c.yaml", text).unwrap();
        assert_eq!(component.on, Selector::All);
    }

    #[test]
    fn an_unknown_key_is_refused() {
        let text = b"name: base\non: all\nfile: []\n";
        assert!(yaml::parse::<Component>("c.yaml", text).is_err());
    }
}
