//! Who goes when. Waves come from the policy's `serial`; what it does not name goes one node at a time,
//! because that is the order in which a mistake costs least.

use std::collections::BTreeSet;

use crate::ids::NodeName;
use crate::model::Wave;
use crate::yaml::At;

/// Splits the nodes (in cluster order) into waves. A node that a batch names waits for that batch.
pub(super) fn waves(nodes: &[NodeName], serial: &[At<Wave>]) -> Vec<Vec<NodeName>> {
    let named: BTreeSet<&NodeName> = serial.iter().flat_map(named_in).collect();
    let mut queue: Vec<&NodeName> = nodes.iter().filter(|node| !named.contains(node)).collect();
    let mut gone: BTreeSet<&NodeName> = BTreeSet::new();
    let mut waves: Vec<Vec<NodeName>> = Vec::new();
    for batch in serial {
        let wave: Vec<&NodeName> = match &batch.value {
            Wave::Nodes(_) => nodes
                .iter()
                .filter(|node| named_in(batch).any(|name| name == *node) && !gone.contains(node))
                .collect(),
            Wave::Count(count) => take(&mut queue, *count as usize),
            Wave::Share(percent) => {
                let share = nodes.len() * usize::from(percent.get()) / 100;
                take(&mut queue, share)
            }
        };
        gone.extend(wave.iter().copied());
        if !wave.is_empty() {
            waves.push(wave.into_iter().cloned().collect());
        }
    }
    waves.extend(queue.into_iter().map(|node| vec![node.clone()]));
    waves
}

fn named_in(wave: &At<Wave>) -> impl Iterator<Item = &NodeName> {
    let names: &[At<NodeName>] = match &wave.value {
        Wave::Nodes(names) => names,
        Wave::Count(_) | Wave::Share(_) => &[],
    };
    names.iter().map(|name| &name.value)
}

fn take<'a>(queue: &mut Vec<&'a NodeName>, count: usize) -> Vec<&'a NodeName> {
    let count = count.max(1).min(queue.len());
    queue.drain(..count).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::scalars::Percent;

    fn names(text: &str) -> Vec<NodeName> {
        text.split_whitespace()
            .map(|name| name.parse().unwrap())
            .collect()
    }

    fn listed(text: &str) -> Wave {
        Wave::Nodes(names(text).into_iter().map(At::nowhere).collect())
    }

    fn shown(nodes: &str, serial: &[Wave]) -> String {
        let serial: Vec<At<Wave>> = serial.iter().cloned().map(At::nowhere).collect();
        let waves = waves(&names(nodes), &serial);
        let texts: Vec<String> = waves
            .iter()
            .map(|wave| {
                wave.iter()
                    .map(NodeName::as_str)
                    .collect::<Vec<_>>()
                    .join(" ")
            })
            .collect();
        texts.join(" | ")
    }

    #[test]
    fn counts_percents_and_names_make_waves_and_the_rest_goes_one_by_one() {
        assert_eq!(shown("a b c", &[]), "a | b | c");
        assert_eq!(
            shown("a b c d e", &[Wave::Count(1), Wave::Count(2)]),
            "a | b c | d | e"
        );
        assert_eq!(
            shown(
                "a b c d e",
                &[Wave::Count(1), Wave::Share(Percent::new(40))]
            ),
            "a | b c | d | e"
        );
        assert_eq!(
            shown("a b c", &[Wave::Share(Percent::new(10))]),
            "a | b | c"
        );
        assert_eq!(shown("a b", &[Wave::Count(9)]), "a b");
        assert_eq!(shown("", &[Wave::Count(1)]), "");
    }

    #[test]
    fn a_named_node_waits_for_the_batch_that_names_it() {
        let serial = [Wave::Count(1), listed("b a z")];
        assert_eq!(shown("a b c d", &serial), "c | a b | d");
        let twice = [listed("a"), listed("a b")];
        assert_eq!(shown("a b", &twice), "a | b");
    }
}
