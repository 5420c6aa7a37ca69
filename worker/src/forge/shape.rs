//! Reads an answer into what we know of its shape. Fields that are new are left alone.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::ports::forge::{Account, ForgeError};

/// GitLab calls the login `username`. Gitea and Forgejo number accounts that are nobody's below zero: those that are gone, and
/// that of their Actions.
#[derive(Debug, Deserialize)]
pub(super) struct User {
    id: i64,
    #[serde(alias = "username")]
    login: String,
}

impl From<User> for Account {
    fn from(user: User) -> Self {
        Self {
            id: user.id.cast_unsigned(),
            login: user.login,
        }
    }
}

/// GitHub says nothing of an account that is gone; people are shown this login. Nobody has the number.
pub(super) fn account(user: Option<User>) -> Account {
    user.map_or_else(
        || Account {
            id: 0,
            login: "ghost".to_owned(),
        },
        Account::from,
    )
}

pub(super) fn read<T: DeserializeOwned>(body: Value) -> Result<T, ForgeError> {
    serde_json::from_value(body)
        .map_err(|error| ForgeError::Refused(format!("its answer is not as expected: {error}")))
}

pub(super) fn all<T: DeserializeOwned>(items: Vec<Value>) -> Result<Vec<T>, ForgeError> {
    items.into_iter().map(read).collect()
}

/// As part of a path.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped += &format!("%{byte:02X}");
        }
    }
    escaped
}

/// The project itself is not there, which for a token is the same as not being allowed to see it.
pub(super) fn unseen(what: &str) -> ForgeError {
    ForgeError::Denied(format!("{what} is not there, or the token may not see it"))
}
