//! `windlass explain`: what a finding's code means and how to mend it.

use std::fmt::Write as _;

use serde::Serialize;
use windlass_core::codes::{self, Explanation};

use super::Exit;
use super::output::Output;

#[derive(Serialize)]
struct Entry {
    code: &'static str,
    title: &'static str,
    text: String,
}

impl From<&'static Explanation> for Entry {
    fn from(explanation: &'static Explanation) -> Self {
        let text = explanation
            .text
            .lines()
            .map(str::trim)
            .collect::<Vec<_>>()
            .join("\n");
        Self {
            code: explanation.code.as_str(),
            title: explanation.title,
            text,
        }
    }
}

pub(super) fn run(output: &Output, code: Option<&str>) -> anyhow::Result<Exit> {
    let Some(code) = code else {
        let entries: Vec<Entry> = codes::all().map(Entry::from).collect();
        output.result(&entries, || {
            entries.iter().fold(String::new(), |mut text, entry| {
                _ = writeln!(text, "{}  {}", entry.code, entry.title);
                text
            })
        })?;
        return Ok(Exit::Done);
    };
    let Some(explanation) = codes::explain(code) else {
        output.error(&format!(
            "there is no code {code:?}; `windlass explain` lists all"
        ));
        return Ok(Exit::Usage);
    };
    let entry = Entry::from(explanation);
    output.result(&entry, || {
        format!("{}: {}\n\n{}\n", entry.code, entry.title, entry.text)
    })?;
    Ok(Exit::Done)
}
