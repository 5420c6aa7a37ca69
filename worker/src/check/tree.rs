//! What a check sees: the candidate at its final paths, the files and directories that the component's packages
//! ship, and little else. It is handed into the sandbox as an archive on standard input, so that neither a
//! candidate nor a private key ever touches the worker's disk.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use windlass_core::ids::{Digest, NodePath};
use windlass_core::release::{Check, Release, ReleaseComponent, SERIAL_TOKEN};

/// Where the check's text and its scripts lie in the sandbox.
pub(super) const COMMAND: &str = "run/windlass/command";
pub(super) const SCRIPTS: &str = "run/windlass/scripts";
/// Stands in for the serial that a node will bind: valid, and as long as a real one.
const ANY_SERIAL: &str = "2000010100";
const MAX_PACKAGE_FILE: u64 = 1024 * 1024;
/// These belong to the worker's machine and are mounted read-only.
const NOT_OURS: [&str; 8] = [
    "/bin/", "/dev/", "/lib", "/proc/", "/sbin/", "/sys/", "/usr/", "/boot/",
];

/// What programs need of this machine's `/etc`; nothing in it is secret.
pub(super) const SYSTEM_FILES: [&str; 8] = [
    "/etc/alternatives",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/protocols",
    "/etc/services",
    "/etc/ssl/openssl.cnf",
];
/// The authorities that this machine trusts. HAProxy reads each of them at every start, whether its configuration needs
/// them or not, which takes longer than all the rest: only those who name them see them.
pub(super) const AUTHORITIES: &str = "/etc/ssl/certs";
const NAMES_OF_AUTHORITIES: [&str; 5] = [
    "/etc/ssl",
    "/usr/lib/ssl",
    "@system-ca",
    "httpclient",
    "openssl ",
];

#[derive(Debug, Clone)]
struct Seen {
    content: Arc<[u8]>,
    mode: u32,
    serial: bool,
}

/// One check with everything it can see. Equal digests mean equal results.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    pub(super) digest: Digest,
    files: BTreeMap<NodePath, Seen>,
    packages: Vec<String>,
    run: String,
    scripts: BTreeMap<String, String>,
}

impl Candidate {
    /// `Err`: a path that cannot be placed in the sandbox.
    pub(super) fn of(
        check: &Check,
        component: &ReleaseComponent,
        release: &Release,
    ) -> Result<Self, NodePath> {
        let mut files = BTreeMap::new();
        for (path, meta) in &release.meta.files {
            if meta.component != component.name && !is_beside(path, component, release) {
                continue;
            }
            if !is_placeable(path.as_str()) {
                return Err(path.clone());
            }
            let Some(content) = release.contents.get(path) else {
                continue;
            };
            let seen = Seen {
                content: Arc::clone(content),
                mode: u32::from_str_radix(&meta.mode, 8).unwrap_or(0o600) & 0o777,
                serial: meta.serial,
            };
            files.insert(path.clone(), seen);
        }
        let mut candidate = Self {
            digest: Digest::of(b""),
            files,
            packages: component.packages.clone(),
            run: check.command.run.clone(),
            scripts: check.scripts.clone(),
        };
        candidate.digest = candidate.digest_with(check, release);
        Ok(candidate)
    }

    fn digest_with(&self, check: &Check, release: &Release) -> Digest {
        let mut parts = vec![
            self.run.clone(),
            format!("{:?} {:?}", check.fail_on, check.finding),
            check.command.timeout.to_string(),
            self.packages.join(" "),
        ];
        for (name, text) in &self.scripts {
            parts.push(name.clone());
            parts.push(text.clone());
        }
        for path in self.files.keys() {
            if let Some(meta) = release.meta.files.get(path) {
                parts.push(format!("{path} {} {}", meta.digest, meta.mode));
            }
        }
        Digest::of_parts(parts.iter().map(String::as_bytes))
    }

    /// Whether one of the files lies at or below this path.
    pub(super) fn has_below(&self, path: &str) -> bool {
        self.files.keys().any(|file| {
            let rest = file.as_str().strip_prefix(path);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    }

    /// Whether it may be about the authorities that this machine trusts.
    pub(super) fn names_authorities(&self) -> bool {
        let files = self.files.values().map(|seen| &*seen.content);
        let scripts = self.scripts.values().map(String::as_bytes);
        let mut texts = files.chain(scripts).chain([self.run.as_bytes()]);
        texts.any(|text| {
            let text = String::from_utf8_lossy(text);
            NAMES_OF_AUTHORITIES.iter().any(|name| text.contains(name))
        })
    }

    /// Of its files together.
    pub(super) fn bytes(&self) -> usize {
        self.files.values().map(|seen| seen.content.len()).sum()
    }

    /// The archive: later entries replace earlier ones, so the candidate comes last.
    pub(super) fn archive(&self) -> std::io::Result<Vec<u8>> {
        let mut archive = Archive(tar::Builder::new(Vec::new()));
        for (name, text) in accounts() {
            archive.file(name, 0o644, text.as_bytes())?;
        }
        for package in &self.packages {
            archive.package(package, self)?;
        }
        archive.file(COMMAND, 0o644, self.run.as_bytes())?;
        archive.directory(SCRIPTS)?;
        for (name, text) in &self.scripts {
            archive.file(&format!("{SCRIPTS}/{name}"), 0o755, text.as_bytes())?;
        }
        for (path, seen) in &self.files {
            match std::str::from_utf8(&seen.content) {
                Ok(text) if seen.serial => {
                    let bound = text.replace(SERIAL_TOKEN, ANY_SERIAL);
                    archive.file(path.relative(), seen.mode, bound.as_bytes())?;
                }
                _ => archive.file(path.relative(), seen.mode, &seen.content)?,
            }
        }
        archive.0.into_inner()
    }
}

/// Another component's file that lies below a directory where this component has a file as well, e.g. a
/// certificate in `/etc/haproxy/certs`. `/etc` itself and its like do not count: everything lies there.
fn is_beside(path: &NodePath, component: &ReleaseComponent, release: &Release) -> bool {
    release.meta.files.iter().any(|(own, meta)| {
        let directory = own.as_str().rsplit_once('/').map_or("", |(above, _)| above);
        meta.component == component.name
            && directory.matches('/').count() >= 2
            && path
                .as_str()
                .strip_prefix(directory)
                .is_some_and(|rest| rest.starts_with('/'))
    })
}

fn is_placeable(path: &str) -> bool {
    path.starts_with("/usr/local/") || !NOT_OURS.iter().any(|ours| path.starts_with(ours))
}

/// The system accounts of this machine, so that `user haproxy` means something; people's accounts stay hidden.
fn accounts() -> [(&'static str, String); 4] {
    let system = |file: &str| {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let lines = text.lines().filter(|line| {
            let id = line.split(':').nth(2).and_then(|id| id.parse::<u32>().ok());
            id.is_some_and(|id| id < 1000 || id == 65534)
        });
        lines.map(|line| format!("{line}\n")).collect()
    };
    [
        ("etc/passwd", system("/etc/passwd")),
        ("etc/group", system("/etc/group")),
        (
            "etc/nsswitch.conf",
            "passwd: files\ngroup: files\nhosts: files\n".to_owned(),
        ),
        (
            "etc/hosts",
            "127.0.0.1 localhost\n::1 localhost\n".to_owned(),
        ),
    ]
}

struct Archive(tar::Builder<Vec<u8>>);

impl Archive {
    fn file(&mut self, path: &str, mode: u32, content: &[u8]) -> std::io::Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(mode);
        self.0.append_data(&mut header, path, content)
    }

    fn directory(&mut self, path: &str) -> std::io::Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Directory);
        header.set_size(0);
        header.set_mode(0o755);
        self.0.append_data(&mut header, path, std::io::empty())
    }

    /// Directories and world-readable files that an installed package ships outside `/usr`, as a node has them.
    fn package(&mut self, package: &str, candidate: &Candidate) -> std::io::Result<()> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
        if package.starts_with('.') || !package.chars().all(allowed) {
            return Ok(());
        }
        let list = ["", ":amd64", ":arm64"].iter().find_map(|architecture| {
            let file = format!("/var/lib/dpkg/info/{package}{architecture}.list");
            std::fs::read_to_string(file).ok()
        });
        for path in list.unwrap_or_default().lines() {
            let outside = ["/etc/", "/var/", "/run/"]
                .iter()
                .any(|top| path.starts_with(top));
            // A package that ships one of those is no reason to put a file where one is mounted.
            let mounted = SYSTEM_FILES
                .iter()
                .chain([&AUTHORITIES])
                .any(|own| Path::new(path).starts_with(own));
            let parsed = path.parse::<NodePath>();
            let Ok(parsed) = parsed else { continue };
            if !outside || mounted || candidate.files.contains_key(&parsed) {
                continue;
            }
            self.shipped(&parsed)?;
        }
        Ok(())
    }

    fn shipped(&mut self, path: &NodePath) -> std::io::Result<()> {
        let Ok(meta) = std::fs::symlink_metadata(path.as_str()) else {
            return Ok(());
        };
        if meta.is_dir() {
            return self.directory(path.relative());
        }
        let is_public = meta.permissions().mode() & 0o004 != 0;
        if !meta.is_file() || !is_public || meta.len() > MAX_PACKAGE_FILE {
            return Ok(());
        }
        let Ok(content) = read_bounded(Path::new(path.as_str())) else {
            return Ok(());
        };
        self.file(path.relative(), meta.permissions().mode() & 0o777, &content)
    }
}

fn read_bounded(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut content = Vec::new();
    let file = std::fs::File::open(path)?;
    file.take(MAX_PACKAGE_FILE).read_to_end(&mut content)?;
    Ok(content)
}
