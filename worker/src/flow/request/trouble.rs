//! What a forge's refusal means for the event: nothing of it is the request's fault, so it is tried again.

use windlass_core::codes::git as codes;

use crate::flow::trouble::Trouble;
use crate::ports::forge::ForgeError;

/// As the event's trouble.
pub fn of_forge(error: ForgeError) -> Trouble {
    let words = error.to_string();
    match error {
        ForgeError::Denied(_) => {
            let code = codes::FORGE_DENIED;
            tracing::error!(%code, "{words}; replace the token's file, nothing else is needed");
            Trouble::Later(words)
        }
        ForgeError::Away {
            again: Some(again), ..
        } => Trouble::Again(again, words),
        ForgeError::Away { again: None, .. } => Trouble::Later(words),
        ForgeError::Refused(_) => Trouble::Broken(anyhow::Error::new(error)),
    }
}
