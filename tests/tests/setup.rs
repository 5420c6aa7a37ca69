//! What a newcomer runs first: who cannot boot the lab is told so at once and nothing is installed for it, and what is
//! installed is what was asked for. The programs that would install something only write down that they were called.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use windlass_tests::cluster::Said;

const INSTALLERS: [&str; 4] = ["apt-get", "sudo", "cargo", "mmdebstrap"];
/// Of a program that was called: who and with what.
const WRITE_DOWN: &str = r#"echo "${0##*/} $*" >>"$CALLS""#;
const NOBODY: &str = "setpriv --reuid=65534 --regid=65534 --clear-groups";

/// A copy of the scripts that anybody may read, and what stands before everything else in PATH.
struct Newcomer {
    dir: TempDir,
}

impl Newcomer {
    fn new() -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755))?;
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let parts = [
            "Makefile",
            "scripts",
            "tests/lab",
            "tests/demo",
            "tests/bench",
        ];
        let mut copy = Command::new("cp");
        copy.args(["-r", "--parents"]).args(parts).arg(dir.path());
        Said::of(copy.current_dir(source))?.ended(0);
        let new = Self { dir };
        fs::create_dir(new.path("bin"))?;
        fs::write(new.path("calls"), "")?;
        fs::set_permissions(new.path("calls"), fs::Permissions::from_mode(0o666))?;
        for program in INSTALLERS {
            new.stand_in(program, WRITE_DOWN)?;
        }
        new.stand_in("dpkg-query", "exit 1")?;
        Ok(new)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn stand_in(&self, program: &str, script: &str) -> anyhow::Result<()> {
        let path = self.path("bin").join(program);
        fs::write(&path, format!("#!/bin/sh\n{script}\n"))?;
        Ok(fs::set_permissions(
            path,
            fs::Permissions::from_mode(0o755),
        )?)
    }

    /// Runs a line of shell in the copy, behind `through`: words that start a program in another way.
    fn runs(&self, through: &str, line: &str) -> anyhow::Result<Said> {
        fs::write(self.path("calls"), "")?;
        let mut shell = Command::new("sh");
        shell
            .args(["-c", &format!("exec {through} sh -c \"$0\""), line])
            .current_dir(self.dir.path())
            .env_clear()
            .env("LC_ALL", "C.UTF-8")
            .env("CALLS", self.path("calls"))
            .env(
                "PATH",
                format!(
                    "{}:/usr/sbin:/usr/bin:/sbin:/bin",
                    self.path("bin").display()
                ),
            );
        Said::of(&mut shell)
    }

    fn calls(&self) -> String {
        fs::read_to_string(self.path("calls")).expect("what was called")
    }

    /// Each command that boots machines ends at once, with these words and in one line.
    #[track_caller]
    fn is_told(&self, through: &str, words: &[&str]) -> anyhow::Result<()> {
        for target in ["demo", "lab-base", "lab-up", "bench"] {
            let what = format!("make {target}");
            // 2 is make's own for a command that failed.
            let said = self.runs(through, &what)?.ended(2).names(words);
            let lines: Vec<&str> = said
                .err
                .lines()
                .filter(|line| !line.starts_with("make: "))
                .collect();
            assert!(
                matches!(lines[..], [line] if line.starts_with(&what)),
                "{said}"
            );
            assert_eq!(
                (said.out.as_str(), self.calls().as_str()),
                ("", ""),
                "{what}"
            );
            self.runs(through, &format!("tests/lab/preflight.sh '{what}'"))?
                .ended(1);
        }
        Ok(())
    }
}

/// Nobody's rights, whoever runs the tests.
fn nobody() -> &'static str {
    let root = fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    if root { NOBODY } else { "" }
}

#[test]
fn without_root_nothing_is_installed_and_root_is_asked_for() -> anyhow::Result<()> {
    Newcomer::new()?.is_told(nobody(), &["needs root: run it as 'sudo make "])
}

#[test]
#[ignore = "lab: needs root"]
fn where_machines_cannot_be_booted_nothing_is_installed_and_the_reason_is_told()
-> anyhow::Result<()> {
    let new = Newcomer::new()?;
    // As in most containers: root, without the right.
    let bounded = "setpriv --bounding-set=-sys_admin --inh-caps=-sys_admin";
    new.is_told(bounded, &["no namespaces", "Operation not permitted"])?;
    // As an administrator forbids it.
    let none = r#"unshare --user --map-root-user sh -c 'echo 0 >/proc/sys/user/max_net_namespaces && exec "$@"' sh"#;
    new.is_told(none, &["no namespaces", "No space left on device"])?;
    let hidden = r#"unshare --mount sh -c 'umount -R /sys/fs/cgroup && exec "$@"' sh"#;
    new.is_told(hidden, &["no cgroups"])?;
    let fixed = r#"unshare --mount sh -c 'for at in $(awk "\$3 ~ /^cgroup/ { print \$2 }" /proc/self/mounts); do
        mount -o remount,bind,ro "$at" || exit; done; exec "$@"' sh"#;
    new.is_told(fixed, &["make a cgroup", "Read-only file system"])?;
    new.stand_in(
        "mount",
        r#"case "$*" in *overlay*) echo "unknown filesystem type 'overlay'" >&2; exit 32 ;; esac; exec /bin/mount "$@""#,
    )?;
    new.is_told("", &["no overlay", "unknown filesystem type"])?;

    // Here, where this test's neighbours boot machines, it has nothing to say.
    fs::remove_file(new.path("bin/mount"))?;
    let said = new.runs("", "tests/lab/preflight.sh 'make demo'")?.ended(0);
    assert_eq!((said.out.as_str(), said.err.as_str()), ("", ""));
    Ok(())
}

#[test]
fn only_what_was_asked_for_is_installed() -> anyhow::Result<()> {
    let new = Newcomer::new()?;
    let installed = |line: &str| -> anyhow::Result<String> {
        new.runs(nobody(), line)?
            .ended(0)
            .names(&["setup: installing "]);
        let calls = new.calls();
        let install = calls
            .lines()
            .find(|call| call.contains(" apt-get install "));
        // Downloads are long, and apt's own progress is what is seen of them.
        let loud = install.filter(|call| !call.contains(" -q"));
        Ok(loud.unwrap_or_else(|| panic!("{calls}")).to_owned() + " ")
    };
    let demo = installed("scripts/setup.sh demo")?;
    for wanted in ["gcc", "haproxy", "mmdebstrap", "pebble", "curl"] {
        assert!(demo.contains(&format!(" {wanted} ")), "{wanted}: {demo}");
    }
    let more = [
        "rabbitmq-server",
        "chromium-headless-shell",
        "shellcheck",
        "age",
    ];
    for unwanted in more {
        assert!(
            !demo.contains(&format!(" {unwanted} ")),
            "{unwanted}: {demo}"
        );
    }
    assert!(!new.calls().contains("newer-pebble"), "{}", new.calls());

    let amqp = installed("QUEUE=amqp scripts/setup.sh demo")?;
    assert!(amqp.contains(" rabbitmq-server "), "{amqp}");
    let lab = installed("scripts/setup.sh lab")?;
    assert!(
        lab.contains(" mmdebstrap ") && !lab.contains(" haproxy "),
        "{lab}"
    );
    let all = installed("scripts/setup.sh")?;
    for wanted in more {
        assert!(all.contains(&format!(" {wanted} ")), "{wanted}: {all}");
    }
    new.runs(nobody(), "scripts/setup.sh nonsense")?
        .ended(2)
        .names(&["usage"]);
    Ok(())
}

/// cargo, without nextest.
const PLAIN_CARGO: &str = r#"[ "$1" != nextest ] || exit 101; echo "cargo $*" >>"$CALLS""#;

#[test]
fn without_nextest_the_tests_are_run_by_cargo() -> anyhow::Result<()> {
    let new = Newcomer::new()?;
    new.stand_in("cargo", PLAIN_CARGO)?;
    new.runs(nobody(), "scripts/test.sh one two")?
        .ended(0)
        .names(&["not root", "cargo-nextest"]);
    assert_eq!(
        new.calls(),
        "cargo test --workspace --no-fail-fast -- one two\n"
    );
    Ok(())
}

#[test]
#[ignore = "lab: needs root"]
fn without_nextest_no_more_than_two_labs_are_up_at_once() -> anyhow::Result<()> {
    let new = Newcomer::new()?;
    new.stand_in("cargo", PLAIN_CARGO)?;
    fs::copy("/bin/true", new.path("tests/lab/base/build.sh"))?;
    new.runs("", "scripts/test.sh one two")?
        .ended(0)
        .names(&["cargo-nextest"]);
    let run = "cargo test --workspace --no-fail-fast -- --include-ignored --test-threads=2 one two";
    assert_eq!(new.calls().lines().last(), Some(run), "{}", new.calls());
    Ok(())
}
