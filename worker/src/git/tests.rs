use std::fs;
use std::path::Path;
use std::process::Command;

use windlass_core::snapshot::{Entry, MAX_FILE_BYTES, MAX_FILES};

use super::checkout::{snapshot_rev, snapshot_worktree};
use super::mirror::{Mirror, Step};
use super::remote::{Access, Remote};
use super::*;

/// A repository on disk, and a mirror of its `main`.
pub(super) struct World {
    pub(super) dir: tempfile::TempDir,
    pub(super) mirror: Mirror,
}

impl World {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let origin = dir.path().join("origin");
        fs::create_dir(&origin).unwrap();
        let mirror = mirror(dir.path(), &origin.display().to_string(), "");
        let world = Self { dir, mirror };
        world.git(&["init", "--quiet", "--initial-branch=main"]);
        world
    }

    pub(super) fn origin(&self) -> std::path::PathBuf {
        self.dir.path().join("origin")
    }

    pub(super) fn git(&self, args: &[&str]) -> String {
        let output = Command::new("git")
            .args([
                "-c",
                "user.name=t",
                "-c",
                "user.email=t@example.org",
                "-c",
                "commit.gpgsign=false",
            ])
            .args(["-c", "protocol.file.allow=always"])
            .args(args)
            .current_dir(self.origin())
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "git {args:?}: {error}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    pub(super) fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.origin().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub(super) fn commit(&self, subject: &str) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", subject]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// Commits what was put into the index by hand.
    fn commit_index(&self) -> String {
        self.git(&["commit", "--quiet", "--message", "index"]);
        self.git(&["rev-parse", "HEAD"])
    }
}

fn mirror(dir: &Path, url: &str, folder: &str) -> Mirror {
    let remote = Remote {
        url: url.to_owned(),
        branch: "main".to_owned(),
        access: Access::Open,
        authorities: None,
        signers: None,
    };
    Mirror::new(dir.join("mirror.git"), remote, folder.to_owned())
}

#[test]
fn a_commit_is_read_from_its_objects() {
    let world = World::new();
    world.write("cluster.yaml", "name: example\n");
    world.write("sites/blog.yaml", "port: 1\n");
    let commit = world.commit("Begin");
    assert_eq!(world.mirror.fetch().unwrap(), commit);
    // What lies in the working tree or was never committed is not seen.
    world.write("sites/blog.yaml", "port: 2\n");
    let snapshot = world.mirror.snapshot(&commit).unwrap();
    assert_eq!(snapshot.subject, "Begin");
    assert_eq!(snapshot.commit, commit);
    assert_eq!(snapshot.entries.len(), 2);
    assert_eq!(snapshot.file("sites/blog.yaml"), Some(&b"port: 1\n"[..]));
}

#[test]
fn a_folder_of_the_repository_can_be_the_cluster() {
    let world = World::new();
    world.write("clusters/one/cluster.yaml", "name: one\n");
    world.write("README", "");
    let commit = world.commit("Begin");
    let url = world.origin().display().to_string();
    let one = mirror(world.dir.path(), &url, "clusters/one/");
    one.fetch().unwrap();
    let paths: Vec<_> = one.snapshot(&commit).unwrap().entries.into_keys().collect();
    assert_eq!(paths, ["cluster.yaml"]);
    let absent = mirror(world.dir.path(), &url, "clusters/two");
    assert!(absent.snapshot(&commit).unwrap().entries.is_empty());
    let file = mirror(world.dir.path(), &url, "README");
    assert!(file.snapshot(&commit).unwrap().entries.is_empty());
}

#[test]
fn what_is_no_plain_file_is_kept_as_such() {
    let world = World::new();
    std::os::unix::fs::symlink("/etc/passwd", world.origin().join("link")).unwrap();
    world.write("big", vec![b'x'; MAX_FILE_BYTES as usize + 1]);
    let commit = world.commit("Begin");
    world.git(&[
        "update-index",
        "--add",
        "--cacheinfo",
        &format!("160000,{commit},module"),
    ]);
    let commit = world.commit_index();
    world.mirror.fetch().unwrap();
    let entries = world.mirror.snapshot(&commit).unwrap().entries;
    assert_eq!(entries["link"], Entry::Symlink);
    assert_eq!(entries["module"], Entry::Submodule);
    assert_eq!(entries["big"], Entry::TooLarge(MAX_FILE_BYTES + 1));
}

#[test]
fn trees_over_the_limits_end_the_reading() {
    let world = World::new();
    world.write(&("d/".repeat(20) + "deep"), "x");
    let deep = world.commit("deep");
    world.mirror.fetch().unwrap();
    let why = world.mirror.snapshot(&deep).unwrap().over_limit.unwrap();
    assert!(why.contains("deeper"), "{why}");

    world.git(&["rm", "-rqf", "."]);
    for n in 0..=MAX_FILES {
        world.write(&format!("f/{n}"), "");
    }
    let many = world.commit("many");
    world.mirror.fetch().unwrap();
    let why = world.mirror.snapshot(&many).unwrap().over_limit.unwrap();
    assert!(why.contains("more than 20000 files"), "{why}");
}

#[test]
fn names_that_are_not_utf8_are_refused_with_words() {
    use std::os::unix::ffi::OsStrExt as _;
    let world = World::new();
    let name = std::ffi::OsStr::from_bytes(b"caf\xe9.yaml");
    fs::write(world.origin().join(name), "x").unwrap();
    world.write("binary", [0xff, 0xfe]);
    let commit = world.commit("Begin");
    world.mirror.fetch().unwrap();
    for snapshot in [
        world.mirror.snapshot(&commit).unwrap(),
        snapshot_worktree(&world.origin()).unwrap(),
    ] {
        let why = snapshot.over_limit.unwrap();
        assert!(why.contains("not UTF-8"), "{why}");
    }
}

#[test]
fn a_rewound_branch_is_told_from_one_that_moved_forward() {
    let world = World::new();
    let first = world.commit("one");
    let second = world.commit("two");
    assert_eq!(world.mirror.fetch().unwrap(), second);
    assert_eq!(world.mirror.step(&first, &second).unwrap(), Step::Forward);
    assert_eq!(world.mirror.step(&second, &second).unwrap(), Step::Same);

    world.git(&["reset", "--quiet", "--hard", &first]);
    assert_eq!(world.mirror.fetch().unwrap(), first);
    assert_eq!(world.mirror.step(&second, &first).unwrap(), Step::Rewound);

    let forced = world.commit("another two");
    assert_eq!(world.mirror.fetch().unwrap(), forced);
    assert_eq!(world.mirror.step(&second, &forced).unwrap(), Step::Rewound);
    let unknown = "1".repeat(40);
    assert_eq!(world.mirror.step(&unknown, &forced).unwrap(), Step::Rewound);
}

#[test]
fn a_missing_branch_and_a_missing_remote_have_their_own_errors() {
    let world = World::new();
    world.commit("one");
    world.mirror.fetch().unwrap();
    world.git(&["branch", "--move", "main", "trunk"]);
    assert!(matches!(
        world.mirror.fetch(),
        Err(GitError::NoBranch { .. })
    ));
    let gone = mirror(world.dir.path(), "/nonexistent/repository.git", "");
    assert!(matches!(gone.fetch(), Err(GitError::Away { .. })));
    let refusing = mirror(world.dir.path(), "https://127.0.0.1:1/repository.git", "");
    assert!(matches!(refusing.fetch(), Err(GitError::Away { .. })));
}

#[test]
fn a_damaged_mirror_is_cloned_again() {
    let world = World::new();
    world.write("cluster.yaml", "name: example\n");
    let commit = world.commit("one");
    let dir = world.dir.path().join("mirror.git");
    let damages: [fn(&Path); 4] = [
        |dir| fs::remove_file(dir.join("HEAD")).unwrap(),
        |dir| {
            fs::remove_dir_all(dir).unwrap();
            fs::write(dir, "a file").unwrap();
        },
        |dir| {
            fs::remove_dir_all(dir.join("objects")).unwrap();
            fs::create_dir(dir.join("objects")).unwrap();
        },
        |dir| fs::write(dir.join("config"), "[core\n").unwrap(),
    ];
    for damage in damages {
        world.mirror.fetch().unwrap();
        damage(&dir);
        assert_eq!(world.mirror.fetch().unwrap(), commit);
        assert_eq!(world.mirror.snapshot(&commit).unwrap().entries.len(), 1);
    }
}

#[test]
fn a_checkout_is_read_as_git_would_add_it() {
    let world = World::new();
    world.write(".gitignore", "*.log\nout/\n");
    world.write("cluster.yaml", "name: old\n");
    world.write("kept.log", "tracked although ignored");
    world.git(&["add", "--force", "kept.log"]);
    world.commit("one");
    world.write("cluster.yaml", "name: new\n");
    world.write("sites/new.yaml", "port: 1\n");
    world.write("noise.log", "x");
    world.write("out/rendered", "x");
    world.write("module/.git", "gitdir: elsewhere");
    std::os::unix::fs::symlink("/etc/passwd", world.origin().join("link")).unwrap();

    let now = snapshot_worktree(&world.origin()).unwrap();
    let paths: Vec<_> = now.entries.keys().map(String::as_str).collect();
    assert_eq!(
        paths,
        [
            ".gitignore",
            "cluster.yaml",
            "kept.log",
            "link",
            "module",
            "sites/new.yaml"
        ]
    );
    assert_eq!(now.file("cluster.yaml"), Some(&b"name: new\n"[..]));
    assert_eq!(now.entries["link"], Entry::Symlink);
    assert_eq!(now.entries["module"], Entry::Submodule);

    let head = snapshot_rev(&world.origin(), "HEAD").unwrap();
    assert_eq!(head.file("cluster.yaml"), Some(&b"name: old\n"[..]));
    let inner = snapshot_worktree(&world.origin().join("sites")).unwrap();
    assert_eq!(inner.entries.into_keys().collect::<Vec<_>>(), ["new.yaml"]);
    assert!(matches!(
        snapshot_rev(&world.origin(), "nonsense"),
        Err(GitError::NoCommit { .. })
    ));
}

#[test]
fn a_folder_that_is_no_repository_is_read_whole() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("cluster.yaml"), "name: example\n").unwrap();
    assert_eq!(snapshot_worktree(dir.path()).unwrap().entries.len(), 1);
    assert!(matches!(
        snapshot_worktree(Path::new("/nonexistent")),
        Err(GitError::Unreadable { .. })
    ));
}
