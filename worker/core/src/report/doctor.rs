//! What `windlass doctor` looked at.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Examined {
    pub what: String,
    pub ok: bool,
    /// What was seen, and where it is not fine what would mend it.
    pub said: String,
}
