//! From exit status and output to findings. A program that exits 0 may still have refused (`fail_on`), and one
//! that fails names its reason somewhere in many lines (`finding`). Nothing here trusts the output: it is
//! stripped, redacted and cut, and the patterns are bounded, because a commit decides what is printed.

use regex::{Captures, Regex, RegexBuilder};

use super::{Ended, origin, redact};
use crate::codes::{Code, checks};
use crate::finding::{Finding, Findings, Location};
use crate::ids::NodePath;
use crate::release::{Check, Release};

const MAX_PATTERN_BYTES: usize = 256 * 1024;
const MAX_FINDINGS: usize = 20;
const MAX_MESSAGE_CHARS: usize = 400;
const LAST_LINES: usize = 5;
const MEND: &str = "mend it there and push again; before that, `windlass check` in a checkout asks the same program and touches no node";

/// What the check found against this release.
pub fn judge(check: &Check, ended: &Ended, output: &str, release: &Release) -> Findings {
    let output = redact::secrets(&printable(output), release);
    let judgement = Judgement {
        check,
        output: &output,
        release,
    };
    match ended {
        Ended::Exit(127) if missing_program(&output).is_some() => {
            let program = missing_program(&output).unwrap_or_default();
            alone(judgement.missing(program))
        }
        Ended::Exit(status) => judgement.said(*status),
        Ended::TimedOut => {
            let what = format!("did not end within {} s", check.command.timeout);
            alone(judgement.ended_badly(checks::CHECK_TIMED_OUT, &what))
        }
        Ended::Killed(why) => {
            let what = format!("was stopped: {why}");
            alone(judgement.ended_badly(checks::CHECK_KILLED, &what))
        }
        Ended::NotFound(program) => alone(judgement.missing(program)),
    }
}

struct Judgement<'a> {
    check: &'a Check,
    output: &'a str,
    release: &'a Release,
}

impl Judgement<'_> {
    fn said(&self, status: i32) -> Findings {
        let patterns = (|| {
            let fail_on = self.check.fail_on.as_deref().map(pattern).transpose()?;
            let finding = self.check.finding.as_deref().map(pattern).transpose()?;
            Ok::<_, regex::Error>((fail_on, finding))
        })();
        let (fail_on, finding) = match patterns {
            Ok(patterns) => patterns,
            Err(error) => return alone(self.bad_pattern(&error)),
        };
        let hit = fail_on.and_then(|pattern| pattern.find(self.output));
        let failed = status != 0 || hit.is_some();
        let matches: Vec<Captures<'_>> = finding
            .iter()
            .flat_map(|pattern| pattern.captures_iter(self.output))
            .take(MAX_FINDINGS + 1)
            .collect();
        if matches.is_empty() {
            let what = match hit {
                _ if !failed => return Findings::default(),
                Some(hit) if status == 0 => {
                    format!("ended well, but printed {:?}", cut(hit.as_str()))
                }
                _ => status_words(status),
            };
            return alone(self.ended_badly(checks::CHECK_REFUSED, &what).hint(MEND));
        }
        let mut findings: Findings = matches
            .iter()
            .take(MAX_FINDINGS)
            .map(|captures| self.one(captures, failed))
            .collect();
        if matches.len() > MAX_FINDINGS {
            let more = format!("{}: it found more than these", self.label());
            findings.push(self.finding(failed, more));
        }
        findings
    }

    /// One match of the `finding` pattern.
    fn one(&self, captures: &Captures<'_>, failed: bool) -> Finding {
        let group = |name| captures.name(name).map(|group| group.as_str().trim());
        let message = group("message")
            .or_else(|| captures.get(0).map(|all| all.as_str()))
            .unwrap_or_default();
        let finding = self.finding(failed, format!("{}: {}", self.label(), cut(message)));
        let Some(path) = group("file").and_then(|file| self.path(file)) else {
            return finding;
        };
        let line = group("line").and_then(|line| line.parse().ok());
        self.placed(finding, path, line.unwrap_or(0))
    }

    /// Adds the rendered line and where it came from.
    fn placed(&self, mut finding: Finding, path: &NodePath, line: u32) -> Finding {
        let (Some(meta), Some(content)) = (
            self.release.meta.files.get(path),
            self.release.contents.get(path),
        ) else {
            return finding;
        };
        let text = String::from_utf8_lossy(content);
        let index = usize::try_from(line).unwrap_or(usize::MAX);
        if let Some(origin) = origin::of(meta, path, &text, index) {
            finding.at = Some(origin.at);
            if let Some(template) = origin.template {
                let why = format!("{path} is rendered from this");
                finding = finding.related(template, why);
            }
        }
        if meta.secret {
            return finding.hint(format!(
                "line {line} of {path}; a secret file is not quoted"
            ));
        }
        let quoted = index.checked_sub(1).and_then(|at| text.lines().nth(at));
        match quoted {
            Some(quoted) => finding.quoting(path.as_str(), line, cut(&printable(quoted))),
            None => finding,
        }
    }

    /// The release's file that the program means; relative names must be unambiguous.
    fn path(&self, file: &str) -> Option<&NodePath> {
        let paths = self.release.contents.keys();
        if file.starts_with('/') {
            return paths.into_iter().find(|path| path.as_str() == file);
        }
        let ending = format!("/{}", file.trim_start_matches("./"));
        let mut fitting = paths.filter(|path| path.as_str().ends_with(&ending));
        fitting.next().filter(|_| fitting.next().is_none())
    }

    fn finding(&self, failed: bool, message: String) -> Finding {
        let finding = if failed {
            Finding::error(checks::CHECK_REFUSED, message).hint(MEND)
        } else {
            Finding::warning(checks::CHECK_WARNED, message)
        };
        self.by_component(finding)
    }

    fn by_component(&self, finding: Finding) -> Finding {
        let component = &self.check.command.component;
        let definition = format!("components/{component}/component.yaml");
        finding
            .on(&self.release.meta.node)
            .of(component)
            .at(Location::file(definition))
    }

    fn ended_badly(&self, code: Code, what: &str) -> Finding {
        let last: Vec<&str> = self
            .output
            .lines()
            .filter(|line| !line.is_empty())
            .collect();
        let last = &last[last.len().saturating_sub(LAST_LINES)..];
        let mut message = format!("{} {what}", self.label());
        for line in last {
            message.push_str("\n  ");
            message.push_str(&cut(line));
        }
        self.by_component(Finding::error(code, message))
    }

    fn missing(&self, program: &str) -> Finding {
        let component = &self.check.command.component;
        let components = self.release.meta.components.iter();
        let packages = components
            .filter(|candidate| candidate.name == *component)
            .flat_map(|component| &component.packages)
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join(" ");
        let hint = if packages.is_empty() {
            format!("install the package that has {program} on the machine that runs the check")
        } else {
            format!("on the machine that runs the check: apt-get install {packages}")
        };
        let message = format!("{} needs {program}, which is not installed", self.label());
        self.by_component(Finding::error(checks::CHECK_PROGRAM_MISSING, message))
            .hint(hint)
    }

    fn bad_pattern(&self, error: &regex::Error) -> Finding {
        let message = format!("{}: {error}", self.label());
        self.by_component(Finding::error(checks::CHECK_PATTERN, message))
    }

    /// Where nobody gave the check a name, its label is the whole command.
    fn label(&self) -> &str {
        self.check.command.label.lines().next().unwrap_or_default()
    }
}

fn alone(finding: Finding) -> Findings {
    [finding].into_iter().collect()
}

/// `^` and `$` mean lines, as people expect of a program's output.
fn pattern(text: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(text)
        .multi_line(true)
        .size_limit(MAX_PATTERN_BYTES)
        .dfa_size_limit(MAX_PATTERN_BYTES)
        .build()
}

fn status_words(status: i32) -> String {
    match status {
        129..=192 => format!("failed with exit status {status} (signal {})", status - 128),
        _ => format!("failed with exit status {status}"),
    }
}

/// What a shell says with status 127: `sh: 1: haproxy: not found`.
fn missing_program(output: &str) -> Option<&str> {
    output.lines().rev().find_map(|line| {
        let before = line
            .strip_suffix(": command not found")
            .or_else(|| line.strip_suffix(": not found"))?;
        before.rsplit(": ").next()
    })
}

/// Without control characters (terminal escapes above all), but with its lines.
fn printable(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_control() || matches!(c, '\n' | '\t'))
        .collect()
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(MAX_MESSAGE_CHARS) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
