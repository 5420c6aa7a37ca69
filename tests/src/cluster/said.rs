//! What the program said and how it ended, and how tests hold it to that: the whole of it stands in every
//! failure, because a roll cannot be looked at again.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStderr, Command, Stdio};

use anyhow::Context;

use super::fixture::Cluster;

#[derive(Debug)]
pub struct Said {
    /// `None` where a signal ended it.
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Said {
    pub fn of(command: &mut Command) -> anyhow::Result<Self> {
        let output = command
            .output()
            .with_context(|| format!("cannot start {}", command.get_program().display()))?;
        Ok(Self {
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    #[track_caller]
    pub fn ended(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self}");
        self
    }

    /// Each of these stands in what it said, wherever.
    #[track_caller]
    pub fn names(self, words: &[&str]) -> Self {
        for word in words {
            let found = self.out.contains(word) || self.err.contains(word);
            assert!(found, "nothing says {word:?}:\n{self}");
        }
        self
    }

    /// This stands nowhere in what it said.
    #[track_caller]
    pub fn hides(self, word: &str) -> Self {
        let shown = self.out.contains(word) || self.err.contains(word);
        assert!(!shown, "it says {word:?}:\n{self}");
        self
    }

    pub fn json(&self) -> anyhow::Result<serde_json::Value> {
        serde_json::from_str(&self.out).with_context(|| format!("no JSON: {self}"))
    }
}

impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { code, out, err } = self;
        write!(f, "exit code {code:?}\n{out}\n--- stderr\n{err}")
    }
}

impl Cluster {
    /// Runs the program on the checkout to its end.
    pub fn says(&self, arguments: &[&str]) -> anyhow::Result<Said> {
        Said::of(&mut self.windlass(arguments))
    }

    /// Starts the program and lets it go on until a line of its progress says `word`.
    pub fn until(&self, arguments: &[&str], word: &str) -> anyhow::Result<UnderWay> {
        UnderWay::start(&mut self.windlass(arguments), word)
    }
}

/// A program that has come to some point and goes on.
pub struct UnderWay {
    child: Child,
    stderr: BufReader<ChildStderr>,
    err: String,
}

impl UnderWay {
    /// Starts a program and lets it go on until a line of its progress says `word`.
    pub fn start(command: &mut Command, word: &str) -> anyhow::Result<Self> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let stderr = BufReader::new(child.stderr.take().context("stderr was piped")?);
        let mut under_way = Self {
            child,
            stderr,
            err: String::new(),
        };
        under_way.go_on_until(word)?;
        Ok(under_way)
    }

    /// Lets it go on until another line of its progress says `word`.
    pub fn go_on_until(&mut self, word: &str) -> anyhow::Result<()> {
        loop {
            let begin = self.err.len();
            if self.stderr.read_line(&mut self.err)? == 0 {
                let mut out = String::new();
                let stdout = self.child.stdout.as_mut().context("stdout was piped")?;
                stdout.read_to_string(&mut out)?;
                self.child.wait()?;
                anyhow::bail!("it ended without a word of {word:?}:\n{}\n{out}", self.err);
            }
            if self.err[begin..].contains(word) {
                return Ok(());
            }
        }
    }

    /// As a crash does.
    pub fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// As Ctrl-C does.
    pub fn interrupt(&self) -> anyhow::Result<()> {
        Said::of(Command::new("kill").args(["-INT", &self.child.id().to_string()]))?.ended(0);
        Ok(())
    }

    pub fn finish(mut self) -> anyhow::Result<Said> {
        self.stderr.read_to_string(&mut self.err)?;
        let output = self.child.wait_with_output()?;
        Ok(Said {
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: self.err,
        })
    }
}
