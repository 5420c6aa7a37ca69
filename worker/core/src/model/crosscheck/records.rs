//! A zone's own records, each by itself and beside the others of its name.

use super::View;
use crate::codes::definitions as codes;
use crate::finding::{Finding, Findings};
use crate::model::RecordType;

const WEEK: u32 = 7 * 86400;

/// Names and values are of the form their type asks for.
pub(super) fn values(view: &View<'_>, findings: &mut Findings) {
    for zone in view.zones.values() {
        for (problem, place) in &zone.problems {
            findings.push(
                Finding::error(problem.code, problem.message.clone())
                    .at(place.clone())
                    .hint(problem.hint.clone()),
            );
        }
        for record in &zone.zone.records {
            let both = record.value.is_some() && record.values.is_some();
            if both || record.values().next().is_none() {
                findings.push(
                    Finding::error(
                        codes::RECORD_VALUE,
                        "a record has either `value` or a list of `values`",
                    )
                    .at(zone.zone.place(&record.name))
                    .hint("write one of the two"),
                );
            }
        }
        for parsed in zone.records.iter().filter(|parsed| parsed.owner == "@") {
            if parsed.record.kind.value == RecordType::Ns {
                findings.push(
                    Finding::error(
                        codes::ZONE_SERVERS,
                        "the zone's own NS records come from `nameservers`",
                    )
                    .at(zone.zone.place(&parsed.record.name))
                    .hint("move the names to `nameservers`"),
                );
            }
        }
    }
}

/// A CNAME stands alone, and never at the apex.
pub(super) fn cnames(view: &View<'_>, findings: &mut Findings) {
    for zone in view.zones.values() {
        for (owner, sets) in &zone.owners {
            let Some(cname) = sets.iter().find(|set| set.kind == RecordType::Cname) else {
                continue;
            };
            let conflict = |message: String| {
                Finding::error(codes::CNAME_CONFLICT, message).at(cname.from.clone())
            };
            if owner == "@" {
                findings.push(
                    conflict("the zone itself cannot be a CNAME".to_owned())
                        .hint("use A and AAAA records; a site with this host gets them by itself"),
                );
                continue;
            }
            if cname.values.len() > 1 {
                findings.push(
                    conflict(format!(
                        "`{owner}` has {} CNAME records",
                        cname.values.len()
                    ))
                    .hint("a name is an alias of exactly one other"),
                );
            }
            if let Some(other) = sets.iter().find(|set| set.kind != RecordType::Cname) {
                findings.push(
                    conflict(format!(
                        "`{owner}` has a CNAME and {} beside it",
                        other.kind
                    ))
                    .related(other.from.clone(), "the other record is defined here")
                    .hint("a CNAME allows no other record at its name; remove one of them"),
                );
            }
        }
    }
}

/// TTLs are of use, and the same within a record set.
pub(super) fn ttls(view: &View<'_>, findings: &mut Findings) {
    for zone in view.zones.values() {
        let written = zone.zone.records.iter().filter_map(|record| record.ttl);
        for ttl in written.chain([zone.zone.ttl]) {
            if ttl.get() == 0 || ttl.get() > WEEK {
                findings.push(
                    Finding::error(
                        codes::TTL,
                        format!("a TTL of {ttl} is outside 1s to 7 days"),
                    )
                    .at(zone.zone.place(&ttl))
                    .hint("a mistake lives on in caches for as long as the TTL says"),
                );
            }
        }
        for parsed in &zone.records {
            let own = parsed.record.ttl.unwrap_or(zone.zone.ttl);
            let Some(set) = zone.set(&parsed.owner, parsed.record.kind.value) else {
                continue;
            };
            if set.ttl != own.value {
                findings.push(
                    Finding::error(
                        codes::TTL,
                        format!("the {} records of `{}` have different TTLs", set.kind, set.name),
                    )
                    .at(zone.zone.place(&parsed.record.name))
                    .related(set.from.clone(), "first defined here")
                    .hint("a record set has one TTL; name servers take the first and ignore the others"),
                );
            }
        }
    }
    for site in view.model.sites.values() {
        if let Some(ttl) = site
            .dns
            .ttl
            .filter(|ttl| ttl.get() == 0 || ttl.get() > WEEK)
        {
            findings.push(
                Finding::error(
                    codes::TTL,
                    format!("a TTL of {ttl} is outside 1s to 7 days"),
                )
                .at(site.place(&ttl))
                .hint("a mistake lives on in caches for as long as the TTL says"),
            );
        }
    }
}
