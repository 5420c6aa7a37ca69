//! One client for whichever forge is configured.

use std::path::PathBuf;

use windlass_core::preview::{Flavour, Status};

use super::gitlab::GitLab;
use super::http::{Http, Login};
use super::hub::{self, Hub};
use crate::ports::forge::{
    Account, Comment, ForgeError, ForgeReader, ForgeRequest, ForgeWriter, Found, Hooked, Listed,
    Scopes,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Gitea,
    Forgejo,
    GitHub,
    GitLab,
}

/// Where a project is, and how to be let in.
#[derive(Debug, Clone)]
pub struct Place {
    pub kind: Kind,
    /// `https://git.example.org`
    pub address: String,
    /// `owner/name`
    pub project: String,
    /// It is read for every question.
    pub token: PathBuf,
    /// Further authorities, as PEM.
    pub authorities: Option<Vec<u8>>,
}

/// Cheap to clone.
#[derive(Debug, Clone)]
pub struct AnyForge(Inner);

#[derive(Debug, Clone)]
enum Inner {
    Hub(Hub),
    GitLab(GitLab),
}

impl Kind {
    /// How its comments are counted and read.
    pub fn flavour(self) -> Flavour {
        match self {
            Self::GitHub => Flavour::GitHub,
            Self::GitLab => Flavour::GitLab,
            Self::Gitea => Flavour::Gitea,
            Self::Forgejo => Flavour::Forgejo,
        }
    }
}

impl Place {
    /// Where the interface is, and how it wants the token.
    fn interface(&self) -> (String, Login) {
        let address = &self.address;
        match self.kind {
            Kind::GitHub if address == "https://github.com" => {
                ("https://api.github.com".to_owned(), Login::Bearer)
            }
            Kind::GitHub => (format!("{address}/api/v3"), Login::Bearer),
            Kind::Gitea | Kind::Forgejo => (format!("{address}/api/v1"), Login::Token),
            Kind::GitLab => (format!("{address}/api/v4"), Login::Private),
        }
    }
}

impl AnyForge {
    pub fn new(place: &Place) -> Result<Self, String> {
        let (base, login) = place.interface();
        let authorities = place.authorities.as_deref();
        let http = Http::new(base, login, place.token.clone(), authorities)?;
        let project = place.project.clone();
        let hub = |flavour| {
            Inner::Hub(Hub {
                http: http.clone(),
                project: project.clone(),
                flavour,
            })
        };
        Ok(Self(match place.kind {
            Kind::GitHub => hub(hub::Flavour::GitHub),
            Kind::Gitea => hub(hub::Flavour::Gitea),
            Kind::Forgejo => hub(hub::Flavour::Forgejo),
            Kind::GitLab => Inner::GitLab(GitLab {
                project: project.replace('/', "%2F"),
                http,
            }),
        }))
    }
}

/// Asks whichever it is.
macro_rules! ask {
    ($self:ident.$method:ident($($argument:expr),*)) => {
        match &$self.0 {
            Inner::Hub(forge) => forge.$method($($argument),*).await,
            Inner::GitLab(forge) => forge.$method($($argument),*).await,
        }
    };
}

impl ForgeReader for AnyForge {
    async fn whoami(&self) -> Result<Account, ForgeError> {
        ask!(self.whoami())
    }

    async fn open_requests(&self, branch: &str) -> Result<Vec<Listed>, ForgeError> {
        ask!(self.open_requests(branch))
    }

    async fn merged_requests(&self, branch: &str) -> Result<Vec<ForgeRequest>, ForgeError> {
        ask!(self.merged_requests(branch))
    }

    async fn request(&self, number: u64) -> Found<ForgeRequest> {
        ask!(self.request(number))
    }

    async fn may_merge(&self, account: &Account, branch: &str) -> Result<bool, ForgeError> {
        ask!(self.may_merge(account, branch))
    }

    async fn comments(&self, request: u64) -> Result<Vec<Comment>, ForgeError> {
        ask!(self.comments(request))
    }

    async fn comment(&self, request: u64, id: u64) -> Found<Comment> {
        ask!(self.comment(request, id))
    }

    async fn hooks(&self) -> Result<Vec<Hooked>, ForgeError> {
        ask!(self.hooks())
    }

    async fn scopes(&self) -> Result<Scopes, ForgeError> {
        ask!(self.scopes())
    }
}

impl ForgeWriter for AnyForge {
    async fn write_comment(&self, request: u64, text: &str) -> Result<u64, ForgeError> {
        ask!(self.write_comment(request, text))
    }

    async fn edit_comment(&self, request: u64, id: u64, text: &str) -> Found<()> {
        ask!(self.edit_comment(request, id, text))
    }

    async fn delete_comment(&self, request: u64, id: u64) -> Found<()> {
        ask!(self.delete_comment(request, id))
    }

    async fn set_status(
        &self,
        commit: &str,
        status: &Status,
        link: Option<&str>,
    ) -> Result<(), ForgeError> {
        ask!(self.set_status(commit, status, link))
    }

    async fn set_hook(
        &self,
        existing: Option<u64>,
        url: &str,
        secret: &str,
    ) -> Result<(), ForgeError> {
        ask!(self.set_hook(existing, url, secret))
    }
}
