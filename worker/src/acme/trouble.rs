//! What an authority's refusal, or its silence, means for an order.

use instant_acme::{Error, Problem};
use jiff::Timestamp;
use windlass_core::acme::{Failure, Step};

use crate::store::StoreError;

/// Why a step was not carried out.
#[derive(Debug)]
pub(super) enum Trouble {
    Failed {
        failure: Failure,
        why: String,
    },
    /// The authority does not know the account that we have with it.
    NoAccount,
    Store(StoreError),
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Trouble {
    pub(super) fn new(failure: Failure, why: impl Into<String>) -> Self {
        Self::Failed {
            failure,
            why: why.into(),
        }
    }

    /// Whether the order is taken up again where it was left.
    pub(super) fn passes(&self) -> bool {
        match self {
            Self::Failed { failure, .. } => !failure.ends_order(),
            Self::NoAccount => false,
            Self::Store(_) => true,
        }
    }

    pub(super) fn local(why: impl Into<String>) -> Self {
        Self::new(Failure::Local, why)
    }
}

/// What an error of the ACME library means in this step; `again` is when the authority said to come back.
pub(super) fn of(error: Error, step: Step, again: Option<Timestamp>) -> Trouble {
    let problem = match error {
        Error::Api(problem) => problem,
        Error::Crypto | Error::KeyRejected => return Trouble::local(error.to_string()),
        Error::Unsupported(_) => return Trouble::new(Failure::Refused, error.to_string()),
        // A sick authority answers with a page of HTML.
        Error::Json(_) => {
            return Trouble::new(Failure::Unreachable, "the authority's answer is not ACME");
        }
        other => return Trouble::new(Failure::Unreachable, other.to_string()),
    };
    let kind = problem.r#type.as_deref().unwrap_or_default();
    let kind = kind
        .strip_prefix("urn:ietf:params:acme:error:")
        .unwrap_or(kind);
    let failure = match kind {
        "accountDoesNotExist" => return Trouble::NoAccount,
        "rateLimited" => Failure::RateLimited { until: again },
        "badNonce" | "serverInternal" => Failure::Unreachable,
        "orderNotReady" => Failure::OrderLost,
        _ if problem.status.is_some_and(|status| status >= 500) => Failure::Unreachable,
        _ if step == Step::Prove => Failure::Unproven,
        // The order's URL is gone.
        _ if step != Step::Place && problem.status == Some(404) => Failure::OrderLost,
        _ => Failure::Refused,
    };
    Trouble::new(failure, words(&problem))
}

/// A problem document for people, on one line and not without end.
pub(super) fn words(problem: &Problem) -> String {
    let mut words = problem
        .detail
        .clone()
        .unwrap_or_else(|| "no reason is given".to_owned());
    for part in &problem.subproblems {
        words.push_str("; ");
        words.push_str(&part.to_string());
    }
    if let Some(kind) = &problem.r#type {
        let kind = kind
            .strip_prefix("urn:ietf:params:acme:error:")
            .unwrap_or(kind);
        words.push_str(&format!(" ({kind})"));
    }
    let plain = words.chars().map(|c| if c.is_control() { ' ' } else { c });
    plain.take(600).collect()
}
