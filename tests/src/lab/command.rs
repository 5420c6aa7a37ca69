//! Running the host's programs (`ip`, `mount`, `ssh-keygen`) with errors that tell what failed.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, bail};

/// Runs `argv`, which must succeed, and returns its standard output without the final newline.
pub(super) fn run(argv: &[&str]) -> Result<String> {
    let mut command = Command::new(argv[0]);
    command.args(&argv[1..]);
    finish(&mut command)
}

/// Runs `command`, which must succeed, and returns its standard output without the final newline.
pub(super) fn finish(command: &mut Command) -> Result<String> {
    let output = capture(command)?;
    if !output.status.success() {
        bail!("{}", failure(command, &output));
    }
    Ok(String::from_utf8_lossy(&output.stdout)
        .trim_end()
        .to_owned())
}

/// Runs `command` with nothing on its standard input; any exit code is fine.
pub(super) fn capture(command: &mut Command) -> Result<Output> {
    command.stdin(Stdio::null());
    command
        .output()
        .with_context(|| format!("cannot run {}", shown(command)))
}

/// Runs `command`, which must succeed, with `input` on its standard input.
pub(super) fn feed(command: &mut Command, input: &[u8]) -> Result<()> {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot run {}", shown(command)))?;
    let written = child.stdin.take().context("no pipe")?.write_all(input);
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("{}", failure(command, &output));
    }
    written.with_context(|| format!("cannot write to {}", shown(command)))
}

fn failure(command: &Command, output: &Output) -> String {
    format!(
        "{} failed ({}): {}{}",
        shown(command),
        output.status,
        String::from_utf8_lossy(&output.stderr),
        String::from_utf8_lossy(&output.stdout)
    )
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}
