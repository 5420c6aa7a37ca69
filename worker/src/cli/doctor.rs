//! `windlass doctor`: whether this machine, the keys and the nodes are as they must be, before it matters.

use std::fmt::Write as _;
use std::path::Path;

use windlass_core::observed::Seen;
use windlass_core::release::CheckOn;
use windlass_core::report::doctor::Examined;

use super::Exit;
use super::session::Session;
use crate::check::{Limits, Sandbox};
use crate::roll::observe;

#[derive(Default)]
struct Examination(Vec<Examined>);

impl Examination {
    fn add(&mut self, what: impl Into<String>, result: Result<String, String>) {
        let (ok, said) = match result {
            Ok(said) => (true, said),
            Err(said) => (false, said),
        };
        self.0.push(Examined {
            what: what.into(),
            ok,
            said,
        });
    }
}

pub(super) async fn run(session: &Session<'_>, ask_nodes: bool) -> anyhow::Result<Exit> {
    let mut seen = Examination::default();
    seen.add("sandbox", sandbox().await);
    seen.add("ssh", program("ssh", "apt install openssh-client"));
    let prepared = session.render(None)?;
    let errors = prepared.findings.has_errors();
    let words = windlass_core::report::findings::summary(&prepared.findings);
    seen.add(
        "definitions",
        if errors {
            Err(format!("{words}: `windlass check` shows them"))
        } else {
            Ok(words)
        },
    );
    if let Some(rendered) = &prepared.rendered {
        for name in checking_programs(&rendered.bundle) {
            seen.add(
                format!("program {name}"),
                program(&name, "install its Debian package on this machine"),
            );
        }
        let materials = if !rendered.bundle.incomplete.is_empty() {
            Err("some are missing: stand-ins are used, and nothing can be rolled; see --certificates, --secrets and --age-identity".to_owned())
        } else {
            Ok("all there".to_owned())
        };
        seen.add("certificates and secrets", materials);
        if ask_nodes {
            let nodes = session.nodes(&rendered.model)?;
            let names = rendered.model.nodes.keys().cloned();
            for (node, state) in observe::all(&nodes, names).await.nodes {
                let result = match state {
                    Seen::State(_) => Ok("answers".to_owned()),
                    Seen::Unreachable(why) | Seen::Refused(why) => Err(why),
                };
                seen.add(format!("node {node}"), result);
            }
        }
    }
    let Examination(items) = seen;
    session.output.result(&items, || {
        items.iter().fold(String::new(), |mut text, item| {
            _ = writeln!(
                text,
                "{} {:<26}{}",
                if item.ok { "ok  " } else { "FAIL" },
                item.what,
                item.said
            );
            text
        })
    })?;
    Ok(if items.iter().all(|item| item.ok) {
        Exit::Done
    } else {
        Exit::Findings
    })
}

async fn sandbox() -> Result<String, String> {
    Sandbox::new(Limits::default())
        .available()
        .await
        .map(|()| match Sandbox::caged() {
            Ok(()) => "bubblewrap works, and a check's memory is limited in all".to_owned(),
            Err(why) => format!("bubblewrap works; memory is limited for each process only: {why}"),
        })
}

/// The programs that checks on the worker begin with, as far as their first word tells.
fn checking_programs(
    bundle: &windlass_core::release::Bundle,
) -> std::collections::BTreeSet<String> {
    let checks = bundle
        .releases
        .values()
        .flat_map(|release| &release.meta.components)
        .flat_map(|part| &part.checks);
    checks
        .filter(|check| check.on != CheckOn::Node)
        .filter_map(|check| {
            check
                .command
                .run
                .lines()
                .find(|line| !line.trim().is_empty())
        })
        .filter_map(|line| line.split_whitespace().next())
        .filter(|word| word.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'))
        .filter(|word| !matches!(*word, "set" | "for" | "if" | "while" | "sh" | "cd" | "test"))
        .map(str::to_owned)
        .collect()
}

fn program(name: &str, mend: &str) -> Result<String, String> {
    // Debian keeps many of these where an ordinary user's PATH does not look.
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    path.split(':')
        .map(|dir| Path::new(dir).join(name))
        .find(|file| file.is_file())
        .map(|file| file.display().to_string())
        .ok_or_else(|| format!("not found: {mend}"))
}
