//! What the demo shows: chapters, the commands as one would type them, and a live table of the nodes.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::time::Instant;

use anyhow::bail;

pub(super) struct Screen {
    began: Instant,
    terminal: bool,
    chapter: u32,
    /// What the table showed last, and how many lines of it stand on the terminal.
    table: BTreeMap<String, String>,
    drawn: usize,
}

impl Screen {
    pub(super) fn new() -> Self {
        Self {
            began: Instant::now(),
            terminal: std::io::stdout().is_terminal(),
            chapter: 0,
            table: BTreeMap::new(),
            drawn: 0,
        }
    }

    pub(super) fn chapter(&mut self, title: &str) {
        self.end_table();
        let number = self.chapter;
        self.chapter += 1;
        println!(
            "\n{}",
            self.bold(&format!(
                "── {number}. {title} ── {:.0} s",
                self.began.elapsed().as_secs_f32()
            ))
        );
    }

    pub(super) fn say(&mut self, text: &str) {
        self.end_table();
        for line in text.lines() {
            println!("   {line}");
        }
    }

    /// A command as one would type it.
    pub(super) fn command(&mut self, line: &str) {
        self.end_table();
        println!("   {} {}", self.dim("$"), self.bold(line));
    }

    /// A claim of the story with whether it held; a claim that did not ends the demo.
    pub(super) fn claim(&mut self, holds: bool, what: &str) -> anyhow::Result<()> {
        self.end_table();
        if !holds {
            println!("   {} {what}", self.colour("31", "✗"));
            bail!("this did not hold: {what}");
        }
        println!("   {} {what}", self.colour("32", "✓"));
        Ok(())
    }

    /// Shows where each node is; on a terminal in place, elsewhere a line a change.
    pub(super) fn nodes(&mut self, states: &[(String, String)]) {
        if self.terminal {
            if self.drawn > 0 {
                print!("\x1b[{}A", self.drawn);
            }
            for (node, state) in states {
                println!("\x1b[2K     {node:<9} {state}");
            }
            self.drawn = states.len();
            drop(std::io::stdout().flush());
        }
        for (node, state) in states {
            if self.table.get(node) != Some(state) {
                if !self.terminal {
                    println!("     {node:<9} {state}");
                }
                self.table.insert(node.clone(), state.clone());
            }
        }
    }

    fn end_table(&mut self) {
        self.drawn = 0;
        self.table.clear();
    }

    fn bold(&self, text: &str) -> String {
        self.colour("1", text)
    }

    fn dim(&self, text: &str) -> String {
        self.colour("2", text)
    }

    fn colour(&self, code: &str, text: &str) -> String {
        if self.terminal {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}
