//! What a forge's delivery says may have happened. Nothing of it is believed: it chooses who is woken. Bodies are
//! read by looking for a few values, so that fields that are new, missing or of another type are no mistake.

use serde_json::Value;

/// The project that a delivery is about, as the forge names it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Project {
    /// `owner/name`.
    pub(super) name: String,
    /// Where it can be cloned from or looked at.
    pub(super) urls: Vec<String>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// A ping, or something that does not concern us.
    Nothing,
    /// A ref moved: `refs/heads/main`.
    Push(String),
    Request(Asked),
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) number: u64,
    /// The branches that it is or was against; empty where the delivery does not say.
    pub(super) branches: Vec<String>,
    /// A comment that may be a command.
    pub(super) comment: Option<u64>,
}

/// A text at a JSON pointer.
pub(super) fn text<'a>(body: &'a Value, pointer: &str) -> Option<&'a str> {
    body.pointer(pointer).and_then(Value::as_str)
}

pub(super) fn number(body: &Value, pointer: &str) -> Option<u64> {
    body.pointer(pointer).and_then(Value::as_u64)
}

pub(super) fn project(body: &Value, name: &str, urls: &[&str]) -> Project {
    let urls = urls.iter().filter_map(|pointer| text(body, pointer));
    Project {
        name: text(body, name).unwrap_or_default().to_owned(),
        urls: urls.map(str::to_owned).collect(),
    }
}

pub(super) fn texts(body: &Value, pointers: &[&str]) -> Vec<String> {
    let found = pointers.iter().filter_map(|pointer| text(body, pointer));
    found.map(str::to_owned).collect()
}

/// Whether a comment may hold a command; the worker reads the comment itself.
pub(super) fn is_command(comment: Option<&str>) -> bool {
    comment.is_some_and(|comment| {
        let mut lines = comment.lines();
        lines.any(|line| line.trim_start().starts_with("windlass "))
    })
}

impl Project {
    /// Whether this is the repository that the worker fetches, whichever of its URLs is configured.
    pub(super) fn is_at(&self, repository: &str) -> bool {
        let wanted = plain(repository);
        wanted.is_some() && self.urls.iter().any(|url| plain(url) == wanted)
    }
}

/// Host and path of a URL or of `user@host:path`, without what differs between ways to the same repository.
fn plain(url: &str) -> Option<String> {
    let (host, path) = match url.split_once("://") {
        Some((_, rest)) => rest.split_once('/')?,
        None => url.split_once(':')?,
    };
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    let host = host.split(':').next().unwrap_or(host);
    let path = path.trim_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path);
    Some(format!("{host}/{path}").to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_repository_has_many_urls() {
        let project = Project {
            name: "ops/cluster".to_owned(),
            urls: vec!["https://git.example.org/ops/cluster.git".to_owned()],
        };
        for same in [
            "https://git.example.org/ops/cluster",
            "https://git.example.org:8443/Ops/Cluster.git/",
            "git@git.example.org:ops/cluster.git",
            "ssh://git@git.example.org:2222/ops/cluster.git",
        ] {
            assert!(project.is_at(same), "{same}");
        }
        for other in [
            "https://git.example.org/ops/cluster2.git",
            "https://git.example.com/ops/cluster.git",
            "/srv/git/ops/cluster.git",
            "",
        ] {
            assert!(!project.is_at(other), "{other}");
        }
    }

    #[test]
    fn commands_stand_at_the_beginning_of_a_line() {
        assert!(is_command(Some("Looks fine.\r\n  windlass preview\r\n")));
        assert!(!is_command(Some("I like windlass preview")));
        assert!(!is_command(Some("windlassy")) && !is_command(None));
    }
}
