//! A node's disk: a writable layer over the base image, which can be made full or read-only.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::command::run;
use super::node::Node;
use super::spec::Disk;

/// Where the node's own files are on the host.
pub(super) fn dir(node: &Node) -> PathBuf {
    match node.disk() {
        Disk::Memory { .. } => node.dir().join("disk"),
        Disk::Host => Path::new("/var/lib/windlass-lab")
            .join(node.lab().to_string())
            .join(node.name()),
    }
}

/// Mounts the node's root directory: `image` below, its own files above.
pub(super) fn mount(node: &Node, image: &Path) -> Result<()> {
    let disk = dir(node);
    fs::create_dir_all(&disk)?;
    let at = disk.to_string_lossy();
    if let Disk::Memory { mib } = node.disk() {
        let size = format!("mode=755,size={mib}m");
        run(&["mount", "-t", "tmpfs", "-o", &size, "windlass-lab", &at])?;
    }
    for below in [disk.join("upper"), disk.join("work"), node.root()] {
        fs::create_dir_all(below)?;
    }
    // With redirect_dir a directory of the image can be renamed, as on any real disk.
    let image = image.display();
    let layers = format!("redirect_dir=on,lowerdir={image},upperdir={at}/upper,workdir={at}/work");
    let root = node.root();
    run(&[
        "mount",
        "-t",
        "overlay",
        "-o",
        &layers,
        "windlass-lab",
        &root.to_string_lossy(),
    ])
    .map(drop)
}

impl Node {
    /// Leaves no free byte on its disk. Needs [`Disk::Memory`].
    pub fn fill_disk(&self) -> Result<()> {
        let disk = dir(self);
        let used = run(&[
            "df",
            "--block-size=1K",
            "--output=used",
            &disk.to_string_lossy(),
        ])?;
        let used = used
            .lines()
            .nth(1)
            .context("df printed no figure")?
            .trim()
            .to_owned();
        self.resize_disk(&format!("{used}k"))
    }

    /// Makes a directory read-only until [`Node::make_writable`] or the next boot.
    pub fn make_read_only(&self, dir: &str) -> Result<()> {
        self.sh(&format!(
            "mount --bind {dir} {dir} && mount -o remount,bind,ro {dir}"
        ))
        .map(drop)
    }

    pub fn make_writable(&self, dir: &str) -> Result<()> {
        self.sh(&format!("umount {dir}")).map(drop)
    }

    /// Undoes [`Node::fill_disk`].
    pub fn free_disk(&self) -> Result<()> {
        let Disk::Memory { mib } = self.disk() else {
            bail!("the disk of {} has no size", self.name())
        };
        self.resize_disk(&format!("{mib}m"))
    }

    fn resize_disk(&self, size: &str) -> Result<()> {
        if self.disk() == Disk::Host {
            bail!(
                "the disk of {} has no size: boot the lab with Disk::Memory",
                self.name()
            );
        }
        let option = format!("remount,size={size}");
        run(&["mount", "-o", &option, &dir(self).to_string_lossy()]).map(drop)
    }
}
