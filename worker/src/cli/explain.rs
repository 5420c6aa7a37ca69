//! `windlass explain`: what a finding's code means and how to mend it.

use std::fmt::Write as _;

use windlass_core::codes::{self, Entry};

use super::Exit;
use super::output::Output;

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
