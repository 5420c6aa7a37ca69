//! Zones as a whole: who serves them, and the timers of their SOA.

use super::View;
use crate::codes::definitions as codes;
use crate::finding::{Finding, Findings};
use crate::model::zone::soa_contact;

/// One primary, at least one secondary and one name server each.
pub(super) fn servers(view: &View<'_>, findings: &mut Findings) {
    for (name, zone) in &view.model.zones {
        let wrong = |message: String, hint: &str| {
            Finding::error(codes::ZONE_SERVERS, message)
                .at(zone.whole())
                .hint(hint)
        };
        let primaries = view.model.nodes_of(&zone.primary);
        if primaries.len() != 1 {
            findings.push(wrong(
                format!("the zone {name} has {} primaries", primaries.len()),
                "exactly one node holds the zone file; narrow `primary` to it",
            ));
        }
        if view.model.nodes_of(&zone.secondaries).is_empty() {
            findings.push(wrong(
                format!("the zone {name} has no secondaries"),
                "the primary is hidden: name the nodes that answer in `secondaries`",
            ));
        }
        if zone.nameservers.is_empty() {
            findings.push(wrong(
                format!("the zone {name} has no name servers"),
                "list the names for its NS records in `nameservers`",
            ));
        }
    }
}

/// The SOA's timers let secondaries notice changes and survive an outage; its contact is a mail address.
pub(super) fn timers(view: &View<'_>, findings: &mut Findings) {
    const DAY: u32 = 86400;
    for zone in view.model.zones.values() {
        let (refresh, retry, expire) = (zone.refresh.get(), zone.retry.get(), zone.expire.get());
        let timers = [
            (
                refresh == 0 || retry == 0,
                &zone.refresh,
                "`refresh` and `retry` must be longer than nothing",
            ),
            (
                retry >= refresh,
                &zone.retry,
                "`retry` must be shorter than `refresh`",
            ),
            (
                u64::from(expire) <= u64::from(refresh) + u64::from(retry),
                &zone.expire,
                "`expire` must be longer than `refresh` and `retry` together",
            ),
            (
                zone.minimum.get() > DAY,
                &zone.minimum,
                "`minimum` must not be longer than a day",
            ),
        ];
        for (broken, timer, message) in timers {
            if broken {
                findings.push(
                    Finding::error(codes::SOA, message)
                        .at(zone.place(timer))
                        .hint("the defaults are good: 1h, 15m, 14 days, 5m"),
                );
            }
        }
        if soa_contact(&zone.contact).is_none() {
            findings.push(
                Finding::error(codes::SOA, "the contact is no mail address")
                    .at(zone.place(&zone.contact))
                    .hint("write `hostmaster@example.org`"),
            );
        }
    }
}
