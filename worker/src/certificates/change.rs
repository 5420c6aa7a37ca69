//! What a person does about a certificate. Whatever changes a file or an account holds the worker's orders still
//! meanwhile; whatever is wanted of an authority is left to the worker, so that nothing is ordered twice.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use jiff::Timestamp;
use windlass_core::acme::served::days_left;
use windlass_core::acme::{Wanted, Why, due};
use windlass_core::finding::{Finding, Findings};
use windlass_core::materials::SecretText;
use windlass_core::model::Authority;
use windlass_core::model::names::Label;
use windlass_core::snapshot::Snapshot;

use super::desk::{Desk, Picture};
use crate::acme::{self, Access, Hold, Leaf, Reason, Shelf};
use crate::materials;

/// An order may wait for an authority for so long.
const PATIENCE: Duration = Duration::from_secs(120);
const SHORTLY: Duration = Duration::from_millis(200);

/// No PEM file is larger.
const MAX_BYTES: u64 = 64 * 1024;

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// What was given cannot be used, and why.
    #[error("the certificate cannot be used")]
    Refused(Findings),
    #[error(transparent)]
    Failed(#[from] anyhow::Error),
}

/// What was put in use.
#[derive(Debug)]
pub struct Imported {
    pub name: Label,
    pub file: PathBuf,
    pub serial: String,
    pub days_left: i64,
    /// Worth a look, and no reason not to.
    pub findings: Findings,
    /// The worker orders another one at once, because of this.
    pub replaced: Option<Why>,
}

impl Desk {
    fn wanted<'p>(&self, picture: &'p Picture, name: &Label) -> anyhow::Result<&'p Wanted> {
        picture.wanted.get(name).with_context(|| {
            format!("{name} is given as a file and not ordered: `windlass cert import` replaces it")
        })
    }

    /// Waits until no order is under way, at no worker, and lets none begin until both are let go of.
    async fn hold(&self) -> anyhow::Result<(File, Hold)> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(claimed) = self.shelf.claim().map_err(|why| anyhow!(why))?
                && let Some(hold) = self.ledger.hold().await?
            {
                return Ok((claimed, hold));
            }
            if Instant::now() > deadline {
                bail!("the worker is in the middle of an order that takes long; try again later");
            }
            tokio::time::sleep(SHORTLY).await;
        }
    }

    /// Whether another one can be ordered.
    pub fn is_ordered(&self, picture: &Picture, name: &Label) -> anyhow::Result<()> {
        self.wanted(picture, name).map(drop)
    }

    /// Has the authority that issued it declare the certificate in use void.
    pub async fn revoke(
        &self,
        picture: &Picture,
        name: &Label,
        reason: Reason,
        authority: Option<&str>,
    ) -> anyhow::Result<Leaf> {
        let wanted = self.wanted(picture, name)?;
        let (_claimed, hold) = self.hold().await?;
        let leaf = self.shelf.leaf(name).map_err(|why| anyhow!(why))?;
        let leaf = leaf.with_context(|| format!("there is no certificate {name} yet"))?;
        let issuer = self.issuer(wanted, authority).await?;
        let access = access_of(issuer, &wanted.contact, &picture.snapshot);
        let directory = issuer.directory.value.as_str();
        let void = (&leaf, reason);
        acme::revoke(&self.ledger, issuer, directory, &access, void)
            .await
            .map_err(|why| anyhow!(why))?;
        hold.release().await;
        Ok(leaf)
    }

    async fn issuer<'w>(
        &self,
        wanted: &'w Wanted,
        named: Option<&str>,
    ) -> anyhow::Result<&'w Authority> {
        let mut all = wanted.authorities.iter();
        if let Some(named) = named {
            let found = all.find(|own| own.name.as_str() == named);
            return found.with_context(|| {
                format!("{} is ordered from no authority named {named}", wanted.name)
            });
        }
        let issued = self.known(wanted).await?.issued;
        let directory = issued.map(|issued| issued.directory).unwrap_or_default();
        all.find(|own| own.directory.value == directory)
            .with_context(|| {
                format!(
                    "the worker does not know any more which authority issued {}: name it with --authority",
                    wanted.name
                )
            })
    }

    /// Replaces the keys of the accounts with these authorities, or with all; their names.
    pub async fn roll_keys(
        &self,
        picture: &Picture,
        named: Option<&str>,
    ) -> anyhow::Result<Vec<Label>> {
        let acme = picture.model.cluster.acme.as_ref();
        let acme = acme.context("cluster.yaml has no `acme`: nothing is ordered")?;
        let contact: Vec<String> = acme.contact.iter().map(|at| at.value.clone()).collect();
        let (_claimed, hold) = self.hold().await?;
        let mut rolled = Vec::new();
        for authority in acme.authorities.iter().map(|at| &at.value) {
            if named.is_some_and(|named| authority.name.as_str() != named) {
                continue;
            }
            let directory = authority.directory.value.as_str();
            if self.ledger.credentials(directory).await?.is_none() {
                continue;
            }
            let access = access_of(authority, &contact, &picture.snapshot);
            acme::roll_account_key(&self.ledger, authority, directory, &access)
                .await
                .map_err(|why| anyhow!(why))?;
            rolled.push(authority.name.clone());
        }
        hold.release().await;
        if rolled.is_empty() {
            bail!("this worker has no account there");
        }
        Ok(rolled)
    }

    /// Puts a PEM file in use, after everything is found right about it.
    pub async fn import(
        &self,
        picture: &Picture,
        name: &Label,
        file: &Path,
    ) -> Result<Imported, Trouble> {
        let pem = read(file)?;
        let now = Timestamp::now();
        let definition = picture.model.certificates.get(name);
        if let Some(secret) = definition.and_then(|own| own.secret.as_ref()) {
            let secret = secret.as_str();
            let why = anyhow!(
                "{name} is given as the secret {secret}: `windlass secret set {secret}` in the repository replaces it"
            );
            return Err(Trouble::Failed(why));
        }
        let findings = self.examine(picture, name, &pem, now)?;
        let leaf = Leaf::read(pem.reveal()).map_err(|why| anyhow!(why))?;
        let wanted = picture.wanted.get(name);
        let shelf = match (&wanted, &self.directories.certificates) {
            (Some(_), _) => self.shelf.clone(),
            (None, Some(folder)) => Shelf::at(folder),
            (None, None) => {
                let why = "worker.yaml has no `certificates`: there is no folder to put it into";
                return Err(Trouble::Failed(anyhow!(why)));
            }
        };
        let (claimed, hold) = self.hold().await?;
        if wanted.is_some() && self.ledger.is_common() {
            self.not_older(name, &leaf)?;
        }
        let file = shelf.put_whole(name, &pem).map_err(|why| anyhow!(why))?;
        if wanted.is_some() {
            self.ledger.tell(name).await.map_err(anyhow::Error::new)?;
        }
        hold.release().await;
        drop(claimed);
        let mut replaced = None;
        if let Some(wanted) = wanted {
            let known = self.known(wanted).await?;
            let next = due(wanted, &known, now).filter(|due| due.at <= now);
            replaced = next.map(|due| due.why);
        }
        Ok(Imported {
            name: name.clone(),
            file,
            serial: leaf.serial,
            days_left: days_left(leaf.lifetime.until, now),
            findings,
            replaced,
        })
    }

    /// Where several workers roll, the one issued last is the one in use: an older one would be replaced by it again.
    fn not_older(&self, name: &Label, new: &Leaf) -> anyhow::Result<()> {
        let here = self.shelf.leaf(name).ok().flatten();
        match here.filter(|here| here.lifetime.from > new.lifetime.from) {
            Some(here) => bail!(
                "{name} in use was issued later ({}) than this one ({}), and the workers that share this cluster use the one issued last: have another one issued, or give the certificate by file",
                here.lifetime.from,
                new.lifetime.from
            ),
            None => Ok(()),
        }
    }

    /// What there is against a PEM file as this certificate; errors are `Refused`.
    fn examine(
        &self,
        picture: &Picture,
        name: &Label,
        pem: &SecretText,
        now: Timestamp,
    ) -> Result<Findings, Trouble> {
        let mut findings = Findings::default();
        match materials::usable(pem.reveal()) {
            Ok(_) => findings.extend(materials::fits(&picture.model, name, pem, now)),
            Err((code, why)) => findings.push(Finding::error(code, format!("the file {why}"))),
        }
        if findings.has_errors() {
            return Err(Trouble::Refused(findings));
        }
        Ok(findings)
    }

    /// Writes chain and key into a folder, for the owner's eyes only; where to.
    pub fn export(&self, picture: &Picture, name: &Label, out: &Path) -> anyhow::Result<PathBuf> {
        let pem = self.there(picture, name)?;
        Shelf::at(out)
            .put_whole(name, &pem)
            .map_err(|why| anyhow!(why))
    }

    /// Chain and key, which must be there.
    pub fn there(&self, picture: &Picture, name: &Label) -> anyhow::Result<SecretText> {
        let pem = self.pem(picture, name).map_err(|why| anyhow!(why))?;
        pem.with_context(|| format!("there is no certificate {name} here yet"))
    }
}

fn read(file: &Path) -> anyhow::Result<SecretText> {
    use std::io::Read as _;
    let mut text = String::new();
    let read = File::open(file).and_then(|file| file.take(MAX_BYTES + 1).read_to_string(&mut text));
    read.with_context(|| format!("{} cannot be read", file.display()))?;
    if text.len() as u64 > MAX_BYTES {
        bail!("{} is larger than {} KiB", file.display(), MAX_BYTES / 1024);
    }
    Ok(SecretText::new(&text))
}

fn access_of(authority: &Authority, contact: &[String], snapshot: &Snapshot) -> Access {
    let root = authority.root.as_ref().and_then(|root| snapshot.file(root));
    Access {
        root: root.map(|pem| String::from_utf8_lossy(pem).into_owned()),
        // An account that is there needs none.
        eab: None,
        zone_key: None,
        contact: contact.to_vec(),
    }
}
