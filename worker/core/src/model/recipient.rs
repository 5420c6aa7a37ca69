//! A recipient of age: a public key that secrets are encrypted for.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `age1…`, of age itself or of one of its plugins. Whether its letters are right, age tells.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Recipient(String);

impl Recipient {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Recipient {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let rest = text.strip_prefix("age1");
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let fits = |rest: &str| (20..=4096).contains(&rest.len()) && rest.chars().all(allowed);
        if rest.is_some_and(fits) {
            return Ok(Self(text));
        }
        // Whoever mixes the two up must not find it in a log.
        Err(
            if text.to_ascii_uppercase().starts_with("AGE-SECRET-KEY-") {
                "this is an identity, which must stay secret: write what `age-keygen -y FILE` prints for it, and make a new one"
                .to_owned()
            } else {
                "a recipient is the public key that `age-keygen` prints: `age1…`".to_owned()
            },
        )
    }
}

impl From<Recipient> for String {
    fn from(recipient: Recipient) -> Self {
        recipient.0
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_are_refused_without_being_quoted() {
        let key = "age1nrn68a6mw03cxws8xp3d94dzyy3szelceslngg62hthqjsnjdqqs6ngdq9";
        assert_eq!(
            Recipient::try_from(key.to_owned()).map(String::from),
            Ok(key.to_owned())
        );
        let identity = "AGE-SECRET-KEY-1QQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQ";
        let refused = Recipient::try_from(identity.to_owned()).unwrap_err();
        assert!(refused.contains("identity") && !refused.contains("QQQ"));
        for wrong in ["", "age1short", "ssh-ed25519 AAAA", &key.to_uppercase()] {
            assert!(Recipient::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
    }
}
