//! What a component does on a node, as shell text: a release must be able to act long after the repository
//! moved on, so nothing is left to be looked up later.

use std::collections::BTreeMap;

use tera::Context;

use super::engine::Engine;
use super::filters::shell_quote;
use super::node::Inputs;
use crate::component::Folder;
use crate::component::actions::{Action, CheckEntry};
use crate::finding::{Finding, Findings};
use crate::release::{Apply, Check, Command, ReleaseComponent};
use crate::yaml::At;

pub(super) struct Commands<'a> {
    folder: &'a Folder,
    engine: &'a Engine,
    context: &'a Context,
    inputs: &'a Inputs<'a>,
}

impl<'a> Commands<'a> {
    pub(super) fn new(
        folder: &'a Folder,
        engine: &'a Engine,
        context: &'a Context,
        inputs: &'a Inputs<'a>,
    ) -> Self {
        Self {
            folder,
            engine,
            context,
            inputs,
        }
    }

    pub(super) fn component(&self) -> Result<ReleaseComponent, Findings> {
        let own = &self.folder.definition;
        let plain = |values: &[At<String>]| values.iter().map(|at| at.value.clone()).collect();
        let mut findings = Findings::default();
        let mut checks = Vec::new();
        for (index, check) in own.checks.iter().enumerate() {
            match self.check(index, check) {
                Ok(check) => checks.extend(check),
                Err(finding) => findings.push(finding),
            }
        }
        let mut all = |list: &str, actions: &[Action]| {
            let commands = actions.iter().enumerate();
            let commands = commands.map(|(index, action)| self.action(list, index, action));
            commands
                .filter_map(|result| result.map_err(|found| findings.push(found)).ok())
                .collect::<Vec<Command>>()
        };
        let drain = all("drain", &own.drain);
        let undrain = all("undrain", &own.undrain);
        let remove = all("remove", &own.remove);
        let commands = all("apply", &own.apply);
        if findings.has_errors() {
            return Err(findings
                .into_iter()
                .map(|found| found.of(self.folder.name()))
                .collect());
        }
        let when = own.apply.iter().map(|action| {
            let globs = action
                .when
                .as_ref()
                .map(|at| at.value.iter().cloned().collect());
            (globs.unwrap_or_default(), action.alone.value)
        });
        let apply = when.zip(commands).map(|((when, alone), command)| Apply {
            when,
            alone,
            command,
        });
        Ok(ReleaseComponent {
            name: own.name.value.clone(),
            packages: plain(&own.packages),
            checks,
            apply: apply.collect(),
            drain,
            undrain,
            remove,
            units: plain(&own.units),
        })
    }

    fn command(&self, label: String, run: String, timeout: u32) -> Command {
        Command {
            component: self.folder.name().clone(),
            label,
            run,
            timeout,
        }
    }

    fn check(&self, index: usize, check: &CheckEntry) -> Result<Option<Check>, Finding> {
        if !self
            .engine
            .holds(&format!("checks[{index}].when"), self.context)?
        {
            return Ok(None);
        }
        let run = self.render(&format!("checks[{index}].run"))?;
        let label = check.label.clone().unwrap_or_else(|| first_line(&run));
        let scripts = self.scripts(&run);
        Ok(Some(Check {
            command: self.command(label, run, check.timeout.get()),
            fail_on: check.fail_on.as_ref().map(|at| at.value.clone()),
            finding: check.finding.as_ref().map(|at| at.value.clone()),
            on: check.on,
            scripts,
        }))
    }

    /// Files of the folder that the command names.
    fn scripts(&self, run: &str) -> BTreeMap<String, String> {
        let words = run.split(|c: char| c.is_whitespace() || "\"';|&()<>".contains(c));
        words
            .map(|word| word.trim_start_matches("./"))
            .filter(|word| *word != "component.yaml")
            .filter_map(|word| {
                let bytes = self.folder.files.get(word)?;
                let text = std::str::from_utf8(bytes).ok()?;
                Some((word.to_owned(), text.to_owned()))
            })
            .collect()
    }

    fn action(&self, list: &str, index: usize, action: &Action) -> Result<Command, Finding> {
        let (words, mut run) = match (&action.reload, &action.restart, &action.start, &action.stop)
        {
            (Some(unit), ..) => (format!("reload {unit}"), reload(unit)),
            (_, Some(unit), ..) => (format!("restart {unit}"), restart(unit)),
            (_, _, Some(unit), _) => (format!("start {unit}"), start(unit)),
            (_, _, _, Some(unit)) => (format!("stop {unit}"), stop(unit)),
            _ => {
                let run = self.render(&format!("{list}[{index}].run"))?;
                (first_line(&run), run)
            }
        };
        let label = action.label.clone().unwrap_or(words);
        if action.verify.is_some() {
            let verify = self.render(&format!("{list}[{index}].verify"))?;
            let (verify, label) = (shell_quote(&verify), shell_quote(&label));
            // A shell of its own: `set -e` has no effect in a command whose failure is looked at.
            run = format!(
                "sh -eu -c {}\nsh -eu -c {verify} || {{ echo \"verify failed after \"{label} >&2; exit 1; }}\n",
                shell_quote(&run)
            );
        }
        Ok(self.command(label, run, action.timeout.get()))
    }

    fn render(&self, name: &str) -> Result<String, Finding> {
        self.engine.render(name, self.context).map_err(|finding| {
            let message = self.inputs.materials.scrub(&finding.message);
            Finding { message, ..finding }
        })
    }
}

/// What a command is called where nobody named it.
fn first_line(run: &str) -> String {
    let mut lines = run.lines().map(str::trim);
    let line = lines.find(|line| !line.is_empty() && !line.starts_with('#'));
    let line = line.unwrap_or("nothing");
    if line.chars().count() <= 60 {
        return line.to_owned();
    }
    let start: String = line.chars().take(59).collect();
    format!("{start}…")
}

/// systemd must have read a changed unit before it acts on it; asking is cheap, reloading all units is not.
fn fresh(unit: &str) -> String {
    format!(
        "if [ \"$(systemctl show --property=NeedDaemonReload --value -- {unit})\" = yes ]; then systemctl daemon-reload; fi\n\
         systemctl is-enabled --quiet -- {unit} || systemctl enable --quiet -- {unit}\n"
    )
}

fn reload(unit: &str) -> String {
    format!(
        "{}if systemctl is-active --quiet -- {unit}; then systemctl reload -- {unit}\n\
         else systemctl reset-failed -- {unit} 2>/dev/null || true; systemctl start -- {unit}; fi\n",
        fresh(unit)
    )
}

fn restart(unit: &str) -> String {
    format!(
        "{}systemctl reset-failed -- {unit} 2>/dev/null || true\nsystemctl restart -- {unit}\n",
        fresh(unit)
    )
}

fn start(unit: &str) -> String {
    format!(
        "{}systemctl reset-failed -- {unit} 2>/dev/null || true\nsystemctl start -- {unit}\n",
        fresh(unit)
    )
}

/// A removed component has taken its unit's file along by now: systemd still runs what it once read, and what
/// enabled the unit still points at nothing.
fn stop(unit: &str) -> String {
    format!(
        "if systemctl cat -- {unit} >/dev/null 2>&1; then systemctl disable --quiet --now -- {unit}\n\
         else systemctl disable --quiet -- {unit} 2>/dev/null || true\n\
         case $(systemctl show --property=ActiveState --value -- {unit}) in inactive | failed) ;; *) systemctl stop -- {unit} ;; esac; fi\n"
    )
}
