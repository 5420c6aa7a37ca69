//! Asks all nodes at once what they serve. A node that says nothing costs one time-out, not one for each certificate.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use windlass_core::acme::served::{self, Place, Served, Sight};
use windlass_core::acme::{Lifetime, places};
use windlass_core::model::Model;
use windlass_core::model::names::Label;

use super::desk::{alert_days, of_model};
use super::view::CertificateView;
use crate::acme::Leaf;
use crate::probe::NetProber;

/// Handshakes at the same time, so that hundreds of certificates do not look like an attack.
const AT_ONCE: usize = 16;

/// What was seen at each place, by certificate.
pub type Seen = BTreeMap<Label, Vec<(Place, Result<Sight, String>)>>;

pub async fn survey(prober: &NetProber, places: Vec<Place>) -> Seen {
    let gate = Arc::new(Semaphore::new(AT_ONCE));
    let mut asked = JoinSet::new();
    for (order, place) in places.into_iter().enumerate() {
        let (prober, gate) = (prober.clone(), Arc::clone(&gate));
        asked.spawn(async move {
            let _turn = gate.acquire().await;
            let sight = look(&prober, &place).await;
            (order, place, sight)
        });
    }
    let mut all = asked.join_all().await;
    all.sort_by_key(|(order, ..)| *order);
    let mut seen = Seen::new();
    for (_, place, sight) in all {
        let of = seen.entry(place.certificate.clone()).or_default();
        of.push((place, sight));
    }
    seen
}

async fn look(prober: &NetProber, place: &Place) -> Result<Sight, String> {
    let seen = prober.served(place.connect, &place.host).await?;
    let leaf = Leaf::of(seen.leaf)?;
    Ok(Sight {
        serial: leaf.serial,
        lifetime: leaf.lifetime,
        problem: seen.problem,
    })
}

/// As far as a checkout tells, and the nodes show.
pub async fn seen_from_outside(
    prober: &NetProber,
    model: &Model,
    given: Option<&Path>,
) -> Vec<CertificateView> {
    let seen = survey(prober, places(model)).await;
    let now = Timestamp::now();
    let mut views = of_model(model, given, now);
    judged(&mut views, &seen, alert_days(model), now);
    views
}

/// Adds to each certificate what the nodes serve of it, and what is worth a person's look.
pub fn judged(views: &mut [CertificateView], seen: &Seen, alert_days: Option<u32>, now: Timestamp) {
    for view in views {
        let seen = seen.get(&view.name).cloned().unwrap_or_default();
        let in_use = view.in_use.as_ref();
        let lifetime = in_use.map(|own| Lifetime {
            from: own.from,
            until: own.until,
        });
        let ends = served::ends_first(lifetime, &seen, now);
        let judged: Vec<Served> = served::judge(in_use.map(|own| own.serial.as_str()), seen, now);
        view.findings = served::findings(&view.name, ends, &judged, alert_days, now);
        let failed = view.failure.as_ref();
        view.findings
            .extend(failed.map(|failed| served::unordered(&view.name, failed)));
        view.served = judged;
    }
}
