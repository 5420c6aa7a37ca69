//! Who may merge at GitLab: what the protection of the branch says, by role, by account and by group. Where several
//! protections match the branch, GitLab lets through whom any of them lets through.

use serde::Deserialize;

use super::gitlab::GitLab;
use super::shape::{all, read};
use crate::ports::forge::{Account, ForgeError};

/// What merges into a branch that is not protected takes.
const DEVELOPER: u64 = 30;
/// Whoever cannot be shown the protections is asked for the role that GitLab sets by itself.
const MAINTAINER: u64 = 40;

#[derive(Deserialize)]
struct Member {
    access_level: u64,
}

#[derive(Deserialize)]
struct Protected {
    /// May hold `*`.
    name: String,
    #[serde(default)]
    merge_access_levels: Vec<Allowed>,
}

/// A role, an account or a group. Of a role 0 means nobody.
#[derive(Deserialize)]
struct Allowed {
    access_level: Option<u64>,
    #[serde(default)]
    user_id: Option<u64>,
    #[serde(default)]
    group_id: Option<u64>,
}

impl GitLab {
    pub(super) async fn rights(&self, account: &Account, branch: &str) -> Result<bool, ForgeError> {
        let path = self.at(&format!("members/all/{}", account.id));
        let Some(answer) = self.http.get(&path).await? else {
            return Ok(false);
        };
        let level = read::<Member>(answer.body)?.access_level;
        let protections = match self.listed("protected_branches?per_page=100").await {
            Ok(found) => all::<Protected>(found)?,
            Err(ForgeError::Denied(_)) => return Ok(level >= MAINTAINER),
            Err(error) => return Err(error),
        };
        let matching = protections.into_iter();
        let mut matching = matching.filter(|it| matches(&it.name, branch)).peekable();
        if matching.peek().is_none() {
            return Ok(level >= DEVELOPER);
        }
        for allowed in matching.flat_map(|it| it.merge_access_levels) {
            if self.is_meant(&allowed, account, level).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn is_meant(
        &self,
        allowed: &Allowed,
        account: &Account,
        level: u64,
    ) -> Result<bool, ForgeError> {
        match (allowed.user_id, allowed.group_id, allowed.access_level) {
            (Some(user), ..) => Ok(user == account.id),
            (None, Some(group), _) => {
                let path = format!("/groups/{group}/members/all/{}", account.id);
                match self.http.get(&path).await {
                    Ok(member) => Ok(member.is_some()),
                    Err(ForgeError::Denied(_)) => Ok(false),
                    Err(error) => Err(error),
                }
            }
            (None, None, Some(role)) => Ok(role > 0 && level >= role),
            (None, None, None) => Ok(false),
        }
    }
}

/// As GitLab matches: `*` stands for any text, slashes too.
fn matches(pattern: &str, branch: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| branch.strip_prefix(first)) else {
        return false;
    };
    let Some(last) = parts.next_back() else {
        return rest.is_empty();
    };
    for part in parts {
        let Some(at) = rest.find(part) else {
            return false;
        };
        rest = rest.get(at + part.len()..).unwrap_or_default();
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_star_stands_for_any_text() {
        for pattern in ["main", "*", "ma*", "*in", "m*n", "m*i*", "**", "*main*"] {
            assert!(matches(pattern, "main"), "{pattern}");
        }
        for pattern in ["mai", "main2", "x*", "*x", "m*a*m", "main*n", ""] {
            assert!(!matches(pattern, "main"), "{pattern}");
        }
        assert!(matches("release/*", "release/1/a"));
    }
}
