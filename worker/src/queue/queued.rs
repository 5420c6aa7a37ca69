//! Events as people see them in a list, those included that this version of Windlass cannot read: what nobody can
//! see nobody can mend.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::Event;

/// What is shown of a body that cannot be read.
const MAX_BODY: usize = 4000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum QueueState {
    Ready,
    Leased,
    /// With the broker; which worker has it, and whether it is done, is not known here.
    Sent,
    Done,
    /// Given up; waits for a person.
    Dead,
}

/// An event as people see it in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Queued {
    pub event: Content,
    pub state: QueueState,
    pub attempts: u32,
    /// When it may be taken next.
    #[schemars(with = "String")]
    pub due: Timestamp,
    /// Why it was put back or given up.
    pub why: String,
}

impl Queued {
    /// What `show`, `replay` and `drop` take.
    pub fn id(&self) -> &str {
        match &self.event {
            Content::Event(event) => &event.id,
            Content::Unreadable(unreadable) => &unreadable.id,
        }
    }

    pub fn readable(&self) -> Option<&Event> {
        match &self.event {
            Content::Event(event) => Some(event),
            Content::Unreadable(_) => None,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Content {
    Event(Event),
    Unreadable(Unreadable),
}

/// What can be told of something that is no event of this version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Unreadable {
    /// Its own; one made from its body where it has none.
    pub id: String,
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// The cluster.
    pub subject: Option<String>,
    /// Where it waits.
    pub queue: String,
    /// As it came, or the beginning of that.
    pub body: String,
}

impl Unreadable {
    pub(super) fn of(id: String, body: &[u8], queue: &str) -> Self {
        let value: Value = serde_json::from_slice(body).unwrap_or_default();
        let body = String::from_utf8_lossy(body);
        Self {
            id,
            kind: named(&value, "type"),
            subject: named(&value, "subject"),
            queue: queue.to_owned(),
            body: body.chars().take(MAX_BODY).collect(),
        }
    }
}

/// A text that can be shown on a terminal and typed again.
pub(super) fn named(body: &Value, name: &str) -> Option<String> {
    let text = body.get(name)?.as_str()?;
    is_plain(text).then(|| text.to_owned())
}

pub(super) fn is_plain(text: &str) -> bool {
    !text.is_empty() && !text.chars().any(char::is_control)
}

/// The same for the same body.
pub(super) fn made_up_id(body: &[u8]) -> String {
    let digest = Sha256::digest(body);
    let first = digest.iter().take(8);
    let number = first.fold(0_u64, |number, byte| (number << 8) | u64::from(*byte));
    format!("unnamed-{number:016x}")
}

/// Which of the dead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chosen {
    All,
    These(Vec<String>),
}

impl Chosen {
    pub fn one(id: &str) -> Self {
        Self::These(vec![id.to_owned()])
    }
}

/// What became of those that were chosen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Answered {
    /// Their ids.
    pub done: Vec<String>,
    /// Those that stay where they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<Left>,
}

/// One that could not be given out once more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Left {
    pub id: String,
    pub why: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_is_told_as_far_as_it_goes() {
        let newer = br#"{"id": "7", "type": "windlass.moon.v9", "subject": "a\u001b[2J"}"#;
        let told = Unreadable::of("7".to_owned(), newer, "dead");
        assert_eq!(told.kind.as_deref(), Some("windlass.moon.v9"));
        assert_eq!(told.subject, None, "it would clear the screen");
        let shown = serde_json::to_string(&Content::Unreadable(told)).unwrap();
        let read: Content = serde_json::from_str(&shown).unwrap();
        assert!(matches!(read, Content::Unreadable(_)), "{read:?}");
        assert_eq!(made_up_id(b"x"), made_up_id(b"x"));
        assert_ne!(made_up_id(b"x"), made_up_id(b"y"));
    }
}
