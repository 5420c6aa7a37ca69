//! The stream that carries a release and a turn to a node, and the one that brings stored files back: tar.gz.

use std::collections::BTreeMap;
use std::io::{self, Read as _};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use windlass_core::ids::NodePath;
use windlass_core::plan::Turn;
use windlass_core::release::Release;

use super::turnfile;

type Tar = tar::Builder<GzEncoder<Vec<u8>>>;

/// Packs what `agent stage` reads.
pub(super) fn pack(release: &Release, turn: &Turn) -> io::Result<Vec<u8>> {
    let manifest = turnfile::manifest(release).map_err(io::Error::other)?;
    let turn_text = turnfile::turn(release, turn).map_err(io::Error::other)?;
    let meta = serde_json::to_vec(&release.meta)?;
    let mut tar = Tar::new(GzEncoder::new(Vec::new(), Compression::fast()));
    add(&mut tar, "manifest", manifest.as_bytes(), 0o600)?;
    add(&mut tar, "turn", turn_text.as_bytes(), 0o600)?;
    add(&mut tar, "release.json", &meta, 0o600)?;
    add_dir(&mut tar, "files")?;
    add_dir(&mut tar, "script")?;
    for path in release.meta.files.keys() {
        let content = release
            .contents
            .get(path)
            .ok_or_else(|| io::Error::other(format!("the release has no content for {path}")))?;
        add(&mut tar, &format!("files{path}"), content, 0o600)?;
    }
    for (kind, commands) in turnfile::steps(turn) {
        for (number, command) in commands.iter().enumerate() {
            let name = format!("script/{kind}-{number}");
            add(&mut tar, &name, command.run.as_bytes(), 0o600)?;
        }
    }
    for (number, check) in turnfile::checks(release) {
        let name = format!("script/check-{number}");
        add(&mut tar, &name, check.command.run.as_bytes(), 0o600)?;
        for (script, text) in &check.scripts {
            add(
                &mut tar,
                &format!("{name}.d/{script}"),
                text.as_bytes(),
                0o700,
            )?;
        }
    }
    tar.into_inner()?.finish()
}

fn header(size: usize, mode: u32, kind: tar::EntryType) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_size(size as u64);
    header.set_mode(mode);
    header.set_entry_type(kind);
    // The agent gives files the time at which it puts them in place.
    header.set_mtime(1);
    header
}

fn add(tar: &mut Tar, name: &str, content: &[u8], mode: u32) -> io::Result<()> {
    let mut header = header(content.len(), mode, tar::EntryType::Regular);
    tar.append_data(&mut header, name, content)
}

fn add_dir(tar: &mut Tar, name: &str) -> io::Result<()> {
    let mut header = header(0, 0o700, tar::EntryType::Directory);
    tar.append_data(&mut header, name, io::empty())
}

/// Unpacks what `agent read` sends; entries that are no clean path are left out.
pub(super) fn unpack(bytes: &[u8]) -> io::Result<BTreeMap<NodePath, Vec<u8>>> {
    let mut files = BTreeMap::new();
    for entry in tar::Archive::new(GzDecoder::new(bytes)).entries()? {
        let mut entry = entry?;
        let name = entry.path()?.to_string_lossy().into_owned();
        let Ok(path) = format!("/{}", name.trim_start_matches("./")).parse::<NodePath>() else {
            continue;
        };
        let mut content = Vec::new();
        entry.read_to_end(&mut content)?;
        files.insert(path, content);
    }
    Ok(files)
}
