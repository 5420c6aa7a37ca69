//! Answers to certificate authorities: `GET /.well-known/acme-challenge/<token>` is looked up here. In memory only:
//! what must be answered after a restart stands among the entries of the orders that are under way.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Token → answer. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Challenges(Arc<Mutex<BTreeMap<String, String>>>);

impl Challenges {
    pub fn answer(&self, token: &str) -> Option<String> {
        self.lock().get(token).cloned()
    }

    /// Answers these for as long as the returned value lives.
    #[must_use]
    pub fn give(&self, answers: impl IntoIterator<Item = (String, String)>) -> Given {
        let answers: Vec<(String, String)> = answers.into_iter().collect();
        let tokens = answers.iter().map(|(token, _)| token.clone()).collect();
        self.lock().extend(answers);
        Given {
            challenges: self.clone(),
            tokens,
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Answers that are being given.
#[derive(Debug)]
pub struct Given {
    challenges: Challenges,
    tokens: Vec<String>,
}

impl Drop for Given {
    fn drop(&mut self) {
        let mut all = self.challenges.lock();
        for token in &self.tokens {
            all.remove(token);
        }
    }
}
