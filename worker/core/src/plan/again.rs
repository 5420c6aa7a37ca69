//! What was rolled back is not tried again until the tree changes. A renewed certificate is the exception: no commit will
//! mend what kept it from being rolled, and the one that the nodes serve comes to its end. So it is tried again by itself,
//! later each time.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::make::Input;
use super::{FileChange, Turn};
use crate::finding::{Finding, Findings};
use crate::ids::NodeName;
use crate::release::Release;

/// Giving back a certificate costs no connection, so the first tries may follow soon: what was in the way is often brief.
const FIRST: SignedDuration = SignedDuration::from_mins(1);
/// A certificate of six days is renewed with three left.
const LONGEST: SignedDuration = SignedDuration::from_hours(6);
const CERTIFICATE: &[u8] = b"-----BEGIN CERTIFICATE-----";

/// How often a bundle was rolled back, and when last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tried {
    pub times: u32,
    pub last: Timestamp,
}

impl Tried {
    /// When it may be tried again by itself.
    pub fn again(self) -> Timestamp {
        let doublings = self.times.saturating_sub(1).min(16);
        let wait = (FIRST * 2_i32.pow(doublings)).min(LONGEST);
        self.last.checked_add(wait).unwrap_or(Timestamp::MAX)
    }
}

/// What the quarantine has against these turns.
pub(super) fn held(
    input: &Input<'_>,
    turns: &BTreeMap<NodeName, Turn>,
    quarantine: Vec<Finding>,
) -> Findings {
    if quarantine.is_empty() || !are_certificates(input, turns) {
        return quarantine.into_iter().collect();
    }
    match input.tried.map(Tried::again) {
        Some(again) if again <= input.now => Findings::default(),
        Some(again) => {
            let hint = format!(
                "nothing but certificates changes, so it is tried again by itself from {again} on; `windlass retry` does it now"
            );
            let later = quarantine.into_iter();
            later.map(|finding| finding.hint(hint.as_str())).collect()
        }
        None => quarantine.into_iter().collect(),
    }
}

/// Nothing in the repository is the reason, and no other secret. A commit that was rolled out differs from the nodes by
/// what the worker was given or ordered since, whatever else a file's inputs say.
fn are_certificates(input: &Input<'_>, turns: &BTreeMap<NodeName, Turn>) -> bool {
    let is_certificate = |release: Option<&Release>, change: &FileChange| {
        let content = release.and_then(|release| release.contents.get(&change.path));
        content.is_some_and(|bytes| {
            bytes
                .windows(CERTIFICATE.len())
                .any(|own| own == CERTIFICATE)
        })
    };
    let mut certificates = 0;
    for (node, turn) in turns {
        let release = input.bundle.releases.get(node);
        for change in &turn.changes {
            let own = change.secret && is_certificate(release, change);
            certificates += usize::from(own);
            let gone = change.after.is_none();
            let is_commits = !input.settled && !change.because.is_empty();
            if is_commits || (change.secret && !own && !gone) {
                return false;
            }
        }
    }
    certificates > 0
}
