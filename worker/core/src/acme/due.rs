//! When a certificate is to be ordered: at once where it is missing or not what is wanted; else when the authority
//! says so (RFC 9773), or after a share of its lifetime; and never sooner than failures and limits allow. Times are
//! spread by the certificate's name, so that the same input always gives the same time.

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::failure::{self, Failed};
use super::wanted::Wanted;
use crate::ids::Digest;

/// From when until when a certificate is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Lifetime {
    #[schemars(with = "String")]
    pub from: Timestamp,
    #[schemars(with = "String")]
    pub until: Timestamp,
}

impl Lifetime {
    pub fn length(self) -> SignedDuration {
        self.until
            .duration_since(self.from)
            .max(SignedDuration::ZERO)
    }
}

/// The time within which an authority suggests to renew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Window {
    #[schemars(with = "String")]
    pub start: Timestamp,
    #[schemars(with = "String")]
    pub end: Timestamp,
}

/// The certificate that we have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Issued {
    /// In hexadecimal digits.
    pub serial: String,
    #[serde(flatten)]
    pub lifetime: Lifetime,
    /// What was ordered (`Wanted::terms`).
    pub terms: Digest,
    /// The directory of the authority that it comes from.
    pub directory: String,
}

/// What is known of a certificate's past.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    pub issued: Option<Issued>,
    /// What the authority suggests for `issued`.
    pub window: Option<Window>,
    /// Since the last success, oldest first.
    pub failures: Vec<Failed>,
    /// Failures by rate limits of other certificates' orders, and of this one's at authorities that were left for another.
    pub limits: Vec<Failed>,
    /// Directories at which these terms were rehearsed.
    pub rehearsed: Vec<String>,
    /// A person wants it renewed.
    pub asked: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// There is none yet.
    Missing,
    /// Other names, another kind of key or another profile are wanted.
    Changed,
    /// A person said so.
    Asked,
    /// The authority suggests the time.
    Suggested,
    /// Its lifetime comes to an end.
    Ageing,
}

/// What is due, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Due {
    #[schemars(with = "String")]
    pub at: Timestamp,
    pub why: Why,
    /// Index into the wanted certificate's authorities.
    pub authority: usize,
    /// At the authority's directory for rehearsals first.
    pub rehearsal: bool,
    /// A failure puts it off.
    pub put_off: bool,
}

/// When the certificate is to be ordered next. `None` only where there is no authority to ask.
pub fn due(wanted: &Wanted, known: &Known, now: Timestamp) -> Option<Due> {
    let (ideal, why) = ideal(wanted, known, now);
    let limits = known.limits.iter().filter(|failed| failed.limits_at(now));
    let mut failures: Vec<Failed> = known.failures.iter().chain(limits).cloned().collect();
    failures.sort_by_key(|failed| failed.at);
    let (authority, after) = {
        let rehearse = |index: usize| rehearsal(wanted, known, index);
        let directories =
            (0..wanted.authorities.len()).map(|index| directory(wanted, index, rehearse(index)));
        failure::choose(directories, &failures, now.max(ideal))?
    };
    let at = after.map_or(ideal, |after| after.max(ideal));
    Some(Due {
        at,
        why,
        authority,
        rehearsal: rehearsal(wanted, known, authority),
        put_off: at > ideal && at > now,
    })
}

/// Where an order is placed.
pub fn directory(wanted: &Wanted, authority: usize, rehearsal: bool) -> &str {
    let Some(authority) = wanted.authorities.get(authority) else {
        return "";
    };
    let staging = authority.staging.as_ref().filter(|_| rehearsal);
    staging.unwrap_or(&authority.directory)
}

/// The first order of a certificate is rehearsed, where the authority has a directory for it.
fn rehearsal(wanted: &Wanted, known: &Known, authority: usize) -> bool {
    let staging = wanted
        .authorities
        .get(authority)
        .and_then(|own| own.staging.as_ref());
    let fresh = known
        .issued
        .as_ref()
        .is_none_or(|issued| issued.terms != wanted.terms());
    staging.is_some_and(|staging| fresh && !known.rehearsed.contains(&staging.value))
}

fn ideal(wanted: &Wanted, known: &Known, now: Timestamp) -> (Timestamp, Why) {
    let Some(issued) = &known.issued else {
        return (now, Why::Missing);
    };
    if issued.terms != wanted.terms() {
        return (now, Why::Changed);
    }
    if known.asked {
        return (now, Why::Asked);
    }
    let name = format!("{} {}", wanted.name, issued.serial);
    let ageing = ageing(&name, issued.lifetime);
    match known.window {
        // A window that ends after the certificate does is of no use.
        Some(window) if window.start < issued.lifetime.until => (
            within(&name, window).min(last_call(issued.lifetime)),
            Why::Suggested,
        ),
        _ => (ageing, Why::Ageing),
    }
}

/// A share of the lifetime is left when a certificate is renewed: a third of it (90 days: 30, 45 days: 15); half of
/// one that is shorter than ten days, which leaves three days to mend what keeps a 6-day certificate from being renewed.
pub fn ageing(name: &str, lifetime: Lifetime) -> Timestamp {
    let length = lifetime.length();
    let short = length < SignedDuration::from_hours(10 * 24);
    let used = if short { length / 2 } else { length / 3 * 2 };
    // Up to a twentieth sooner: certificates of one day need not all be renewed in one minute.
    let sooner = share(name, length / 20);
    lifetime
        .from
        .checked_add(used - sooner)
        .unwrap_or(lifetime.from)
}

/// Whatever an authority suggests, a tenth of the lifetime is kept.
fn last_call(lifetime: Lifetime) -> Timestamp {
    let length = lifetime.length();
    lifetime
        .until
        .checked_sub(length / 10)
        .unwrap_or(lifetime.from)
}

/// A time within the window, spread by name as RFC 9773 wants it spread.
fn within(name: &str, window: Window) -> Timestamp {
    let length = window
        .end
        .duration_since(window.start)
        .max(SignedDuration::ZERO);
    window
        .start
        .checked_add(share(name, length))
        .unwrap_or(window.start)
}

/// A part of the length, always the same for one name.
fn share(name: &str, length: SignedDuration) -> SignedDuration {
    let digest = Digest::of(name.as_bytes());
    let [a, b, c, ..] = *digest.as_bytes();
    let part = (i64::from(a) << 16) | (i64::from(b) << 8) | i64::from(c);
    let seconds = (i128::from(length.as_secs()) * i128::from(part)) >> 24;
    SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(0))
}
