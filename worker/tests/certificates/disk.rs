//! A small disk for a worker's state, and a second one for its certificates, in a mount namespace that goes with the test.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const MOUNT: &str = "mkdir -p \"$1\"
mount -t tmpfs -o size=8m,mode=0700 tmpfs \"$1\"
mkdir -m 0700 \"$1/certificates\"
mount -t tmpfs -o size=64k,mode=0700 tmpfs \"$1/certificates\"
echo ready
exec sleep infinity";

pub(super) struct Disk {
    /// Holds the namespace.
    holder: Child,
    at: PathBuf,
}

impl Drop for Disk {
    fn drop(&mut self) {
        drop(self.holder.kill());
        drop(self.holder.wait());
    }
}

impl Disk {
    pub(super) fn at(path: &Path) -> Self {
        let mut holder = Command::new("setpriv")
            .args([
                "--pdeathsig",
                "KILL",
                "unshare",
                "--mount",
                "sh",
                "-ec",
                MOUNT,
                "sh",
            ])
            .arg(path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let out = holder.stdout.take().unwrap();
        BufReader::new(out).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n", "a disk can be mounted");
        Self {
            holder,
            at: path.to_owned(),
        }
    }

    /// A program that sees the disk.
    pub(super) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--mount=/proc/{}/ns/mnt", self.holder.id()))
            .arg(program);
        command
    }

    /// A path below the state, as this test can open it.
    pub(super) fn path(&self, below: &str) -> PathBuf {
        let state = self.at.strip_prefix("/").unwrap();
        Path::new("/proc")
            .join(self.holder.id().to_string())
            .join("root")
            .join(state)
            .join(below)
    }

    /// Leaves no space in this folder.
    pub(super) fn fill(&self, folder: &str) {
        let mut filler = File::create(self.path(folder).join("filler")).unwrap();
        loop {
            match filler.write_all(&[0; 4096]) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => return,
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Gives this many bytes back to a folder that is full.
    pub(super) fn give_back(&self, folder: &str, bytes: u64) {
        let filler = self.path(folder).join("filler");
        let file = fs::OpenOptions::new().write(true).open(&filler).unwrap();
        let length = file.metadata().unwrap().len();
        file.set_len(length.saturating_sub(bytes)).unwrap();
    }

    pub(super) fn clear(&self, folder: &str) {
        fs::remove_file(self.path(folder).join("filler")).unwrap();
    }
}
