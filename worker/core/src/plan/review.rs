//! What people said of the requests that a commit brings: what they reviewed, what they hold, what they released.

use crate::codes::plan as codes;
use crate::finding::{Finding, Findings};
use crate::ids::Digest;
use crate::model::OnDivergence;

/// A request whose merge the nodes do not hold yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merge {
    pub request: u64,
    /// What its comment showed last; absent where it was not looked at to the end.
    pub reviewed: Option<Digest>,
    /// Who holds it.
    pub held: Option<String>,
}

/// All that was said of one commit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    pub merges: Vec<Merge>,
    /// What someone who may merge released, whatever was reviewed.
    pub released: Option<Digest>,
}

impl Said {
    /// What is to be rolled was shown to whoever merged. What was pushed past all requests is not asked about.
    pub fn is_reviewed(&self, reviewed: Digest) -> bool {
        let mut merges = self.merges.iter();
        self.merges.is_empty() || merges.any(|merge| merge.reviewed == Some(reviewed))
    }

    /// What is against rolling it.
    pub fn findings(&self, reviewed: Digest, policy: OnDivergence) -> Findings {
        let mut findings = Findings::default();
        for merge in &self.merges {
            if let Some(who) = &merge.held {
                let message = format!("request {} is held by {who}", merge.request);
                let hint = "type `windlass release` in the request when it may be rolled";
                findings.push(Finding::error(codes::HELD, message).hint(hint));
            }
        }
        if self.is_reviewed(reviewed) || self.released == Some(reviewed) {
            return findings;
        }
        let numbers: Vec<String> = self
            .merges
            .iter()
            .map(|merge| merge.request.to_string())
            .collect();
        let message = format!(
            "merging request {} rolls something else than was reviewed",
            numbers.join(", ")
        );
        findings.push(match policy {
            OnDivergence::Roll => Finding::warning(codes::DIVERGED, message),
            OnDivergence::Wait => Finding::error(codes::DIVERGED, message)
                .hint("read the new plan in the request, and type `windlass release` there"),
        });
        findings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merge(request: u64, reviewed: Option<&[u8]>) -> Merge {
        Merge {
            request,
            reviewed: reviewed.map(Digest::of),
            held: None,
        }
    }

    fn codes(said: &Said, policy: OnDivergence) -> Vec<(&'static str, bool)> {
        let findings = said.findings(Digest::of(b"new"), policy);
        let errors = |finding: &Finding| finding.severity == crate::finding::Severity::Error;
        let each = findings.iter();
        each.map(|finding| (finding.code.as_str(), errors(finding)))
            .collect()
    }

    #[test]
    fn a_push_past_all_requests_is_not_asked_about() {
        assert!(codes(&Said::default(), OnDivergence::Wait).is_empty());
    }

    #[test]
    fn one_review_of_what_all_merges_come_to_is_enough() {
        let merges = vec![merge(1, Some(b"old")), merge(2, Some(b"new"))];
        let said = Said {
            merges,
            released: None,
        };
        assert!(codes(&said, OnDivergence::Wait).is_empty());
    }

    #[test]
    fn what_was_not_reviewed_waits_or_is_told_as_the_policy_says() {
        for reviewed in [Some(b"old".as_slice()), None] {
            let mut said = Said {
                merges: vec![merge(1, reviewed)],
                released: Some(Digest::of(b"old")),
            };
            assert_eq!(codes(&said, OnDivergence::Wait), [("WL420", true)]);
            assert_eq!(codes(&said, OnDivergence::Roll), [("WL420", false)]);
            said.released = Some(Digest::of(b"new"));
            assert!(codes(&said, OnDivergence::Wait).is_empty());
        }
    }

    #[test]
    fn a_merge_is_held_although_it_was_reviewed_and_although_it_was_released() {
        let held = Merge {
            held: Some("alice".to_owned()),
            ..merge(1, Some(b"new"))
        };
        let said = Said {
            merges: vec![held],
            released: Some(Digest::of(b"new")),
        };
        assert_eq!(codes(&said, OnDivergence::Roll), [("WL419", true)]);
    }
}
