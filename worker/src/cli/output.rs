//! The one place of the program that prints. Results go to standard output, everything about the way there
//! (progress, questions, errors) to standard error, so that a result can be piped.

use std::io::{IsTerminal, Write};

use anstream::{AutoStream, ColorChoice};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use windlass_core::finding::Findings;
use windlass_core::report::machine::{github, junit, sarif};

use super::args::{Colour, Format, Global};

#[derive(Debug, Clone)]
pub(super) struct Output {
    format: Format,
    colour: ColorChoice,
    quiet: bool,
}

impl Output {
    pub(super) fn new(global: &Global) -> Self {
        let colour = match global.color {
            Colour::Auto => ColorChoice::Auto,
            Colour::Always => ColorChoice::Always,
            Colour::Never => ColorChoice::Never,
        };
        Self {
            format: global.format,
            colour,
            quiet: global.quiet,
        }
    }

    pub(super) fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// Whether texts made for standard output should carry colour.
    pub(super) fn colours(&self) -> bool {
        match self.colour {
            ColorChoice::Always | ColorChoice::AlwaysAnsi => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => {
                std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()
            }
        }
    }

    /// A result: `text` for people, `value` for programs.
    ///
    /// A reader that has gone away (`windlass plan | head`) is not an error.
    pub(super) fn result<T: Serialize>(
        &self,
        value: &T,
        text: impl FnOnce() -> String,
    ) -> anyhow::Result<()> {
        let text = match self.format {
            Format::Json => format!("{}\n", serde_json::to_string_pretty(value)?),
            // Formats of findings are refused on the command line where a result is none.
            Format::Text | Format::Sarif | Format::Junit | Format::Github => text(),
        };
        self.text(&text);
        Ok(())
    }

    /// What was found, for programs that show it beside the lines; whether that is the format that was asked for.
    pub(super) fn annotated(&self, findings: &Findings, verdict: &str) -> anyhow::Result<bool> {
        let text = match self.format {
            Format::Text | Format::Json => return Ok(false),
            Format::Sarif => {
                let value = sarif::value(findings, verdict);
                format!("{}\n", serde_json::to_string_pretty(&value)?)
            }
            Format::Junit => junit::text(findings, verdict)?,
            Format::Github => github::text(findings, verdict),
        };
        self.text(&text);
        Ok(true)
    }

    /// A result that is text in every format.
    pub(super) fn text(&self, text: &str) {
        let mut stdout = AutoStream::new(std::io::stdout(), self.colour);
        drop(
            stdout
                .write_all(text.as_bytes())
                .and_then(|()| stdout.flush()),
        );
    }

    /// A word about the way there.
    pub(super) fn note(&self, text: &str) {
        if !self.quiet {
            self.error(text);
        }
    }

    /// Something that must be seen.
    pub(super) fn error(&self, text: &str) {
        let mut stderr = AutoStream::new(std::io::stderr(), self.colour);
        drop(writeln!(stderr, "{text}"));
    }

    /// Whether a live display makes sense.
    pub(super) fn is_live(&self) -> bool {
        !self.quiet && !self.is_json() && std::io::stderr().is_terminal()
    }

    /// A spinner with a count, on a terminal only.
    pub(super) fn progress(&self, what: &'static str) -> ProgressBar {
        if !self.is_live() {
            return ProgressBar::hidden();
        }
        let bar = ProgressBar::no_length().with_message(what);
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {pos}/{len} {elapsed}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(std::time::Duration::from_millis(120));
        bar
    }

    /// Asks on the terminal; without one the answer is no.
    pub(super) fn confirm(&self, question: &str) -> bool {
        if !std::io::stdin().is_terminal() {
            self.error("not asked, because standard input is not a terminal: give --yes");
            return false;
        }
        let mut stderr = AutoStream::new(std::io::stderr(), self.colour);
        drop(write!(stderr, "{question} [y/N] ").and_then(|()| stderr.flush()));
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer).is_ok()
            && matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
    }
}
