//! Names that records point to: named-checkzone accepts a target without its dot, a delegation without glue
//! and a mail server that is an alias.

use super::{Parsed, View, ZoneView};
use crate::codes::definitions as codes;
use crate::finding::{Finding, Findings, Location};
use crate::model::RecordType;
use crate::model::derive::relative;
use crate::model::names::is_under;
use crate::model::rdata::Pointer;
use crate::yaml::At;

/// A relative target with a dot in it is almost always an absolute name without its last dot.
pub(super) fn dots(view: &View<'_>, findings: &mut Findings) {
    for zone in view.zones.values() {
        for Pointing { value, pointer, .. } in pointing(zone) {
            if is_plausible(zone, pointer) {
                continue;
            }
            let written = value.split_ascii_whitespace().last().unwrap_or(value);
            findings.push(
                Finding::error(
                    codes::MISSING_DOT,
                    format!(
                        "`{written}` has no dot at its end: it would become `{}`",
                        pointer.name
                    ),
                )
                .at(zone.zone.place(value))
                .hint(format!("write `{written}.`")),
            );
        }
    }
}

/// Targets that lie in our zones exist, and those of MX, NS and SRV have addresses of their own.
pub(super) fn resolve(view: &View<'_>, findings: &mut Findings) {
    for zone in view.zones.values() {
        for nameserver in &zone.zone.nameservers {
            let place = zone.zone.place(nameserver);
            let target = Target {
                kind: RecordType::Ns,
                owner: "@",
                name: nameserver.as_str(),
                place,
            };
            findings.extend(target.problem(view, zone));
        }
        for Pointing {
            value,
            parsed,
            pointer,
        } in pointing(zone)
        {
            // `dots` tells of the others.
            if is_plausible(zone, pointer) {
                let kind = parsed.record.kind.value;
                let place = zone.zone.place(value);
                let target = Target {
                    kind,
                    owner: &parsed.owner,
                    name: &pointer.name,
                    place,
                };
                findings.extend(target.problem(view, zone));
            }
        }
    }
}

/// A value of a zone's own records that points to a name.
struct Pointing<'z, 'a> {
    value: &'a At<String>,
    parsed: &'z Parsed<'a>,
    pointer: &'z Pointer,
}

fn pointing<'z, 'a>(zone: &'z ZoneView<'a>) -> impl Iterator<Item = Pointing<'z, 'a>> {
    zone.records.iter().flat_map(|parsed| {
        parsed.values.iter().filter_map(move |(value, rdata)| {
            let pointer = rdata.target.as_ref()?;
            Some(Pointing {
                value,
                parsed,
                pointer,
            })
        })
    })
}

/// A relative name with a dot is meant so where the zone has it.
fn is_plausible(zone: &ZoneView<'_>, pointer: &Pointer) -> bool {
    !pointer.dotted
        || zone
            .owners
            .contains_key(&relative(&pointer.name, zone.name))
}

/// A name that a record points to.
struct Target<'a> {
    kind: RecordType,
    owner: &'a str,
    name: &'a str,
    place: Location,
}

impl Target<'_> {
    fn problem(&self, view: &View<'_>, zone: &ZoneView<'_>) -> Option<Finding> {
        let home = self.home(view, zone)?;
        // What stands in the zone for challenges is known to the worker alone.
        if view.model.dynamic_zone().as_ref() == Some(home.name) {
            return None;
        }
        let name = relative(self.name, home.name);
        let cut = home.cut(&name);
        // Below a delegation other servers answer; only that delegation's own servers need addresses here.
        let glue =
            self.kind == RecordType::Ns && std::ptr::eq(home, zone) && cut == Some(self.owner);
        if cut.is_some() && !glue {
            return None;
        }
        let alias = home.set(&name, RecordType::Cname);
        let addressed = home
            .set(&name, RecordType::A)
            .or_else(|| home.set(&name, RecordType::Aaaa))
            .is_some();
        match self.kind {
            RecordType::Cname | RecordType::Ptr => (!home.answers(&name)).then(|| self.dangling()),
            _ if addressed => None,
            _ if alias.is_some() => Some(self.aliased(alias.map(|set| set.from.clone()))),
            RecordType::Ns if blames_the_edge(view, &name) => None,
            RecordType::Ns => Some(self.unaddressed()),
            _ => (!home.answers(&name)).then(|| self.unaddressed()),
        }
    }

    /// The zone of ours that holds the target; glue stands in the zone that delegates.
    fn home<'v, 'a>(&self, view: &'v View<'a>, zone: &'v ZoneView<'a>) -> Option<&'v ZoneView<'a>> {
        let own_cut = || zone.cut(&relative(self.name, zone.name)) == Some(self.owner);
        if self.kind == RecordType::Ns && is_under(self.name, zone.name.as_str()) && own_cut() {
            return Some(zone);
        }
        let mut rest = self.name;
        loop {
            if let Some(home) = view.zones.get(rest) {
                return Some(home);
            }
            rest = rest.split_once('.')?.1;
        }
    }

    fn dangling(&self) -> Finding {
        Finding::warning(
            codes::DANGLING,
            format!("there is no record at {}", self.name),
        )
        .at(self.place.clone())
        .hint("add the name to its zone, or point elsewhere")
    }

    fn aliased(&self, alias: Option<Location>) -> Finding {
        let finding = Finding::error(
            codes::TARGET_IS_CNAME,
            format!(
                "{} records must not point to an alias, which {} is",
                self.kind, self.name
            ),
        )
        .at(self.place.clone())
        .hint("point to the name that has the addresses");
        match alias {
            Some(place) => finding.related(place, "the CNAME is defined here"),
            None => finding,
        }
    }

    fn unaddressed(&self) -> Finding {
        Finding::error(codes::MISSING_ADDRESS, format!("{} has no address record", self.name))
            .at(self.place.clone())
            .hint("add an A or AAAA record for it; a name server called `<node>.<zone>` gets the node's by itself")
    }
}

/// Whether the name is a node's whose missing address the checks of the edge tell of.
fn blames_the_edge(view: &View<'_>, name: &str) -> bool {
    let cluster = &view.model.cluster;
    view.model.nodes.get(name).is_some_and(|node| {
        node.has_role(cluster.edge.role.as_str())
            || !cluster.networks.contains_key(&cluster.edge.network.value)
    })
}

impl ZoneView<'_> {
    /// The delegation that covers a name relative to the zone.
    fn cut(&self, name: &str) -> Option<&str> {
        let mut rest = Some(name);
        while let Some(owner) = rest {
            if owner != "@"
                && let Some((owner, sets)) = self.owners.get_key_value(owner)
                && sets.iter().any(|set| set.kind == RecordType::Ns)
            {
                return Some(owner);
            }
            rest = owner.split_once('.').map(|(_, parent)| parent);
        }
        None
    }

    /// Whether the zone has anything at the name, by itself or by a wildcard above it.
    fn answers(&self, name: &str) -> bool {
        if self.owners.contains_key(name) {
            return true;
        }
        let mut rest = name;
        loop {
            let parent = rest.split_once('.').map(|(_, parent)| parent);
            let wildcard = parent.map_or_else(|| "*".to_owned(), |parent| format!("*.{parent}"));
            if self.owners.contains_key(&wildcard) {
                return true;
            }
            match parent {
                Some(parent) => rest = parent,
                None => return false,
            }
        }
    }
}
