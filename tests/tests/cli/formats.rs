//! `--format json` on every command that has it: one value on standard output that fits its schema, whether the commit
//! is sound or not, and the exit code that docs/commands.md promises.

use std::path::Path;

use serde_json::Value;

use super::{fits, starter_on_the_loopback, windlass};

struct Ground {
    dir: tempfile::TempDir,
}

impl Ground {
    /// The starter, whose nodes are all where nobody answers.
    fn new() -> anyhow::Result<Self> {
        let ground = Self {
            dir: tempfile::tempdir()?,
        };
        let port = windlass_tests::port::free()?;
        std::fs::create_dir(ground.repo())?;
        starter_on_the_loopback(&ground.repo(), port)?;
        Ok(ground)
    }

    fn repo(&self) -> std::path::PathBuf {
        self.dir.path().join("repo")
    }

    fn out(&self) -> String {
        self.dir.path().join("out").display().to_string()
    }

    /// What the command prints for programs; it must end with `code` and fit `schema`.
    #[track_caller]
    fn value(&self, line: &str, code: i32, schema: &str) -> Value {
        let state = self.dir.path().join("state").display().to_string();
        let mut arguments: Vec<&str> = line.split(' ').collect();
        arguments.extend(["--state", &state, "--format", "json"]);
        let said = windlass(&self.repo(), &arguments).unwrap().ended(code);
        let value = said.json().unwrap_or_else(|_| panic!("{line}: {said}"));
        fits(schema, &value);
        value
    }

    fn git(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let who = ["-c", "user.name=T", "-c", "user.email=t@example.org"];
        let mut git = std::process::Command::new("git");
        git.arg("-C").arg(self.repo()).args(who).args(arguments);
        let said = windlass_tests::cluster::Said::of(&mut git)?.ended(0);
        Ok(said.out.trim().to_owned())
    }
}

#[test]
fn every_command_gives_programs_one_value_that_fits_its_schema() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    let render = format!("render --out {}", ground.out());
    ground.value("check", 0, "findings");
    let written = ground.value(&render, 0, "rendered");
    assert!(Path::new(&ground.out()).join("vps1").is_dir());
    assert_eq!(written["nodes"].as_array().map(Vec::len), Some(4));
    ground.value("diff", 0, "diff");
    ground.value("explain WL101", 0, "explanation");
    // Nobody answers: nothing is changed, and programs are told why.
    ground.value("plan", 1, "plan");
    ground.value("drift", 1, "drift");
    let status = ground.value("status", 1, "status");
    assert_eq!(status["latest"], Value::Null);
    for line in ["roll --yes", "adopt vps1 --yes", "rollback --yes"] {
        let outcome = ground.value(line, 1, "outcome");
        assert_eq!(outcome["outcome"], "refused", "{line}");
        let told = ground.value("status", 1, "status");
        assert_eq!(told["latest"]["findings"], outcome["findings"], "{line}");
        assert!(line.starts_with(told["latest"]["trigger"].as_str().unwrap()));
    }
    Ok(())
}

#[test]
fn a_commit_with_errors_is_the_same_value_everywhere() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    let site = ground.repo().join("sites/www.yaml");
    let good = std::fs::read_to_string(&site)?;
    std::fs::write(&site, format!("{good}no_such_key: 1\n"))?;
    ground.git(&["commit", "--quiet", "--all", "--message", "Break a site"])?;
    let broken = ground.git(&["rev-parse", "HEAD"])?;

    let told = |findings: &Value| {
        let findings = findings.as_array().expect("findings");
        let messages = findings.iter().map(|one| one["message"].to_string());
        messages.filter(|said| said.contains("no_such_key")).count()
    };
    assert_eq!(told(&ground.value("check", 1, "findings")), 1);
    let rolled = ground.value("roll --yes", 1, "outcome");
    let render = format!("render --out {}", ground.out());
    for line in [
        "adopt vps1 --yes",
        "plan",
        "diff",
        "diff HEAD HEAD~1",
        "status",
        "drift",
        "rollback --yes",
        &render,
    ] {
        let outcome = ground.value(line, 1, "outcome");
        assert_eq!(outcome["outcome"], "refused", "{line}");
        assert_eq!(told(&outcome["findings"]), 1, "{line}");
    }
    assert!(!Path::new(&ground.out()).exists());

    // A worker would have refused it, and so would its API say: `status` does as well.
    std::fs::write(&site, good)?;
    let latest = &ground.value("status", 1, "status")["latest"];
    assert_eq!(latest["outcome"], "refused");
    assert_eq!(latest["commit"], broken.as_str());
    assert_eq!(latest["findings"], rolled["findings"]);
    Ok(())
}

#[test]
fn a_format_that_a_command_does_not_have_is_refused_before_any_work() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    for line in ["roll --yes", "adopt vps1 --yes", "rollback --yes", "render"] {
        let mut arguments: Vec<&str> = line.split(' ').collect();
        let (out, state) = (ground.out(), ground.dir.path().join("state"));
        let state_text = state.display().to_string();
        if line == "render" {
            arguments.extend(["--out", &out]);
        }
        arguments.extend(["--state", &state_text, "--format", "sarif"]);
        let said = windlass(&ground.repo(), &arguments)?.ended(2);
        said.names(&["formats of `check` and `diff`"]);
        assert!(!state.exists() && !Path::new(&out).exists(), "{line}");
    }
    let init = ["init", "new", "--format", "json"];
    windlass(ground.dir.path(), &init)?
        .ended(2)
        .names(&["words only"]);
    assert!(!ground.dir.path().join("new").exists());
    Ok(())
}
