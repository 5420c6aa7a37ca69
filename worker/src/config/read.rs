//! Reads `worker.yaml`.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use windlass_core::finding::Findings;
use windlass_core::yaml;

use super::paths::Bases;
use super::{Config, check};

/// No configuration is larger; a mistaken path to a device or image must not fill the memory.
const MAX_BYTES: u64 = 1024 * 1024;

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read the configuration {path}: {why}")]
    Unreadable { path: String, why: String },
    #[error("{}", in_words(.0))]
    Wrong(Findings),
}

/// Reads and checks the configuration. `credentials` is systemd's credentials directory, where there is one.
pub fn read(path: &Path, credentials: Option<&Path>) -> Result<Config, ConfigError> {
    let unreadable = |why: String| ConfigError::Unreadable {
        path: path.display().to_string(),
        why,
    };
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|error| unreadable(error.to_string()))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(unreadable("it has more than 1 MiB".to_owned()));
    }
    let file = path.display().to_string();
    let mut config: Config = yaml::parse(&file, &bytes).map_err(ConfigError::Wrong)?;
    let findings = check::findings(&config, &file);
    if findings.has_errors() {
        return Err(ConfigError::Wrong(findings));
    }
    let absolute = path.canonicalize().map_err(|e| unreadable(e.to_string()))?;
    let folder = absolute
        .parent()
        .map_or_else(PathBuf::new, Path::to_path_buf);
    let bases = Bases {
        folder: &folder,
        credentials,
    };
    bases.resolve(&mut config).map_err(unreadable)?;
    Ok(config)
}

fn in_words(findings: &Findings) -> String {
    let mut words = String::new();
    for finding in findings {
        let place = finding.at.as_ref().map_or_else(String::new, |at| {
            format!("{}:{}:{}: ", at.file, at.line, at.column)
        });
        // Writing to a String cannot fail.
        let _ = writeln!(words, "{place}{} [{}]", finding.message, finding.code);
        if let Some(hint) = &finding.hint {
            let _ = writeln!(words, "  {hint}");
        }
    }
    words.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "\
state: state
listen: 127.0.0.1:8320
hook: { secret_files: [$CREDENTIALS_DIRECTORY/hook, /etc/windlass/old-hook] }
clusters:
  - name: example
    repository: { url: https://git.example.org/cluster.git, token_file: token }
  - name: home
    poll: 5s
    repository:
      url: git@git.example.org:home.git
      branch: trunk
      key_file: $CREDENTIALS_DIRECTORY/key
      host_keys: [ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA]
";

    fn parsed(text: &str) -> Result<Config, ConfigError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().canonicalize().unwrap().join("worker.yaml");
        std::fs::write(&path, text).unwrap();
        read(&path, Some(Path::new("/run/credentials/w")))
    }

    #[test]
    fn a_good_file_is_read_with_its_defaults() {
        let config = parsed(GOOD).unwrap();
        assert!(config.state.is_absolute() && config.state.ends_with("state"));
        let hook = config.hook.unwrap();
        assert_eq!(hook.secret_files[0], Path::new("/run/credentials/w/hook"));
        assert_eq!(hook.secret_files[1], Path::new("/etc/windlass/old-hook"));
        assert_eq!(config.sweep.get(), 600);
        let [example, home] = &config.clusters[..] else {
            panic!("two clusters")
        };
        assert_eq!(example.repository.branch, "main");
        assert_eq!((example.poll.get(), home.poll.get()), (60, 5));
        let key = home.repository.key_file.as_deref();
        assert_eq!(key, Some(Path::new("/run/credentials/w/key")));
    }

    #[test]
    fn the_file_for_the_container_is_good_as_it_is() {
        let config = parsed(include_str!("../../../docker/worker.yaml")).unwrap();
        assert_eq!(config.queue.value, "amqp://windlass@rabbitmq/windlass");
        assert!(config.broker.password_file.is_some());
    }

    #[test]
    fn mistakes_are_told_with_their_line_and_what_mends_them() {
        let cases = [
            ("listen: 127.0.0.1:8320\n", "", ":2:", "hook"),
            (
                "[$CREDENTIALS_DIRECTORY/hook, /etc/windlass/old-hook]",
                "[]",
                ":3:",
                "needs one secret",
            ),
            ("old-hook]", "old-hook, third]", ":3:", "needs one secret"),
            ("name: home", "name: example", "worker.yaml:7:", "twice"),
            ("https://git", "https://me:pw@git", ":6:", "password"),
            ("https://git", "http://git", ":6:", "http"),
            (
                "https://git.example.org/cluster.git",
                "cluster.git",
                ":6:",
                "absolute path",
            ),
            (", token_file: token", ", key_file: key", ":6:", "ssh"),
            (
                "key_file: $",
                "ca_file: ca\n      key_file: $",
                ":10:",
                "ca_file",
            ),
            (
                "host_keys: [ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA]",
                "host_keys: []",
                ":10:",
                "ssh-keyscan",
            ),
            ("state: state", "stat: state", ":1:", "did you mean `state`"),
            ("poll: 5s", "poll: 0s", ":7:", "poll"),
            ("branch: trunk", "path: ../other", ":10:", "path"),
            ("branch: trunk", "path: /other", ":10:", "path"),
            ("git@git", "ssh://me:pw@git", ":10:", "password"),
            (
                "key_file: $CREDENTIALS_DIRECTORY/key\n      ",
                "",
                ":10:",
                "deploy key",
            ),
        ];
        for (from, to, place, words) in cases {
            let text = GOOD.replace(from, to);
            assert_ne!(text, GOOD, "{from}");
            let error = parsed(&text).unwrap_err().to_string();
            assert!(
                error.contains(place) && error.contains(words),
                "{to}: {error}"
            );
        }
    }

    #[test]
    fn mistakes_of_the_queue_are_told_at_its_line() {
        let cases = [
            ("queue: rabbit", "no such queue"),
            ("queue: amqp://me:pw@broker/x", "password_file"),
            ("queue: amqp://me@broker/x", "without a password"),
            ("queue: amqp://broker:port/x", "no URL of a broker"),
            (
                "queue: amqp://broker/x\nbroker: { ca_file: ca }",
                "amqps only",
            ),
            (
                "queue: embedded\nbroker: { password_file: pw }",
                "remove `broker`",
            ),
        ];
        for (queue, words) in cases {
            let error = parsed(&format!("{queue}\n{GOOD}")).unwrap_err().to_string();
            assert!(
                error.contains("worker.yaml:1:") && error.contains(words),
                "{queue}: {error}"
            );
            assert!(!error.contains("pw@"), "{error}");
        }
        let good = "queue: amqps://me@broker/x\nbroker: { password_file: pw, ca_file: $CREDENTIALS_DIRECTORY/ca }";
        let config = parsed(&format!("{good}\n{GOOD}")).unwrap();
        let ca = config.broker.ca_file.as_deref();
        assert_eq!(ca, Some(Path::new("/run/credentials/w/ca")));
    }

    #[test]
    fn workers_that_share_orders_need_an_identity() {
        let acme = "acme: { listen: 0.0.0.0:8402 }\nqueue: amqp://broker/x";
        let error = parsed(&format!("{acme}\n{GOOD}")).unwrap_err().to_string();
        let told = [":1:", "WL615", "age-keygen"];
        assert!(told.iter().all(|words| error.contains(words)), "{error}");
        let config = parsed(&format!("age_identities: [age]\n{acme}\n{GOOD}")).unwrap();
        assert_eq!(config.age_identities.len(), 1);
    }

    #[test]
    fn resolvers_have_a_port_or_none() {
        let with = |own: &str| {
            let acme = format!("acme: {{ listen: 0.0.0.0:8402, resolvers: [{own}] }}\n{GOOD}");
            parsed(&acme)
        };
        let config = with("9.9.9.9, '192.0.2.1:5300', '2620:fe::9', '[2620:fe::9]:5300'").unwrap();
        let resolvers = config.acme.unwrap().value.resolvers;
        let shown: Vec<String> = resolvers
            .iter()
            .map(|own| own.value.0.to_string())
            .collect();
        assert_eq!(
            shown,
            [
                "9.9.9.9:53",
                "192.0.2.1:5300",
                "[2620:fe::9]:53",
                "[2620:fe::9]:5300"
            ]
        );
        for wrong in ["dns.example.org", "9.9.9", "'192.0.2.1:dns'"] {
            let error = with(wrong).unwrap_err().to_string();
            assert!(
                error.contains(":1:") && error.contains("write `9.9.9.9`"),
                "{error}"
            );
        }
    }

    #[test]
    fn the_public_address_is_one_that_a_comment_can_link_to() {
        let with =
            |url: &str| parsed(&GOOD.replace("listen:", &format!("public_url: '{url}'\nlisten:")));
        for good in [
            "https://windlass.example.org",
            "https://example.org/windlass/",
            "http://127.0.0.1:8320",
        ] {
            let config = with(good).unwrap();
            assert_eq!(config.public_url.unwrap().value, good);
        }
        let cases = [
            ("windlass.example.org", "no address"),
            ("http://windlass.example.org", "in the clear"),
            ("http://localhost.example.org", "in the clear"),
            ("https://me:pw@example.org", "more than host and path"),
            ("https://example.org/?a", "more than host and path"),
        ];
        for (url, words) in cases {
            let error = with(url).unwrap_err().to_string();
            assert!(
                error.contains("WL617") && error.contains(words),
                "{url}: {error}"
            );
            assert!(!error.contains("pw@"), "{error}");
        }
    }

    #[test]
    fn mistakes_of_a_forge_are_told_at_its_line() {
        let with = |forge: &str| parsed(&format!("{GOOD}    forge: {{ {forge} }}\n"));
        let good = "kind: github, project: ops/home, token_file: $CREDENTIALS_DIRECTORY/forge";
        let config = with(good).unwrap();
        let forge = config.clusters[1].forge.clone().unwrap();
        assert_eq!(forge.token_file, Path::new("/run/credentials/w/forge"));
        assert_eq!(
            (forge.address().as_str(), forge.poll.get()),
            ("https://github.com", 60)
        );
        let cases = [
            ("kind: github", "kind: gitea", "not known where"),
            ("kind: github", "kind: gitbucket", "none of the words"),
            (
                "kind: github",
                "kind: gitea, url: http://git.example.org",
                "not encrypted",
            ),
            (
                "kind: github",
                "kind: gitea, url: http://localhost.example.org",
                "not encrypted",
            ),
            (
                "kind: github",
                "kind: gitea, url: 'https://me:pw@git.example.org'",
                "password",
            ),
            ("ops/home", "home", "owner/name"),
            ("ops/home", "ops/sub/home", "owner/name"),
            ("ops/home", "ops/..", "owner/name"),
            ("project", "poll: 1s, project", "5s at least"),
        ];
        for (from, to, words) in cases {
            let error = with(&good.replace(from, to)).unwrap_err().to_string();
            assert!(
                error.contains(":14:") && error.contains(words),
                "{to}: {error}"
            );
            assert!(!error.contains("pw@"), "{error}");
        }
        let near = good.replace("github", "gitea, url: 'http://127.0.0.1:3000/'");
        let config = with(&near).unwrap();
        let forge = config.clusters[1].forge.clone().unwrap();
        assert_eq!(forge.address(), "http://127.0.0.1:3000");
        assert!(with(&good.replace("github, project: ops", "gitlab, project: ops/sub")).is_ok());
    }

    #[test]
    fn a_worker_that_watches_nothing_is_told() {
        let error = parsed("clusters: []\n").unwrap_err().to_string();
        assert!(error.contains("no cluster is watched"), "{error}");
    }

    #[test]
    fn a_missing_file_or_credential_is_told() {
        let missing = read(Path::new("/nonexistent/worker.yaml"), None).unwrap_err();
        assert!(missing.to_string().contains("/nonexistent/worker.yaml"));
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("worker.yaml");
        std::fs::write(&path, GOOD).unwrap();
        let error = read(&path, None).unwrap_err().to_string();
        assert!(error.contains("LoadCredential"), "{error}");
        let endless = read(Path::new("/dev/zero"), None).unwrap_err().to_string();
        assert!(endless.contains("more than 1 MiB"), "{endless}");
    }
}
