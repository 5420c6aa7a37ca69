//! Each command opens the worker's desk, does one thing there, and says what came of it.

use std::path::Path;

use anyhow::Context as _;
use jiff::Timestamp;
use windlass_core::acme::places;
use windlass_core::finding::Findings;
use windlass_core::model::names::Label;

use super::args::{CertCommand, Why};
use crate::certificates::{self, CertificateView, Desk, Picture, Trouble};
use crate::cli::Exit;
use crate::cli::output::Output;
use crate::cli::service::{read, read_without_keys, runtime};
use crate::config::Config;
use crate::probe::NetProber;
use crate::worker::desk;

pub(in crate::cli) fn run(output: &Output, command: &CertCommand) -> anyhow::Result<Exit> {
    let of = command.of();
    let config = of_orders(&of.config.config)?;
    let desk = desk::open(&config, of.cluster.as_deref())?;
    runtime()?.block_on(async {
        match desk.refresh().await {
            Ok(true) => {}
            Ok(false) => {
                output.error("a worker is ordering just now: this is what was known here before")
            }
            Err(error) => output.error(&format!("this is what was known here before: {error:#}")),
        }
        let picture = desk.pictured().await?;
        let counter = Counter {
            output,
            config: &config,
            desk: &desk,
            picture: &picture,
        };
        counter.serve(command).await
    })
}

/// What is encrypted, or lies with a broker, is looked into with keys, where the shell has the credentials directory.
fn of_orders(path: &Path) -> anyhow::Result<Config> {
    read(path).or_else(|_| read_without_keys(path))
}

struct Counter<'a> {
    output: &'a Output,
    config: &'a Config,
    desk: &'a Desk,
    picture: &'a Picture,
}

impl Counter<'_> {
    async fn serve(&self, command: &CertCommand) -> anyhow::Result<Exit> {
        match command {
            CertCommand::List { look, .. } => {
                let views = self.views(!look.no_probe).await?;
                self.output.result(&views, || certificates::table(&views))?;
                Ok(told(self.output, views.iter().map(|view| &view.findings)))
            }
            CertCommand::Show { name, look, .. } => {
                let name = self.named(name)?;
                let mut views = self.views(!look.no_probe).await?;
                views.retain(|view| view.name == name);
                let view = views.pop().context("it is gone")?;
                self.output.result(&view, || certificates::whole(&view))?;
                Ok(told(self.output, [&view.findings]))
            }
            CertCommand::Plan { .. } => self.plan().await,
            CertCommand::Renew { name, force, .. } => {
                let name = self.named(name)?;
                self.desk.is_ordered(self.picture, &name)?;
                self.renew(&name, *force).await?;
                let said = format!(
                    "{name} is ordered anew; `windlass cert show {name}` says how far it is\n"
                );
                self.output.text(&said);
                Ok(Exit::Done)
            }
            CertCommand::Revoke {
                name,
                reason,
                authority,
                yes,
                ..
            } => self.revoke(name, *reason, authority.as_deref(), *yes).await,
            CertCommand::Import { file, name, .. } => self.import(file, name.as_deref()).await,
            CertCommand::Export {
                name, out, stdout, ..
            } => self.export(name, out.as_deref(), *stdout),
            CertCommand::RollKey { authority, .. } => {
                let rolled = self.desk.roll_keys(self.picture, authority.as_deref());
                for name in rolled.await? {
                    let said = format!("the account with {name} has another key\n");
                    self.output.text(&said);
                }
                Ok(Exit::Done)
            }
        }
    }

    fn named(&self, name: &str) -> anyhow::Result<Label> {
        self.desk.named(self.picture, name)
    }

    async fn views(&self, probe: bool) -> anyhow::Result<Vec<CertificateView>> {
        let now = Timestamp::now();
        let mut views = self.desk.views(self.picture, now).await?;
        let seen = if probe {
            let prober =
                NetProber::new(self.config.ca_file.as_deref()).or_else(|_| NetProber::new(None))?;
            certificates::survey(&prober, places(&self.picture.model)).await
        } else {
            Default::default()
        };
        certificates::judged(&mut views, &seen, self.picture.alert_days(), now);
        Ok(views)
    }

    async fn plan(&self) -> anyhow::Result<Exit> {
        let mut views = self.views(false).await?;
        views.retain(|view| view.due.is_some());
        self.output.result(&views, || planned(&views))?;
        Ok(Exit::Done)
    }

    async fn renew(&self, name: &Label, force: bool) -> anyhow::Result<()> {
        desk::renew(self.config, self.desk, name, force).await
    }

    async fn revoke(
        &self,
        name: &str,
        reason: Why,
        authority: Option<&str>,
        yes: bool,
    ) -> anyhow::Result<Exit> {
        let name = self.named(name)?;
        let question = format!(
            "Clients that ask will refuse {name} at once, until the nodes serve the next one. Revoke it?"
        );
        if !yes && !self.output.confirm(&question) {
            self.output.error("nothing was changed");
            return Ok(Exit::Findings);
        }
        let revoked = self
            .desk
            .revoke(self.picture, &name, reason.reason(), authority)
            .await?;
        self.renew(&name, true).await?;
        self.output.text(&format!(
            "{name}, serial {}, is revoked; another one is ordered and rolled\n",
            revoked.serial
        ));
        Ok(Exit::Done)
    }

    async fn import(&self, file: &Path, name: Option<&str>) -> anyhow::Result<Exit> {
        let stem = || file.file_stem().and_then(|stem| stem.to_str());
        let name = name.or_else(stem).context("give its --name")?;
        let name = self.named(name)?;
        match self.desk.import(self.picture, &name, file).await {
            Ok(imported) => {
                told(self.output, [&imported.findings]);
                desk::put_in_use(self.config, self.desk, &name).await?;
                let mut said = format!(
                    "{name} is now serial {}, in force for {} more days; it is rolled\n",
                    imported.serial, imported.days_left
                );
                if imported.replaced.is_some() {
                    said.push_str("it is not what is wanted, or too old: the worker orders another one at once\n");
                }
                self.output.text(&said);
                Ok(Exit::Done)
            }
            Err(Trouble::Refused(findings)) => {
                told(self.output, [&findings]);
                Ok(Exit::Findings)
            }
            Err(Trouble::Failed(error)) => Err(error),
        }
    }

    fn export(&self, name: &str, out: Option<&Path>, stdout: bool) -> anyhow::Result<Exit> {
        let name = self.named(name)?;
        if let (Some(out), false) = (out, stdout) {
            let file = self.desk.export(self.picture, &name, out)?;
            self.output.text(&format!("{}\n", file.display()));
        } else {
            let pem = self.desk.there(self.picture, &name)?;
            self.output.text(pem.reveal());
        }
        Ok(Exit::Done)
    }
}

/// Says what is worth a look.
pub(in crate::cli) fn told<'f>(
    output: &Output,
    all: impl IntoIterator<Item = &'f Findings>,
) -> Exit {
    let mut exit = Exit::Done;
    for finding in all.into_iter().flatten() {
        output.error(&format!("{} [{}]", finding.message, finding.code));
        if let Some(hint) = &finding.hint {
            output.error(&format!("  {hint}"));
        }
        exit = Exit::Findings;
    }
    exit
}

fn planned(views: &[CertificateView]) -> String {
    let now = |view: &&CertificateView| view.due.as_ref().is_some_and(|due| due.now);
    if views.iter().filter(now).count() == 0 {
        return format!("nothing is due now\n\n{}", certificates::table(views));
    }
    let due: Vec<CertificateView> = views.iter().filter(now).cloned().collect();
    due.iter().map(certificates::whole).collect()
}
