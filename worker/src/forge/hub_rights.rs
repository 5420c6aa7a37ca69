//! Who may merge at GitHub, Gitea and Forgejo: who may write, less what the branch's protection says. What the token may
//! not read of that is not counted.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::http::Answered;
use super::hub::{Flavour, Hub};
use super::shape::{escaped, read};
use crate::ports::forge::{Account, ForgeError};

#[derive(Deserialize)]
struct Permission {
    permission: String,
}

/// Of GitHub's classic protection.
#[derive(Deserialize)]
struct Restrictions {
    users: Vec<Named>,
    teams: Vec<Team>,
}

#[derive(Deserialize)]
struct Named {
    login: String,
}

#[derive(Deserialize)]
struct Team {
    slug: String,
}

/// An invitation alone is "pending".
#[derive(Deserialize)]
struct Membership {
    state: String,
}

/// Of GitHub's rulesets.
#[derive(Deserialize)]
struct Rule {
    r#type: String,
}

/// Gitea's and Forgejo's.
#[derive(Deserialize)]
struct Branch {
    #[serde(default)]
    effective_branch_protection_name: String,
}

#[derive(Deserialize)]
struct Protection {
    #[serde(default)]
    enable_merge_whitelist: bool,
    #[serde(default)]
    merge_whitelist_usernames: Option<Vec<String>>,
    #[serde(default)]
    merge_whitelist_teams: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct OwnTeam {
    id: u64,
    name: String,
}

impl Hub {
    pub(super) async fn rights(&self, account: &Account, branch: &str) -> Result<bool, ForgeError> {
        let path = self.at(&format!("collaborators/{}/permission", account.login));
        let Some(permission) = self.ask::<Permission>(&path).await? else {
            return Ok(false);
        };
        let permission = permission.permission;
        match permission.as_str() {
            "write" | "maintain" | "admin" | "owner" => {}
            _ => return Ok(false),
        }
        match self.flavour {
            // Administrators may always push there.
            Flavour::GitHub if permission == "admin" => Ok(true),
            Flavour::GitHub => self.is_let_through(account, branch).await,
            Flavour::Gitea | Flavour::Forgejo => self.is_listed(account, branch).await,
        }
    }

    async fn is_let_through(&self, account: &Account, branch: &str) -> Result<bool, ForgeError> {
        let branch = escaped(branch);
        let rules = self.at(&format!("rules/branches/{branch}"));
        let rules: Vec<Rule> = self.seen(&rules).await?.unwrap_or_default();
        if rules.iter().any(|rule| rule.r#type == "update") {
            // Only those who bypass the rule, and who they are is told to nobody but administrators.
            return Ok(false);
        }
        let path = self.at(&format!("branches/{branch}/protection/restrictions"));
        let Some(allowed) = self.seen::<Restrictions>(&path).await? else {
            return Ok(true);
        };
        let login = &account.login;
        if allowed.users.iter().any(|user| same(&user.login, login)) {
            return Ok(true);
        }
        for team in &allowed.teams {
            let path = format!(
                "/orgs/{}/teams/{}/memberships/{login}",
                self.owner(),
                team.slug
            );
            let member = self.seen::<Membership>(&path).await?;
            if member.is_some_and(|member| member.state == "active") {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn is_listed(&self, account: &Account, branch: &str) -> Result<bool, ForgeError> {
        let path = self.at(&format!("branches/{}", escaped(branch)));
        let rule = self.seen::<Branch>(&path).await?;
        let rule = rule.map(|branch| branch.effective_branch_protection_name);
        let Some(rule) = rule.filter(|rule| !rule.is_empty()) else {
            return Ok(true);
        };
        let path = self.at(&format!("branch_protections/{}", escaped(&rule)));
        let Some(protection) = self.seen::<Protection>(&path).await? else {
            return Ok(true);
        };
        if !protection.enable_merge_whitelist {
            return Ok(true);
        }
        let login = &account.login;
        let users = protection.merge_whitelist_usernames.unwrap_or_default();
        if users.iter().any(|user| same(user, login)) {
            return Ok(true);
        }
        let teams = protection.merge_whitelist_teams.unwrap_or_default();
        if teams.is_empty() {
            return Ok(false);
        }
        let path = format!("/orgs/{}/teams?limit=50", self.owner());
        let known = self.http.list(&path).await?.unwrap_or_default();
        for team in known {
            let team: OwnTeam = read(team)?;
            if teams.contains(&team.name) {
                let path = format!("/teams/{}/members/{login}", team.id);
                if self.seen::<serde_json::Value>(&path).await?.is_some() {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    fn owner(&self) -> &str {
        self.project.split('/').next().unwrap_or_default()
    }

    async fn ask<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, ForgeError> {
        of(self.http.get(path).await)
    }

    /// `None` also where the token may not read it.
    async fn seen<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, ForgeError> {
        match self.http.get(path).await {
            Err(ForgeError::Denied(_)) => Ok(None),
            answered => of(answered),
        }
    }
}

fn of<T: DeserializeOwned>(answered: Answered) -> Result<Option<T>, ForgeError> {
    answered?.map(|answer| read(answer.body)).transpose()
}

fn same(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}
