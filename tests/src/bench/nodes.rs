//! The nodes' side: each tool has a folder and an HAProxy of its own, so that none meets another's files as drift.

use std::fs;

use anyhow::{Context, Result, bail};

use super::tool::Tool;
use super::workspace::{Workspace, write_files};
use crate::lab::{Lab, Node};

/// Puts the present version of the content on every node for this tool, and starts its HAProxy.
/// Windlass only gets the unit: it brings its files itself.
pub(super) fn prepare(lab: &Lab, work: &Workspace, tools: &[Tool]) -> Result<()> {
    for node in lab.nodes() {
        for tool in tools {
            prepare_node(node, work, *tool)
                .with_context(|| format!("cannot prepare {} for {}", node.name(), tool.title()))?;
        }
    }
    Ok(())
}

fn prepare_node(node: &Node, work: &Workspace, tool: Tool) -> Result<()> {
    let word = tool.word();
    let unit = format!(
        "[Unit]\nDescription=HAProxy of the benchmark's {word}\n[Service]\nType=notify\n\
         ExecStart=/usr/sbin/haproxy -Ws -f /etc/bench/{word}/haproxy.cfg\nExecReload=/bin/kill -USR2 $MAINPID\n\
         KillMode=mixed\n[Install]\nWantedBy=multi-user.target\n"
    );
    let root = node.root();
    fs::write(
        root.join(format!("etc/systemd/system/bench-{word}.service")),
        unit,
    )?;
    if tool == Tool::Windlass {
        return node.sh("systemctl daemon-reload").map(drop);
    }
    write_files(
        &root.join("etc/bench").join(word),
        &work.expected(tool, node.name()),
    )?;
    node.sh(&format!(
        "systemctl daemon-reload && systemctl start bench-{word}"
    ))
    .map(drop)
}

/// Every node holds exactly the present version's files and serves it: what was timed was the whole work.
pub(super) fn verify(lab: &Lab, work: &Workspace, tool: Tool) -> Result<()> {
    for node in lab.nodes() {
        let folder = node.root().join("etc/bench").join(tool.word());
        for (name, text) in work.expected(tool, node.name()) {
            let held = fs::read_to_string(folder.join(&name))
                .with_context(|| format!("{} has no {name}", node.name()))?;
            if held != text {
                bail!("{}'s {name} is not what it should be", node.name());
            }
        }
        let (port, version) = (tool.port(), work.version());
        node.sh(&format!(
            "curl -fs -m 2 http://127.0.0.1:{port}/version/{version}"
        ))
        .with_context(|| format!("{} does not serve {version}", node.name()))?;
    }
    Ok(())
}
