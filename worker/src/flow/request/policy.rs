//! Who gets previews without being asked.

use super::trouble::of_forge;
use crate::flow::trouble::Trouble;
use crate::ports::forge::{ForgeReader, ForgeRequest};
use crate::store::requests::KnownRequest;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// Those who may merge.
    Members,
    Everyone,
    Nobody,
}

#[derive(Debug, Clone)]
pub struct Policy {
    pub from: Who,
    /// Further authors, by their login.
    pub authors: Vec<String>,
}

impl Policy {
    /// `None`: it is previewed; else why not.
    pub(super) async fn withholds<F: ForgeReader>(
        &self,
        forge: &F,
        request: &ForgeRequest,
        known: &KnownRequest,
    ) -> Result<Option<String>, Trouble> {
        // Someone saw this head, and asked. What was pushed since then nobody saw.
        if known.wanted.as_deref() == Some(&request.head) {
            return Ok(None);
        }
        let login = &request.author.login;
        let named = |author: &String| author.eq_ignore_ascii_case(login);
        if self.from == Who::Everyone || self.authors.iter().any(named) {
            return Ok(None);
        }
        if self.from == Who::Members {
            let may = forge.may_merge(&request.author, &request.branch).await;
            if may.map_err(of_forge)? {
                return Ok(None);
            }
        }
        let why = "its author gets no previews without being asked for".to_owned();
        Ok(Some(why))
    }
}
