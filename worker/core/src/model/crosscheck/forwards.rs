//! Where forwards lead.

use super::{View, unknown};
use crate::codes::definitions as codes;
use crate::finding::{Finding, Findings};
use crate::model::Target;

/// A forward leads either to a node in a network or to an address.
pub(super) fn targets_are_whole(view: &View<'_>, findings: &mut Findings) {
    for forward in view.model.forwards.values() {
        let Target {
            node,
            network,
            address,
            port,
        } = &forward.to;
        let wrong = |message: String, hint: &str| {
            Finding::error(codes::FORWARD_TARGET, message)
                .at(forward.place(port))
                .hint(hint)
        };
        match (node, network, address) {
            (Some(node), Some(network), None) => {
                let networks = &view.model.cluster.networks;
                if !networks.contains_key(&network.value) {
                    let known = networks.keys().map(|name| name.as_str());
                    findings.push(
                        unknown(codes::UNKNOWN_NETWORK, "network", network.as_str(), known)
                            .at(forward.place(network)),
                    );
                } else if let Some(target) = view.model.nodes.get(&node.value)
                    && !target.addresses.contains_key(&network.value)
                {
                    findings.push(
                        Finding::error(
                            codes::FORWARD_TARGET,
                            format!("the node `{node}` has no address in the network `{network}`"),
                        )
                        .at(forward.place(node))
                        .related(target.whole(), "the node is defined here")
                        .hint("choose a network that the node is in"),
                    );
                }
            }
            (None, None, Some(_)) => {}
            (Some(_), None, None) => findings.push(wrong(
                "the forward does not say in which network it reaches the node".to_owned(),
                "add `network:`",
            )),
            _ => findings.push(wrong(
                "a forward leads either to a node in a network or to an address".to_owned(),
                "write `to: { node: …, network: …, port: … }` or `to: { address: …, port: … }`",
            )),
        }
    }
}
