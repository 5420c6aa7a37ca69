//! Cross-checks: what no single file can know. Each is a small function in the list below, finds everything it
//! can, and leaves to the others what is theirs.

use std::collections::BTreeMap;

use super::derive::{self, RecordSet};
use super::names::DomainName;
use super::rdata::{self, Problem, Rdata};
use super::zone::{Record, RecordType, Zone};
use super::{Defined, Model};
use crate::codes::Code;
use crate::finding::{Finding, Findings, Location};
use crate::snapshot::Snapshot;
use crate::yaml::{At, nearest};

mod acme;
mod addresses;
mod certificates;
mod challenge;
mod forwards;
mod names;
mod order;
mod policy;
mod ports;
mod records;
mod sites;
mod ssh;
mod targets;
mod zones;

pub(super) use acme::taken;

type Check = fn(&View<'_>, &mut Findings);

/// Checks that look at what is there; they tell the truth even where other files could not be read.
const ALWAYS: [Check; 17] = [
    acme::authorities,
    addresses::networks,
    addresses::duplicates,
    certificates::coverage,
    forwards::targets_are_whole,
    policy::waves_are_sane,
    policy::deadlines_fit,
    policy::freezes_cover_something,
    ports::collisions,
    records::values,
    records::cnames,
    records::ttls,
    sites::hosts,
    sites::health_and_maintenance,
    ssh::ways_in,
    ssh::host_keys,
    zones::timers,
];

/// Checks that miss something; where files could not be read they would blame the wrong ones.
const ONLY_COMPLETE: [Check; 14] = [
    acme::ordered,
    acme::provable,
    challenge::zone,
    challenge::names,
    certificates::exist,
    names::nodes_exist,
    names::roles_exist,
    order::names_every_node,
    policy::quorum_is_possible,
    sites::zones_exist,
    sites::edge_is_published,
    targets::resolve,
    targets::dots,
    zones::servers,
];

/// What the checks look at, worked out once.
struct View<'a> {
    model: &'a Model,
    snapshot: &'a Snapshot,
    zones: BTreeMap<&'a str, ZoneView<'a>>,
}

struct ZoneView<'a> {
    name: &'a DomainName,
    zone: &'a Defined<Zone>,
    /// The zone's own records that could be read.
    records: Vec<Parsed<'a>>,
    problems: Vec<(Problem, Location)>,
    /// Everything the zone will hold, by owner relative to it.
    owners: BTreeMap<String, Vec<RecordSet>>,
}

struct Parsed<'a> {
    record: &'a Record,
    /// Relative to the zone.
    owner: String,
    values: Vec<(&'a At<String>, Rdata)>,
}

/// Runs every check that can tell the truth; `complete` says that all files could be read.
pub(super) fn run(model: &Model, snapshot: &Snapshot, complete: bool) -> Findings {
    let mut derived = derive::zones(model);
    let zones = model
        .zones
        .iter()
        .map(|(name, zone)| {
            (
                name.as_str(),
                ZoneView::new(name, zone, derived.remove(name).unwrap_or_default()),
            )
        })
        .collect();
    let view = View {
        model,
        snapshot,
        zones,
    };
    let mut findings = Findings::default();
    ALWAYS.iter().for_each(|check| check(&view, &mut findings));
    if complete {
        ONLY_COMPLETE
            .iter()
            .for_each(|check| check(&view, &mut findings));
    }
    findings
}

impl<'a> ZoneView<'a> {
    fn new(name: &'a DomainName, zone: &'a Defined<Zone>, sets: Vec<RecordSet>) -> Self {
        let mut view = Self {
            name,
            zone,
            records: Vec::new(),
            problems: Vec::new(),
            owners: BTreeMap::new(),
        };
        for set in sets {
            view.owners.entry(set.name.clone()).or_default().push(set);
        }
        for record in &zone.records {
            view.read(record);
        }
        view
    }

    fn read(&mut self, record: &'a Record) {
        let kind = record.kind.value;
        let owner = match rdata::owner(&record.name, kind, self.name) {
            Ok(owner) => derive::relative(&owner, self.name),
            Err(problem) => {
                self.problems.push((problem, self.zone.place(&record.name)));
                return;
            }
        };
        let mut values = Vec::new();
        for value in record.values() {
            match rdata::rdata(kind, value, self.name) {
                Ok(rdata) => values.push((value, rdata)),
                Err(problem) => self.problems.push((problem, self.zone.place(value))),
            }
        }
        self.records.push(Parsed {
            record,
            owner,
            values,
        });
    }

    fn set(&self, owner: &str, kind: RecordType) -> Option<&RecordSet> {
        self.owners.get(owner)?.iter().find(|set| set.kind == kind)
    }
}

/// A name that should exist but does not, with the nearest that does.
fn unknown<'a>(
    code: Code,
    what: &str,
    name: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Finding {
    let mut known: Vec<&str> = known.into_iter().collect();
    known.sort_unstable();
    known.dedup();
    let finding = Finding::error(code, format!("there is no {what} `{name}`"));
    match nearest(name, known.iter().copied()) {
        Some(near) => finding.hint(format!("did you mean `{near}`?")),
        None if known.is_empty() => finding.hint(format!("there is no {what} at all yet")),
        None => {
            known.truncate(12);
            finding.hint(format!("there are: {}", known.join(", ")))
        }
    }
}

#[cfg(test)]
mod acme_tests;
#[cfg(test)]
mod tests;
