//! What the entries of orders that are over, or under way, say of a certificate's past.

use jiff::Timestamp;
use windlass_core::acme::order::Misfit;
use windlass_core::acme::{Entry, Failed, Failure, Known, Order, Wanted};

/// An order's entries with their times, as they lie in the database.
pub(super) fn entries(
    db: &rusqlite::Connection,
    order: i64,
) -> rusqlite::Result<Vec<(i64, String)>> {
    db.prepare_cached("SELECT at, entry FROM acme_entry WHERE order_id = ?1 ORDER BY id")?
        .query_map([order], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

fn read(entries: &[(i64, String)]) -> impl Iterator<Item = (Timestamp, Entry)> {
    entries.iter().filter_map(|(at, entry)| {
        let at = Timestamp::from_millisecond(*at).ok()?;
        Some((at, serde_json::from_str(entry).ok()?))
    })
}

pub(super) fn is_limit(failed: &Failed) -> bool {
    matches!(failed.failure, Failure::RateLimited { .. })
}

pub(super) fn folded(entries: &[(i64, String)]) -> Option<Result<Order, Misfit>> {
    let all: Vec<Entry> = read(entries).map(|(_, entry)| entry).collect();
    (all.len() == entries.len()).then(|| Order::fold(&all))
}

/// Takes one order in, oldest first. What failed under other terms says nothing of these, but limits stay limits.
pub(super) fn learn(known: &mut Known, entries: &[(i64, String)], wanted: &Wanted) {
    let Some((_, Entry::Begun(begun))) = read(entries).next() else {
        return;
    };
    let same = begun.terms == wanted.terms();
    let mut own = Known::default();
    collect(&mut own, entries);
    for (_, entry) in read(entries) {
        match entry {
            Entry::Rehearsed if same => {
                known.rehearsed.push(begun.directory.clone());
                forget(known, &begun.directory);
            }
            Entry::Stored { issued } => {
                known.issued = Some(issued);
                forget(known, &begun.directory);
            }
            _ => {}
        }
    }
    let counts = |failed: &Failed| same || is_limit(failed);
    known
        .failures
        .extend(own.failures.into_iter().filter(counts));
}

/// It went well there. What another authority said of its limits holds all the same: it is asked again before long.
fn forget(known: &mut Known, directory: &str) {
    let failures = std::mem::take(&mut known.failures);
    let elsewhere = failures
        .into_iter()
        .filter(|failed| failed.directory != directory);
    known.limits.extend(elsewhere.filter(is_limit));
}

/// What authorities said of their limits in an order of another certificate.
pub(super) fn limits(entries: &[(i64, String)]) -> Vec<Failed> {
    let mut other = Known::default();
    collect(&mut other, entries);
    other.failures.retain(is_limit);
    other.failures
}

/// The failures of one order since it last succeeded.
pub(super) fn collect(known: &mut Known, entries: &[(i64, String)]) {
    let mut directory = String::new();
    for (at, entry) in read(entries) {
        match entry {
            Entry::Begun(begun) => directory = begun.directory,
            Entry::Failed { failure, why } => known.failures.push(Failed {
                at,
                directory: directory.clone(),
                failure,
                why,
            }),
            Entry::Stored { .. } | Entry::Rehearsed => known.failures.clear(),
            _ => {}
        }
    }
}
