use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::GitError;
use super::mirror::Mirror;
use super::remote::{Access, Remote};

fn run(dir: &Path, program: &str, args: &[&str]) -> String {
    let output = Command::new(program)
        .args(args)
        .current_dir(dir)
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args:?}: {error}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

struct World {
    dir: tempfile::TempDir,
    mirror: Mirror,
}

impl World {
    /// A repository whose commits alice may sign, and mallory not.
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["alice", "mallory"] {
            run(
                dir.path(),
                "ssh-keygen",
                &["-qt", "ed25519", "-N", "", "-f", name],
            );
        }
        run(dir.path(), "git", &["init", "-q", "-b", "main", "origin"]);
        let remote = Remote {
            url: dir.path().join("origin").display().to_string(),
            branch: "main".to_owned(),
            access: Access::Open,
            authorities: None,
            signers: Some(dir.path().join("signers")),
        };
        let mirror = Mirror::new(dir.path().join("mirror.git"), remote, String::new());
        let world = Self { dir, mirror };
        world.allow("");
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn allow(&self, options: &str) {
        let key = fs::read_to_string(self.path("alice.pub")).unwrap();
        let line = format!("alice@example.org {options} {key}");
        fs::write(self.path("signers"), line).unwrap();
    }

    fn commit(&self, signer: Option<&str>) -> String {
        let key = signer.map(|name| self.path(name).display().to_string());
        let key = format!("user.signingkey={}", key.unwrap_or_default());
        let mut args = vec![
            "-c",
            "user.name=t",
            "-c",
            "user.email=t@example.org",
            "-c",
            &key,
        ];
        args.extend([
            "-c",
            "gpg.format=ssh",
            "commit",
            "-q",
            "--allow-empty",
            "-m",
            "x",
        ]);
        args.push(if signer.is_some() {
            "-S"
        } else {
            "--no-gpg-sign"
        });
        run(&self.path("origin"), "git", &args);
        self.mirror.fetch().unwrap()
    }

    fn refused(&self, commit: &str) -> String {
        match self.mirror.verify(commit).unwrap_err() {
            GitError::Untrusted { why, .. } => why,
            other => panic!("{other}"),
        }
    }
}

#[test]
fn only_a_commit_of_a_named_signer_is_trusted() {
    let world = World::new();
    let signed = world.commit(Some("alice"));
    world.mirror.verify(&signed).unwrap();
    assert_eq!(world.refused(&world.commit(None)), "it is not signed");
    let foreign = world.refused(&world.commit(Some("mallory")));
    assert!(foreign.starts_with("nobody who may sign"), "{foreign}");
    world.allow("namespaces=\"file\"");
    assert!(
        world.refused(&signed).contains("namespace"),
        "{}",
        world.refused(&signed)
    );
    world.allow("valid-before=\"20200101\"");
    world.refused(&signed);
    fs::remove_file(world.path("signers")).unwrap();
    assert!(world.refused(&signed).contains("cannot read"));
}

#[test]
fn a_signature_does_not_fit_another_commit() {
    let world = World::new();
    let signed = world.commit(Some("alice"));
    let origin = world.path("origin");
    let text = run(&origin, "git", &["cat-file", "commit", &signed]) + "\n";
    fs::write(origin.join("forged"), text.replace("\n\nx", "\n\ny")).unwrap();
    let forged = run(
        &origin,
        "git",
        &["hash-object", "-t", "commit", "-w", "forged"],
    );
    run(&origin, "git", &["update-ref", "refs/heads/main", &forged]);
    assert_eq!(world.mirror.fetch().unwrap(), forged);
    let why = world.refused(&forged);
    assert!(why.contains("alice@example.org is not good"), "{why}");
}
