//! What one worker tells the others, in the form of a CloudEvent. Nobody works on it: each writes it down.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use windlass_core::ids::ClusterName;

use super::event::SpecVersion;
use crate::store::told::Told;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ToldEvent {
    pub specversion: SpecVersion,
    pub id: String,
    /// `/workers/` and the name of who says so.
    pub source: String,
    /// The cluster; absent where all are meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<ClusterName>,
    #[schemars(with = "String")]
    pub time: Timestamp,
    #[serde(flatten)]
    pub told: Told,
}

impl ToldEvent {
    pub fn new(worker: &str, subject: Option<ClusterName>, told: Told) -> Self {
        Self {
            specversion: SpecVersion::V1,
            id: Uuid::new_v4().to_string(),
            source: format!("/workers/{worker}"),
            subject,
            time: Timestamp::now(),
            told,
        }
    }

    pub fn is_of(&self, worker: &str) -> bool {
        self.source.strip_prefix("/workers/") == Some(worker)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_has_the_shape_of_a_cloud_event_and_unknown_types_are_refused() {
        let mut asked = ToldEvent::new("w1", None, Told::Asked);
        (asked.id, asked.time) = ("7".to_owned(), Timestamp::UNIX_EPOCH);
        let text = serde_json::to_string(&asked).unwrap();
        assert_eq!(
            text,
            r#"{"specversion":"1.0","id":"7","source":"/workers/w1","time":"1970-01-01T00:00:00Z","type":"windlass.told.asked.v1"}"#
        );
        let read: ToldEvent = serde_json::from_str(&text).unwrap();
        assert!(read == asked && read.is_of("w1") && !read.is_of("w2"));
        let newer = text.replace("asked.v1", "asked.v9");
        assert!(serde_json::from_str::<ToldEvent>(&newer).is_err());
    }
}
