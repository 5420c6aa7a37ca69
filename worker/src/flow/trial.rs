//! Renders a commit first in a process of its own that may use so much processor time and memory and no more.
//! What it guards against: templates cannot be interrupted, so one whose loops write nothing, or whose texts double,
//! would hold the worker for ever or take all memory from it.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use windlass_core::codes::components::ENDLESS;
use windlass_core::component::{self, Folder};
use windlass_core::finding::{Finding, Location};
use windlass_core::snapshot::{Entry, Snapshot};

use super::packed;
use super::prepare::{self, Memory};
use crate::materials::Directories;

/// A thousand sites on three nodes take a fifth of a second.
const CPU_SECONDS: u32 = 10;
/// Five thousand sites on three nodes take a fourth of it.
const MIB: u64 = 512;

const SIGXCPU: i32 = 24;

/// The hidden command that renders what it reads, and only says whether it came to an end.
pub const COMMAND: &str = "render-trial";

/// Runs this program once more, within limits.
#[derive(Debug, Clone)]
pub struct Trial {
    program: PathBuf,
}

impl Trial {
    /// The very file that runs, also where an upgrade has put another in its place.
    pub fn of_this_program() -> Self {
        let program = PathBuf::from(format!("/proc/{}/exe", std::process::id()));
        Self { program }
    }

    /// A finding where rendering does not end within the limits; it names the template, or else the component. Blocks.
    pub fn run(
        &self,
        snapshot: &Snapshot,
        directories: &Directories,
    ) -> anyhow::Result<Option<Finding>> {
        let Some(signal) = self.end(snapshot, directories)?.signal() else {
            return Ok(None);
        };
        // With no template at all it may be a text of a component.yaml; then nobody is named.
        let none = with_only(snapshot, |_| false);
        if let Some(signal) = self.end(&none, directories)?.signal() {
            return Ok(Some(endless(signal)));
        }
        let (components, _) = component::load(snapshot);
        for folder in components.iter() {
            let own = format!("components/{}/", folder.name());
            let alone = with_only(snapshot, |path| path.starts_with(&own));
            if let Some(signal) = self.end(&alone, directories)?.signal() {
                let template = self.endless_template(snapshot, directories, folder, &own)?;
                let place = Location::file(template.unwrap_or_else(|| folder.file.clone()));
                return Ok(Some(endless(signal).at(place).of(folder.name())));
            }
        }
        Ok(Some(endless(signal)))
    }

    /// The component's template that does not end by itself, rendered beside those that it may include: the ones
    /// that no file names.
    fn endless_template(
        &self,
        snapshot: &Snapshot,
        directories: &Directories,
        folder: &Folder,
        own: &str,
    ) -> anyhow::Result<Option<String>> {
        let files = folder.definition.files.iter();
        let named: BTreeSet<String> = files
            .filter_map(|file| Some(format!("{own}{}", file.template.as_ref()?.as_str())))
            .collect();
        for template in &named {
            let alone = with_only(snapshot, |path| {
                path == template || (path.starts_with(own) && !named.contains(path))
            });
            if self.end(&alone, directories)?.signal().is_some() {
                return Ok(Some(template.clone()));
            }
        }
        Ok(None)
    }

    fn end(&self, snapshot: &Snapshot, directories: &Directories) -> anyhow::Result<ExitStatus> {
        let mut command = Command::new("prlimit");
        // The first limit sends SIGXCPU, which nothing else does.
        command.arg(format!("--cpu={CPU_SECONDS}:{}", CPU_SECONDS + 1));
        command.arg(format!("--data={0}:{0}", MIB * 1024 * 1024));
        command.arg("--core=0:0").arg(&self.program).arg(COMMAND);
        let given = [
            ("--certificates", &directories.certificates),
            ("--secrets", &directories.secrets),
        ];
        for (flag, dir) in given {
            if let Some(dir) = dir {
                command.arg(flag).arg(dir);
            }
        }
        for file in &directories.age_identities {
            command.arg("--age-identity").arg(file);
        }
        command.stdin(Stdio::piped());
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .context("cannot run prlimit (Debian package util-linux)")?;
        if let Some(pipe) = child.stdin.take() {
            // A process that ends without reading everything says why by its status.
            let _ = write(snapshot, pipe);
        }
        let ended = child.wait_with_output();
        let ended = ended.context("cannot wait for a rendering on trial")?;
        // Whatever was not rendered to its end must not count as tried.
        if ended.status.signal().is_none() && !ended.status.success() {
            let said = String::from_utf8_lossy(&ended.stderr);
            bail!("rendering on trial failed: {}", said.trim());
        }
        Ok(ended.status)
    }
}

/// The other side: renders the snapshot that comes in, for nothing but to see that it ends.
pub fn render(input: impl Read, directories: &Directories) -> anyhow::Result<()> {
    let snapshot = read(input).context("the snapshot broke off")?;
    prepare::render(Arc::new(snapshot), directories, &Memory::default()).map(drop)
}

fn endless(signal: i32) -> Finding {
    let limit = if signal == SIGXCPU {
        format!("{CPU_SECONDS} s of processor time")
    } else {
        format!("{MIB} MiB of memory")
    };
    let message = format!("rendering its templates takes more than {limit}, and was ended");
    Finding::error(ENDLESS, message).hint(
        "look at what the commit changed for loops within loops, and for a `set` that doubles its own text",
    )
}

/// With the other templates empty. They stay, because components name them and each other.
fn with_only(snapshot: &Snapshot, is_kept: impl Fn(&str) -> bool) -> Snapshot {
    let mut alone = snapshot.clone();
    for (path, entry) in &mut alone.entries {
        let template = path.starts_with("components/") && path.ends_with(".tera");
        if template && !is_kept(path) {
            *entry = Entry::File(Arc::from([]));
        }
    }
    alone
}

/// Only files: a tree with anything else is refused before it is rendered.
fn write(snapshot: &Snapshot, pipe: impl Write) -> std::io::Result<()> {
    let entries = snapshot.entries.iter();
    let files = entries.filter_map(|(path, entry)| match entry {
        Entry::File(bytes) => Some((path, &**bytes)),
        _ => None,
    });
    let (paths, contents): (Vec<&String>, Vec<&[u8]>) = files.unzip();
    packed::write(pipe, &paths, contents)
}

fn read(input: impl Read) -> std::io::Result<Snapshot> {
    let mut snapshot = Snapshot {
        commit: "trial".to_owned(),
        ..Snapshot::default()
    };
    let (paths, contents): (Vec<String>, _) = packed::read(input)?;
    if paths.len() != contents.len() {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    let files = contents.into_iter();
    let files = files.map(|bytes| Entry::File(Arc::from(bytes)));
    snapshot.entries = paths.into_iter().zip(files).collect();
    Ok(snapshot)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_arrives_as_it_was() {
        let long = format!("zones/{}.yaml", "a".repeat(150));
        let given = [
            ("cluster.yaml", "name: a"),
            (long.as_str(), ""),
            ("../a/../b", "c"),
        ];
        let snapshot = Snapshot::of_texts("trial", given);
        let mut packed = Vec::new();
        write(&snapshot, &mut packed).unwrap();
        assert_eq!(read(packed.as_slice()).unwrap(), snapshot);
        assert!(read(&packed[..packed.len() / 4]).is_err());
        let (a, ab) = ("components/a/x.tera", "components/ab/x.tera");
        let given = [(a, "1"), (ab, "2"), ("components/ab/component.yaml", "3")];
        let alone = with_only(&Snapshot::of_texts("trial", given), |path| path == a);
        let expected = [(a, "1"), (ab, ""), ("components/ab/component.yaml", "3")];
        assert_eq!(alone, Snapshot::of_texts("trial", expected));
    }
}
