//! One TLS connection that stays open, and requests on it: what a change must not tear from under a client.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use anyhow::{Context, ensure};

use crate::lab::Lab;

pub struct Kept {
    openssl: Child,
    host: String,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Kept {
    /// Connects to `host` at a node; the certificate must be good.
    pub fn open(lab: &Lab, node: &str, host: &str, root: &Path) -> anyhow::Result<Self> {
        let mut openssl = lab
            .run_in_net("openssl")
            .args(["s_client", "-quiet", "-verify_return_error", "-CAfile"])
            .arg(root)
            .args(["-servername", host, "-verify_hostname", host])
            .args(["-connect", &format!("{}:443", lab.node(node).ip())])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let ask = openssl.stdin.take().context("stdin was piped")?;
        let stdout = openssl.stdout.take().context("stdout was piped")?;
        Ok(Self {
            openssl,
            host: host.to_owned(),
            ask,
            answers: BufReader::new(stdout),
        })
    }

    /// One request; whether the server wants to close after it is an error too.
    pub fn request(&mut self) -> anyhow::Result<()> {
        let host = &self.host;
        write!(self.ask, "GET /health HTTP/1.1\r\nHost: {host}\r\n\r\n")?;
        self.ask.flush()?;
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let begin = head.len();
            let read = self.answers.read_line(&mut head)?;
            ensure!(read > 0, "the connection was closed: {head:?}");
            let line = head[begin..].trim().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse()?;
            }
        }
        let mut body = vec![0; length];
        self.answers.read_exact(&mut body)?;
        let status = head.lines().next().unwrap_or_default();
        ensure!(status.contains(" 200"), "{head}");
        ensure!(
            !head.to_ascii_lowercase().contains("connection: close"),
            "the server lets go of the connection: {head}"
        );
        Ok(())
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        drop(self.openssl.kill());
        drop(self.openssl.wait());
    }
}
