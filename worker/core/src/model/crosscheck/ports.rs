//! Two things cannot listen on the same port of a node: haproxy's checker accepts it, the reload fails.

use std::collections::BTreeMap;

use super::View;
use crate::codes::definitions as codes;
use crate::finding::{Finding, Findings, Location};
use crate::ids::NodeName;
use crate::model::{Model, Placement};

type Taken<'a> = BTreeMap<(&'a NodeName, u16), (String, Option<Location>)>;

/// Sites, forwards and the well-known services keep out of each other's way.
pub(super) fn collisions(view: &View<'_>, findings: &mut Findings) {
    let model = view.model;
    let mut taken = well_known(model);
    let sites = model.sites.iter().map(|(name, site)| {
        (
            format!("the site `{name}`"),
            site.place(&site.port),
            site.port.get(),
            &site.on,
        )
    });
    let forwards = model.forwards.iter().map(|(name, forward)| {
        (
            format!("the forward `{name}`"),
            forward.place(&forward.listen),
            forward.listen.get(),
            &forward.on,
        )
    });
    for (who, place, port, on) in sites.chain(forwards) {
        let Some((node, (other, first))) = claim(model, &mut taken, &who, &place, port, on) else {
            continue;
        };
        let finding = Finding::error(
            codes::PORT_COLLISION,
            format!("port {port} of `{node}` is taken by {other}"),
        )
        .at(place)
        .hint("choose a port that nothing else uses on these nodes");
        findings.push(match first {
            Some(first) => finding.related(first, "taken here"),
            None => finding,
        });
    }
}

/// Takes the port on every node of the placement; the first node where it was taken already, and by whom.
fn claim<'a>(
    model: &'a Model,
    taken: &mut Taken<'a>,
    who: &str,
    place: &Location,
    port: u16,
    on: &'a Placement,
) -> Option<(&'a NodeName, (String, Option<Location>))> {
    let mut collision = None;
    for node in model.nodes_of(on) {
        match taken.get(&(node, port)) {
            Some(other) => {
                collision.get_or_insert_with(|| (node, other.clone()));
            }
            None => {
                taken.insert((node, port), (who.to_owned(), Some(place.clone())));
            }
        }
    }
    collision
}

fn well_known(model: &Model) -> Taken<'_> {
    let mut taken = Taken::new();
    for (name, node) in &model.nodes {
        taken.insert((name, 22), ("sshd".to_owned(), None));
        if node.ssh.network.is_some() {
            taken.insert(
                (name, node.ssh.port.get()),
                ("sshd".to_owned(), Some(node.place(&node.ssh.port))),
            );
        }
        if node.has_role(model.cluster.edge.role.as_str()) {
            taken.insert((name, 80), ("the edge (http)".to_owned(), None));
            taken.insert((name, 443), ("the edge (https)".to_owned(), None));
        }
    }
    for (zone_name, zone) in &model.zones {
        for placement in [&zone.primary, &zone.secondaries] {
            for node in model.nodes_of(placement) {
                taken.insert(
                    (node, 53),
                    (format!("the name server of {zone_name}"), None),
                );
            }
        }
    }
    taken
}
