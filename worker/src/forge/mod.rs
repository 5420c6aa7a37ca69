//! Clients of the forges' own interfaces: GitHub, Gitea and Forgejo, GitLab. What they have in common (the token,
//! patience, pages, what was asked before) is in `http`.

mod any;
mod gitlab;
mod gitlab_rights;
mod http;
mod hub;
mod hub_rights;
mod shape;

pub use any::{AnyForge, Kind, Place};
