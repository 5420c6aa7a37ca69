//! A Git server with requests, comments, statuses and permissions that a test can see and change: it speaks the REST
//! interfaces of GitHub, Gitea, Forgejo or GitLab as they are documented, sends their webhooks, and has a real
//! repository behind it that is served by Git's own program. Everything over TLS with an authority of its own.

mod answers;
mod deliver;
mod git;
mod gitlab;
mod hub;
mod server;
mod state;
mod tls;

pub use deliver::{SECRET, Word};
pub use server::{Fake, Flavour};
pub use state::{State, Status, Weather};
