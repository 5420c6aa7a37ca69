//! The result as JSON for programs and as tables for people.

use std::fmt::Write as _;

use serde::Serialize;

use super::hooks::Hooks;
use super::idle::Idle;
use super::machine::Machine;
use super::numbers::{Spread, shown};
use super::previews::Previews;
use super::pushes::Pushes;
use super::rounds::Measured;
use super::scale::Scale;
use super::tool::{Scenario, Tool};

#[derive(Debug, Serialize)]
pub struct Report {
    pub machine: Machine,
    pub nodes: Vec<Measured>,
    pub core: Vec<Scale>,
    pub idle: Option<Idle>,
    pub hooks: Option<Hooks>,
    pub pushes: Option<Pushes>,
    pub previews: Option<Previews>,
    /// Parts that could not be measured, and why.
    pub missing: Vec<String>,
}

/// The tables as `docs/benchmarks.md` shows them.
pub fn markdown(report: &Report) -> String {
    let mut text = String::new();
    machine(&mut text, &report.machine);
    for scenario in Scenario::ALL {
        nodes(&mut text, scenario, &report.nodes);
    }
    core(&mut text, &report.core);
    if let Some(idle) = &report.idle {
        _ = writeln!(
            text,
            "Idle worker: {:.1} MiB resident, {:.1} MiB of it its own memory; {:.1} MiB at its peak. Binary: {:.1} MiB.\n",
            idle.resident_mib, idle.own_mib, idle.peak_mib, idle.binary_mib
        );
    }
    if let Some(measured) = &report.hooks {
        hooks(&mut text, measured);
    }
    if let Some(Pushes { embedded, amqp }) = &report.pushes {
        _ = writeln!(
            text,
            "From `git push` to the first node that is changed: {} through the embedded queue, {} through RabbitMQ.\n",
            around(embedded),
            around(amqp)
        );
    }
    if let Some(measured) = &report.previews {
        _ = writeln!(
            text,
            "From a request's webhook to its comment ({} sites, {} nodes, one line changed): {}. The programs alone: {}; × {:.1}.\n",
            measured.sites,
            measured.nodes,
            around(&measured.posted),
            around(&measured.programs),
            measured.ratio
        );
    }
    for why in &report.missing {
        _ = writeln!(text, "Not measured: {why}\n");
    }
    text
}

fn machine(text: &mut String, machine: &Machine) {
    let Machine {
        processor,
        cores,
        memory_gib,
        system,
        ..
    } = machine;
    _ = writeln!(
        text,
        "{processor}, {cores} cores, {memory_gib} GiB, {system}; {}. Load before {}, after {}.",
        machine.versions.join(", "),
        machine.load_before,
        machine.load_after
    );
    if let Some(login) = &machine.login {
        _ = writeln!(text, "One new SSH connection to a node: {}.", around(login));
    }
    text.push('\n');
}

fn nodes(text: &mut String, scenario: Scenario, measured: &[Measured]) {
    let rows: Vec<&Measured> = measured
        .iter()
        .filter(|row| row.scenario == scenario)
        .collect();
    if rows.is_empty() {
        return;
    }
    let windlass = rows.iter().find(|row| row.tool == Tool::Windlass);
    let windlass = windlass
        .and_then(|row| row.time.as_ref())
        .map(|time| time.median);
    let title = match scenario {
        Scenario::Change => "All files change, one node at a time",
        Scenario::Nothing => "Nothing changed",
        Scenario::Diff => "Diff only, all files would change",
    };
    _ = writeln!(
        text,
        "**{title}**\n\n| tool | median | min – max | runs | × floor | × Windlass |\n|---|--:|--:|--:|--:|--:|"
    );
    for row in rows {
        let name = row.tool.title();
        let Some(time) = &row.time else {
            _ = writeln!(
                text,
                "| {name} | failed | {} | 0 | | |",
                row.why.as_deref().unwrap_or_default()
            );
            continue;
        };
        let failed = if row.failed > 0 {
            format!(" ({} failed)", row.failed)
        } else {
            String::new()
        };
        _ = writeln!(
            text,
            "| {name} | {} | {} – {} | {}{failed} | {} | {} |",
            shown(time.median),
            shown(time.min),
            shown(time.max),
            time.runs,
            times(row.ratio),
            times(windlass.map(|windlass| time.median / windlass))
        );
    }
    text.push('\n');
}

fn core(text: &mut String, scales: &[Scale]) {
    if scales.is_empty() {
        return;
    }
    _ = writeln!(
        text,
        "**Core alone: load, cross-check and render 3 nodes**\n\n\
         | sites | files | first | of it model / render | one line changed | of it model / render | peak memory |\n\
         |--:|--:|--:|--:|--:|--:|--:|"
    );
    for scale in scales {
        let (first, change) = (&scale.first_parts, &scale.change_parts);
        _ = writeln!(
            text,
            "| {} | {} | {} | {} / {} | {} | {} / {} | {:.0} MiB |",
            scale.sites,
            scale.files,
            around(&scale.first),
            shown(first.model),
            shown(first.render),
            around(&scale.change),
            shown(change.model),
            shown(change.render),
            scale.peak_mib.median
        );
    }
    text.push('\n');
}

fn hooks(text: &mut String, hooks: &Hooks) {
    _ = writeln!(
        text,
        "**Hooks, each with its event at RabbitMQ**\n\n| | a second | min – max | × published |\n|---|--:|--:|--:|"
    );
    let rows = [
        ("published by lapin alone, confirmed", &hooks.published),
        ("hooks answered", &hooks.answered),
        (
            "hooks answered and their events confirmed",
            &hooks.confirmed,
        ),
    ];
    for (name, rate) in rows {
        let Spread {
            median, min, max, ..
        } = rate;
        let ratio = median / hooks.published.median;
        _ = writeln!(
            text,
            "| {name} | {median:.0} | {min:.0} – {max:.0} | {ratio:.2} |"
        );
    }
    text.push('\n');
}

fn around(spread: &Spread) -> String {
    let Spread {
        median, min, max, ..
    } = spread;
    format!("{} ({} – {})", shown(*median), shown(*min), shown(*max))
}

fn times(ratio: Option<f64>) -> String {
    match ratio {
        None => String::new(),
        Some(ratio) if ratio < 10.0 => format!("{ratio:.1}"),
        Some(ratio) => format!("{ratio:.0}"),
    }
}
