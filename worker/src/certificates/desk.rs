//! What is wanted, what is there, and what is due, read from where the worker keeps it. Nothing is ordered here.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use windlass_core::acme::served::days_left;
use windlass_core::acme::{Due, Issued, Known, Step, Wanted, due, wanted};
use windlass_core::finding::Findings;
use windlass_core::ids::{ClusterName, Digest};
use windlass_core::materials::SecretText;
use windlass_core::model::names::Label;
use windlass_core::model::{self, Model};
use windlass_core::sealed;
use windlass_core::snapshot::Snapshot;

use super::view::{CertificateView, DueView, InUse, Origin};
use crate::acme::{Leaf, Ledger, Shelf};
use crate::git::source::Source;
use crate::materials::{self, Directories};
use crate::store::Store;

/// Where one cluster's certificates are kept.
#[derive(Debug, Clone)]
pub struct Desk {
    pub cluster: ClusterName,
    pub source: Source,
    pub store: Store,
    pub ledger: Ledger,
    pub shelf: Shelf,
    /// Those of a worker that orders nothing have no `ordered`.
    pub directories: Directories,
}

/// What the rolled commit says of certificates.
#[derive(Debug, Clone)]
pub struct Picture {
    pub snapshot: Arc<Snapshot>,
    pub model: Arc<Model>,
    pub wanted: BTreeMap<Label, Wanted>,
}

impl Picture {
    /// What the cluster says of WL328.
    pub fn alert_days(&self) -> Option<u32> {
        alert_days(&self.model)
    }
}

pub(super) fn alert_days(model: &Model) -> Option<u32> {
    model.cluster.acme.as_ref().and_then(|acme| acme.alert_days)
}

/// What a checkout alone tells of the certificates that its sites are served with: who serves them is for others to
/// see.
pub(super) fn of_model(
    model: &Model,
    given: Option<&Path>,
    now: Timestamp,
) -> Vec<CertificateView> {
    let ordered = wanted(model);
    let mut views = Vec::new();
    for name in model.certificates.keys() {
        let wanted = ordered.iter().find(|wanted| wanted.name == *name);
        let shelf = given.map(Shelf::at).filter(|_| wanted.is_none());
        let leaf = shelf.and_then(|shelf| shelf.leaf(name).ok().flatten());
        let mut view = bare(model, name, wanted);
        view.in_use = leaf.map(|leaf| in_use(&leaf, now));
        views.push(view);
    }
    views.retain(|view| !view.sites.is_empty());
    views
}

/// What the definitions say of a certificate.
fn bare(model: &Model, name: &Label, wanted: Option<&Wanted>) -> CertificateView {
    let definition = model.certificates.get(name);
    let names = definition.map(|own| own.names.iter().map(|at| at.value.to_string()).collect());
    let sites = model.sites.iter().filter(|(_, site)| {
        let own = site.certificate();
        own.is_some_and(|own| own.value == *name)
    });
    let authority = wanted.and_then(|wanted| wanted.authorities.first());
    CertificateView {
        name: name.clone(),
        names: names.unwrap_or_default(),
        sites: sites.map(|(site, _)| site.clone()).collect(),
        origin: match (wanted, definition.is_some_and(|own| own.secret.is_some())) {
            (Some(_), _) => Origin::Ordered,
            (None, true) => Origin::Secret,
            (None, false) => Origin::File,
        },
        authority: authority.map(|first| first.name.clone()),
        in_use: None,
        due: None,
        order: None,
        failure: None,
        unusable: None,
        served: Vec::new(),
        findings: Findings::default(),
    }
}

/// The commit whose certificates are wanted: the one that the nodes hold; with a database that is new, the one that
/// was looked at.
pub async fn rolled(
    store: &Store,
    source: &Source,
    ledger: &Ledger,
) -> anyhow::Result<Option<Arc<Snapshot>>> {
    let record = store.cluster(ledger.cluster()).await?;
    // Another worker may have rolled since.
    let common = ledger.rolled().await?.filter(|_| ledger.is_common());
    let commit = match (common, record.rolled, record.seen) {
        (Some((rolled, _)), ..) | (None, Some(rolled), _) => rolled,
        (None, None, Some(seen)) => {
            source.verify(&seen).await?;
            seen
        }
        (None, None, None) => return Ok(None),
    };
    let mut snapshot = source.snapshot(&commit).await;
    if snapshot.is_err() && ledger.is_common() {
        source.fetch().await?;
        snapshot = source.snapshot(&commit).await;
    }
    if ledger.is_common() {
        source.verify(&commit).await?;
    }
    let snapshot = snapshot.context("the commit whose certificates are wanted cannot be read")?;
    Ok(Some(Arc::new(snapshot)))
}

/// The certificate that lies there. One that was put there by hand is taken for what it is.
pub fn issued(wanted: &Wanted, leaf: &Leaf, stored: Option<Issued>) -> Issued {
    if let Some(stored) = stored.filter(|stored| stored.serial == leaf.serial) {
        return stored;
    }
    let fits = leaf.is_for(&wanted.names) && leaf.key == Some(wanted.key);
    Issued {
        serial: leaf.serial.clone(),
        lifetime: leaf.lifetime,
        terms: if fits {
            wanted.terms()
        } else {
            Digest::of(leaf.serial.as_bytes())
        },
        directory: String::new(),
    }
}

impl Desk {
    /// Brings what is known here up to date with what other workers know, unless one of them is ordering just now.
    pub async fn refresh(&self) -> anyhow::Result<bool> {
        let Some(hold) = self.ledger.hold().await? else {
            return Ok(false);
        };
        hold.release().await;
        Ok(true)
    }

    /// `None` where nothing was rolled yet, or the repository is that of another cluster.
    pub async fn picture(&self) -> anyhow::Result<Option<Picture>> {
        let Some(snapshot) = rolled(&self.store, &self.source, &self.ledger).await? else {
            return Ok(None);
        };
        let reading = Arc::clone(&snapshot);
        let loaded = tokio::task::spawn_blocking(move || model::load(&reading)).await?;
        let model = loaded
            .model
            .filter(|model| model.cluster.name == self.cluster);
        Ok(model.map(|model| Picture {
            snapshot,
            wanted: wanted(&model)
                .into_iter()
                .map(|wanted| (wanted.name.clone(), wanted))
                .collect(),
            model,
        }))
    }

    /// As `picture`, for a person: why there is none.
    pub async fn pictured(&self) -> anyhow::Result<Picture> {
        self.picture().await?.with_context(|| {
            format!(
                "nothing of {} was rolled out yet: its certificates follow from the commit that was",
                self.cluster
            )
        })
    }

    /// One certificate's name as a person wrote it.
    pub fn named(&self, picture: &Picture, name: &str) -> anyhow::Result<Label> {
        if let Some((known, _)) = picture.model.certificates.get_key_value(name) {
            return Ok(known.clone());
        }
        let all: Vec<&str> = picture
            .model
            .certificates
            .keys()
            .map(Label::as_str)
            .collect();
        bail!(
            "the commit that was rolled out wants no certificate named {name:?}; it wants {}",
            if all.is_empty() {
                "none".to_owned()
            } else {
                all.join(", ")
            }
        )
    }

    /// Every certificate as it stands, by name; what the nodes serve is for others to see.
    pub async fn views(
        &self,
        picture: &Picture,
        now: Timestamp,
    ) -> anyhow::Result<Vec<CertificateView>> {
        let mut views = Vec::new();
        for name in picture.model.certificates.keys() {
            views.push(self.view(picture, name, now).await?);
        }
        Ok(views)
    }

    async fn view(
        &self,
        picture: &Picture,
        name: &Label,
        now: Timestamp,
    ) -> anyhow::Result<CertificateView> {
        let wanted = picture.wanted.get(name);
        let (pem, unusable) = match self.pem(picture, name) {
            Ok(pem) => (pem, None),
            Err(why) => (None, Some(why)),
        };
        let leaf = pem.as_ref().map(|pem| Leaf::read(pem.reveal()));
        let leaf = leaf.transpose().ok().flatten();
        let mut view = bare(&picture.model, name, wanted);
        view.in_use = leaf.as_ref().map(|leaf| in_use(leaf, now));
        view.unusable = unusable;
        if let Some(wanted) = wanted {
            self.add_orders(&mut view, wanted, now).await?;
        }
        Ok(view)
    }

    async fn add_orders(
        &self,
        view: &mut CertificateView,
        wanted: &Wanted,
        now: Timestamp,
    ) -> anyhow::Result<()> {
        let known = self.known(wanted).await?;
        if let (Some(in_use), Some(issued)) = (&mut view.in_use, &known.issued) {
            let told = !issued.directory.is_empty() && issued.serial == in_use.serial;
            in_use.directory = told.then(|| issued.directory.clone());
        }
        view.due = due(wanted, &known, now).and_then(|due| due_view(wanted, &due, now));
        view.failure = known.failures.last().cloned();
        let open = self.ledger.open(&wanted.name).await?;
        view.order = open.and_then(|open| stage(open.order.next()).map(str::to_owned));
        Ok(())
    }

    /// What is known of a certificate that is to be ordered, without asking anybody.
    pub async fn known(&self, wanted: &Wanted) -> anyhow::Result<Known> {
        let mut known = self.ledger.known(wanted).await?;
        let leaf = self.shelf.leaf(&wanted.name).ok().flatten();
        let stored = known.issued.take();
        known.issued = leaf.as_ref().map(|leaf| issued(wanted, leaf, stored));
        let suggestion = self.ledger.suggestion(&wanted.name).await?;
        let fitting =
            suggestion.filter(|own| leaf.as_ref().is_some_and(|leaf| leaf.serial == own.serial));
        known.window = fitting.and_then(|own| own.window);
        Ok(known)
    }

    /// Chain and key that rolls take for a certificate: what was ordered, else what was given as a file.
    pub fn pem(&self, picture: &Picture, name: &Label) -> Result<Option<SecretText>, String> {
        let ordered = picture.wanted.contains_key(name);
        if let (true, Some(pem)) = (ordered, self.shelf.get(name)?) {
            return Ok(Some(pem));
        }
        let definition = picture.model.certificates.get(name);
        if let Some(secret) = definition.and_then(|own| own.secret.as_ref()) {
            return self.secret(picture, secret.as_str());
        }
        let Some(folder) = &self.directories.certificates else {
            return Ok(None);
        };
        let given = Shelf::at(folder).get(name)?;
        let Some(pem) = given else { return Ok(None) };
        match materials::usable(pem.reveal()) {
            Ok(_) => Ok(Some(pem)),
            Err((code, why)) => Err(format!("{}/{name}.pem {why} [{code}]", folder.display())),
        }
    }
}

impl Desk {
    /// Chain and key that are given by a secret; of the repository's, no other is decrypted.
    fn secret(&self, picture: &Picture, name: &str) -> Result<Option<SecretText>, String> {
        let (given, _) = materials::load(&self.directories).map_err(|error| error.to_string())?;
        let identities = &self.directories.age_identities;
        let sealed = sealed::all(&picture.snapshot).find(|sealed| sealed.name == name);
        let text = match (given.secrets.get(name), sealed) {
            (Some(text), _) => text.clone(),
            (None, Some(sealed)) if !identities.is_empty() => {
                materials::age::open(sealed.armored, identities)
                    .map_err(|error| format!("{}: {error}", sealed.path))?
            }
            (None, _) => return Ok(None),
        };
        let pem = SecretText::new(&format!("{}\n", text.reveal()));
        match materials::usable(pem.reveal()) {
            Ok(_) => Ok(Some(pem)),
            Err((code, why)) => Err(format!("the secret {name} {why} [{code}]")),
        }
    }
}

fn in_use(leaf: &Leaf, now: Timestamp) -> InUse {
    InUse {
        serial: leaf.serial.clone(),
        from: leaf.lifetime.from,
        until: leaf.lifetime.until,
        days_left: days_left(leaf.lifetime.until, now),
        issuer: leaf.issuer.clone(),
        directory: None,
    }
}

fn due_view(wanted: &Wanted, due: &Due, now: Timestamp) -> Option<DueView> {
    Some(DueView {
        at: due.at,
        now: due.at <= now,
        why: due.why,
        authority: wanted.authorities.get(due.authority)?.name.clone(),
        rehearsal: due.rehearsal,
        put_off: due.put_off,
    })
}

/// How far an order has come.
fn stage(next: Step) -> Option<&'static str> {
    Some(match next {
        Step::MakeKey | Step::Place => "begun",
        Step::Publish => "placed with the authority",
        Step::Probe => "the ways of its challenges are tried",
        Step::Prove => "the authority is asked to look",
        Step::Finalize | Step::Download => "proven; the authority signs",
        Step::Store | Step::Announce => "issued, about to be rolled",
        Step::EndRehearsal => "rehearsed",
        Step::Over => return None,
    })
}
