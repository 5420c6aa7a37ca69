//! Shows a roll while it goes on: on a terminal a live table, a row per node; elsewhere a line per step.

use std::collections::BTreeMap;
use std::sync::Mutex;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use windlass_core::ids::NodeName;
use windlass_core::plan::Plan;
use windlass_core::report::step;
use windlass_core::roll::{Entry, RollState};

use super::output::Output;
use crate::roll::Observer;

pub(super) struct Live {
    output: Output,
    table: Option<Table>,
}

struct Table {
    all: MultiProgress,
    rows: Mutex<BTreeMap<NodeName, ProgressBar>>,
}

impl Live {
    pub(super) fn new(output: &Output) -> Self {
        let table = output.is_live().then(|| Table {
            all: MultiProgress::new(),
            rows: Mutex::new(BTreeMap::new()),
        });
        Self {
            output: output.clone(),
            table,
        }
    }

    fn show(&self, plan: &Plan, node: &NodeName, text: &str) {
        match &self.table {
            Some(table) => table.set(plan, node, text),
            None => self.output.note(&format!("{node}: {text}")),
        }
    }
}

impl Table {
    /// Rows are made for all nodes of the plan at once, so that those that wait can be seen waiting.
    fn set(&self, plan: &Plan, node: &NodeName, text: &str) {
        let Ok(mut rows) = self.rows.lock() else {
            return;
        };
        if rows.is_empty() {
            for name in plan.waves.iter().flatten() {
                let bar = self.all.add(ProgressBar::new_spinner());
                if let Ok(style) =
                    ProgressStyle::with_template("  {prefix:12} {spinner} {wide_msg}")
                {
                    bar.set_style(style);
                }
                bar.set_prefix(name.to_string());
                bar.set_message("waits for its turn");
                rows.insert(name.clone(), bar);
            }
        }
        if let Some(bar) = rows.get(node) {
            bar.set_message(text.to_owned());
            bar.tick();
        }
    }
}

impl Observer for Live {
    fn happened(&self, plan: &Plan, _state: &RollState, entry: &Entry) {
        if let Some((node, text)) = step::words(&entry.event) {
            self.show(plan, node, &text);
        }
    }
}
