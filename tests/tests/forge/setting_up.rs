//! `windlass forge setup` and `check` against each fake: what is made there, and what is said of the token.

use std::fs;
use std::process::{Command, Output};

use anyhow::Result;
use serde_json::Value;
use windlass_tests::cluster::program;
use windlass_tests::forge::{Fake, Flavour, SECRET};

const ADDRESS: &str = "https://windlass.example.org/";

struct Desk {
    fake: Fake,
    dir: tempfile::TempDir,
}

impl Desk {
    fn at(flavour: Flavour) -> Result<Self> {
        let fake = Fake::start(flavour);
        fake.push_main(&[("a", "1")]);
        fake.open(12, "alice", &[("a", "2")]);
        let dir = tempfile::tempdir()?;
        fs::write(dir.path().join("hook"), SECRET)?;
        let (address, token, ca) = (fake.address(), fake.token_file(), fake.ca_file());
        let (token, ca) = (token.display(), ca.display());
        let config = format!(
            "state: state\nlisten: 127.0.0.1:0\nhook: {{ secret_files: [hook] }}\nclusters:\n  - name: example\n    \
             repository: {{ url: {address}/ops/cluster.git, token_file: {token}, ca_file: {ca} }}\n    \
             forge: {{ kind: {}, url: '{address}', project: ops/cluster, token_file: {token}, ca_file: {ca} }}\n",
            flavour.word()
        );
        fs::write(dir.path().join("worker.yaml"), config)?;
        Ok(Self { fake, dir })
    }

    fn run(&self, arguments: &[&str]) -> Result<(Output, String)> {
        let mut command = Command::new(program()?);
        command.arg("forge").args(arguments);
        let config = self.dir.path().join("worker.yaml");
        let output = command.arg("--config").arg(config).output()?;
        let said =
            String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        let said = said.into_owned();
        let token = fs::read_to_string(self.fake.token_file())?;
        assert!(
            !said.contains(token.trim()) && !said.contains(SECRET),
            "{said}"
        );
        Ok((output, said))
    }

    /// What it says, and whether all was well.
    fn check(&self) -> Result<(bool, String)> {
        let (output, said) = self.run(&["check", "example"])?;
        Ok((output.status.code() == Some(0), said))
    }

    fn set_up(&self) -> Result<(bool, String)> {
        let (output, said) = self.run(&["setup", "example", "--address", ADDRESS])?;
        Ok((output.status.code() == Some(0), said))
    }

    fn may(&self, scopes: &[&str]) {
        let scopes = scopes.iter().map(|&scope| scope.to_owned());
        self.fake.state().scopes = Some(scopes.collect());
    }
}

/// Address and secret, wherever the forge keeps them.
fn hook(flavour: Flavour, hook: &Value) -> (String, String) {
    let (url, secret) = match flavour {
        Flavour::GitLab => (&hook["url"], &hook["token"]),
        _ => (&hook["config"]["url"], &hook["config"]["secret"]),
    };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (text(url), text(secret))
}

#[test]
fn the_webhook_is_made_once_at_every_forge() -> Result<()> {
    for flavour in Flavour::ALL {
        let desk = Desk::at(flavour)?;
        let (good, said) = desk.check()?;
        assert!(good, "{said}");
        assert!(said.contains("there is no webhook"), "{said}");
        assert!(said.contains("open requests against main: 1"), "{said}");
        for _ in 0..2 {
            let (good, said) = desk.set_up()?;
            assert!(good, "{said}");
            let hooks = desk.fake.state().hooks.clone();
            assert_eq!(hooks.len(), 1, "{hooks:#?}");
            let url = format!("https://windlass.example.org/hooks/{}", flavour.word());
            assert_eq!(hook(flavour, &hooks[0]), (url, SECRET.to_owned()));
        }
        let (good, said) = desk.check()?;
        assert!(
            good && said.contains("there is a webhook to https://windlass"),
            "{said}"
        );
    }
    Ok(())
}

#[test]
fn scopes_that_are_missing_or_too_many_are_named_where_the_forge_tells_them() -> Result<()> {
    for (flavour, needed, other) in [
        (Flavour::GitHub, "repo", "gist"),
        (Flavour::GitLab, "api", "sudo"),
    ] {
        let desk = Desk::at(flavour)?;
        desk.may(&[needed]);
        assert!(desk.check()?.0);
        desk.may(&[other]);
        let (good, said) = desk.check()?;
        assert!(!good, "{said}");
        assert!(
            said.contains(&format!("wrong  the token lacks the scope {needed}")),
            "{said}"
        );
        assert!(
            said.contains(&format!("nothing here needs: {other}")),
            "{said}"
        );
    }
    for flavour in [Flavour::Gitea, Flavour::Forgejo, Flavour::GitHub] {
        let (good, said) = Desk::at(flavour)?.check()?;
        assert!(
            good && said.contains("does not tell what else the token may do; it needs"),
            "{said}"
        );
    }
    Ok(())
}

#[test]
fn a_scope_for_webhooks_is_right_while_one_is_made_and_too_much_afterwards() -> Result<()> {
    let desk = Desk::at(Flavour::GitHub)?;
    desk.may(&["repo", "admin:repo_hook"]);
    let (good, said) = desk.set_up()?;
    assert!(
        good && said.contains("needs admin:repo_hook no longer"),
        "{said}"
    );
    let (good, said) = desk.check()?;
    assert!(
        !good && said.contains("which only making the webhook takes"),
        "{said}"
    );
    Ok(())
}

#[test]
fn a_token_that_is_of_no_use_is_said_to_be() -> Result<()> {
    for flavour in Flavour::ALL {
        let desk = Desk::at(flavour)?;
        desk.fake
            .state()
            .accounts
            .get_mut("windlass-bot")
            .unwrap()
            .level = 20;
        let (good, said) = desk.check()?;
        assert!(
            !good && said.contains("may not write to ops/cluster"),
            "{said}"
        );
        desk.fake.state().sees = false;
        let (good, said) = desk.check()?;
        assert!(
            !good && said.contains("reading the requests does not work"),
            "{said}"
        );
        let (made, said) = desk.set_up()?;
        assert!(!made && desk.fake.state().hooks.is_empty(), "{said}");
        desk.fake.state().expired = true;
        let (good, said) = desk.check()?;
        assert!(!good && said.contains("wrong"), "{said}");
    }
    Ok(())
}
