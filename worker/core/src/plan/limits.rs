//! How much one roll may take away. A slip of the editor that empties a zone is valid YAML and passes every
//! check; the share that would vanish gives it away. Small clusters lose large shares by honest edits, so
//! a limit counts only from `FROM` existing things up.

use super::make::Input;
use crate::codes::plan::{TOO_MUCH, UNMEASURED};
use crate::finding::{Finding, Findings};
use crate::model::scalars::Percent;
use crate::observed::Seen;

/// The same floor as octoDNS has: below it a share says little.
const FROM: usize = 10;

pub(super) fn limits(input: &Input<'_>) -> Findings {
    let limits = &input.outline.policy.limits;
    let mut findings = Findings::default();
    let (removed, existing) = files_removed(input);
    findings.extend(over(limits.files, "files", removed, existing));
    match input.base {
        Some(base) => {
            let gone = base
                .dns_records
                .difference(&input.outline.inventory.dns_records)
                .count();
            let records = base.dns_records.len();
            findings.extend(over(limits.dns_records, "DNS records", gone, records));
            let gone = base
                .backends
                .difference(&input.outline.inventory.backends)
                .count();
            findings.extend(over(limits.backends, "backends", gone, base.backends.len()));
        }
        None if base_is_missed(input) => {
            let message = "the commit that the nodes hold could not be read, so removed DNS records and backends were not counted";
            findings.push(Finding::warning(UNMEASURED, message));
        }
        None => {}
    }
    findings
}

fn base_is_missed(input: &Input<'_>) -> bool {
    super::make::base_commit(input.observed).is_some()
}

fn files_removed(input: &Input<'_>) -> (usize, usize) {
    let mut removed = 0;
    let mut existing = 0;
    for (node, release) in &input.bundle.releases {
        let Some(Seen::State(state)) = input.observed.nodes.get(node) else {
            continue;
        };
        let Some(base) = &state.current else {
            continue;
        };
        existing += base.files.len();
        removed += base
            .files
            .keys()
            .filter(|path| !release.meta.files.contains_key(*path))
            .count();
    }
    (removed, existing)
}

fn over(limit: Percent, what: &str, removed: usize, existing: usize) -> Option<Finding> {
    let limit = usize::from(limit.get());
    let too_much = existing >= FROM && removed * 100 > existing * limit;
    too_much.then(|| {
        let share = removed * 100 / existing;
        let message = format!(
            "the roll would remove {removed} of {existing} {what} ({share} %), more than the {limit} % that the policy allows"
        );
        Finding::error(TOO_MUCH, message)
            .hint("if this is meant, raise the limit under `policy.limits` in cluster.yaml in the same commit")
    })
}
