//! Who goes when. Waves come from the policy's `serial`; what it does not name goes one node at a time,
//! because that is the order in which a mistake costs least.

use std::collections::BTreeSet;

use super::policy::Batch;
use crate::ids::NodeName;

/// Splits the nodes (in cluster order) into waves. A node that a batch names waits for that batch.
pub(super) fn waves(nodes: &[NodeName], serial: &[Batch]) -> Vec<Vec<NodeName>> {
    let named: BTreeSet<&NodeName> = serial.iter().flat_map(named_in).collect();
    let mut queue: Vec<&NodeName> = nodes.iter().filter(|node| !named.contains(node)).collect();
    let mut gone: BTreeSet<&NodeName> = BTreeSet::new();
    let mut waves: Vec<Vec<NodeName>> = Vec::new();
    for batch in serial {
        let wave: Vec<&NodeName> = match batch {
            Batch::Nodes(names) => nodes
                .iter()
                .filter(|node| names.contains(node) && !gone.contains(node))
                .collect(),
            Batch::Count(count) => take(&mut queue, *count as usize),
            Batch::Percent(percent) => {
                let share = nodes.len() * (*percent).min(100) as usize / 100;
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

fn named_in(batch: &Batch) -> &[NodeName] {
    match batch {
        Batch::Nodes(names) => names,
        Batch::Count(_) | Batch::Percent(_) => &[],
    }
}

fn take<'a>(queue: &mut Vec<&'a NodeName>, count: usize) -> Vec<&'a NodeName> {
    let count = count.max(1).min(queue.len());
    queue.drain(..count).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<NodeName> {
        text.split_whitespace()
            .map(|name| name.parse().unwrap())
            .collect()
    }

    fn shown(nodes: &str, serial: &[Batch]) -> String {
        let waves = waves(&names(nodes), serial);
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
            shown("a b c d e", &[Batch::Count(1), Batch::Count(2)]),
            "a | b c | d | e"
        );
        assert_eq!(
            shown("a b c d e", &[Batch::Count(1), Batch::Percent(40)]),
            "a | b c | d | e"
        );
        assert_eq!(shown("a b c", &[Batch::Percent(10)]), "a | b | c");
        assert_eq!(shown("a b", &[Batch::Count(9)]), "a b");
        assert_eq!(shown("", &[Batch::Count(1)]), "");
    }

    #[test]
    fn a_named_node_waits_for_the_batch_that_names_it() {
        let serial = [Batch::Count(1), Batch::Nodes(names("b a z"))];
        assert_eq!(shown("a b c d", &serial), "c | a b | d");
        let twice = [Batch::Nodes(names("a")), Batch::Nodes(names("a b"))];
        assert_eq!(shown("a b", &twice), "a | b");
    }
}
