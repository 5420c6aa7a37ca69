//! What types cannot say of the configuration. All mistakes are told at once.

use std::collections::BTreeSet;

use windlass_core::codes::git as codes;
use windlass_core::finding::{Finding, Findings};
use windlass_core::yaml::At;

use crate::queue::amqp::Settings;

use super::{AcmeConfig, ClusterConfig, Config, RepositoryConfig};

pub(super) fn findings(config: &Config, file: &str) -> Findings {
    let mut findings = Findings::default();
    whole(config, file, &mut findings);
    let mut names = BTreeSet::new();
    for cluster in &config.clusters {
        if !names.insert(&cluster.name) {
            let message = format!("the cluster {} stands here twice", cluster.name);
            findings.push(
                Finding::error(codes::CONFIG_CLUSTERS, message)
                    .at(cluster.location(file))
                    .hint("give each cluster its own name, and the name that its cluster.yaml has"),
            );
        }
        one(cluster, file, &mut findings);
    }
    findings.sorted()
}

fn whole(config: &Config, file: &str, findings: &mut Findings) {
    if config.clusters.is_empty() {
        findings.push(
            Finding::error(codes::CONFIG_CLUSTERS, "no cluster is watched")
                .at(windlass_core::finding::Location::file(file))
                .hint("add one below `clusters:`"),
        );
    }
    if let Err((message, hint)) = queue(config) {
        findings.push(
            Finding::error(codes::CONFIG_QUEUE, message)
                .at(config.queue.location(file))
                .hint(hint),
        );
    }
    if let Some(url) = &config.public_url
        && let Some((message, hint)) = public(config, &url.value)
    {
        findings.push(
            Finding::error(codes::CONFIG_PUBLIC, message)
                .at(url.location(file))
                .hint(hint),
        );
    }
    if let Some(acme) = &config.acme {
        certificates(config, acme, file, findings);
    }
    if let (Some(api), None) = (&config.api, &config.listen) {
        findings.push(
            Finding::error(codes::CONFIG_API, "the API is served nowhere")
                .at(api.location(file))
                .hint("add `listen: 127.0.0.1:8320`, or remove `api`"),
        );
    }
    let Some(hook) = &config.hook else { return };
    if config.listen.is_none() {
        findings.push(
            Finding::error(codes::CONFIG_HOOK, "the hook is served nowhere")
                .at(hook.location(file))
                .hint("add `listen: 127.0.0.1:8320`, or remove `hook`"),
        );
    }
    if !(1..=2).contains(&hook.secret_files.len()) {
        findings.push(
            Finding::error(codes::CONFIG_HOOK, "the hook needs one secret, or two")
                .at(hook.location(file))
                .hint("list one file; a second only while the secret is being replaced"),
        );
    }
}

/// It comes to stand in comments, where nobody can mend it any more.
fn public(config: &Config, url: &str) -> Option<Wrong> {
    if config.listen.is_none() {
        return Some((
            "`public_url` leads to pages that are served nowhere",
            "add `listen: 127.0.0.1:8320`, or remove `public_url`",
        ));
    }
    let Ok(parsed) = reqwest::Url::parse(url) else {
        return Some(("this is no address", "write `https://windlass.example.org`"));
    };
    let login = !parsed.username().is_empty() || parsed.password().is_some();
    if login || parsed.query().is_some() || parsed.fragment().is_some() {
        return Some((
            "`public_url` carries more than host and path",
            "write `https://windlass.example.org`, without user, `?` or `#`",
        ));
    }
    let local = matches!(parsed.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    match parsed.scheme() {
        "https" => None,
        "http" if local => None,
        _ => Some((
            "what a preview shows would go over the network in the clear",
            "write `https://…`, and have a proxy with a certificate send it on to `listen`",
        )),
    }
}

fn queue(config: &Config) -> Result<(), (String, &'static str)> {
    let (url, broker) = (config.queue.value.as_str(), &config.broker);
    let wrong = |message: &str, hint| Err((message.to_owned(), hint));
    let tls = broker.ca_file.is_some() || broker.certificate_file.is_some();
    if url == "embedded" {
        return if tls || broker.password_file.is_some() || !broker.hosts.is_empty() {
            let hint = "write `queue: amqp://…`, or remove `broker`";
            wrong("`broker` is for a queue at a broker only", hint)
        } else {
            Ok(())
        };
    }
    let Some(("amqp" | "amqps", rest)) = url.split_once("://") else {
        let hint = "write `queue: embedded`, `queue: amqp://user@host/vhost` or `queue: amqps://…`";
        return wrong("there is no such queue", hint);
    };
    let authority = rest.split('/').next().unwrap_or_default();
    let login = authority.rsplit_once('@').map(|(login, _)| login);
    if login.is_some_and(|login| login.contains(':')) {
        let hint = "put the password into a file and name it as `broker.password_file`";
        return wrong(
            "the URL carries a password, which would end up in logs",
            hint,
        );
    }
    let mut settings = match Settings::new(url) {
        Ok(settings) => settings,
        Err(error) => {
            let hint = "write `amqp://user@host:port/vhost`; the vhost `/` is written `%2f`";
            return Err((format!("this is no URL of a broker: {error}"), hint));
        }
    };
    for host in &broker.hosts {
        if let Err(error) = settings.also_at(host) {
            let hint = "write `hosts: [broker2.example.org, broker3.example.org:5671]`";
            return Err((format!("`broker.hosts`: {error}"), hint));
        }
    }
    if tls && !settings.is_encrypted() {
        let hint = "write `amqps://`, or remove them";
        return wrong(
            "`broker.ca_file` and `broker.certificate_file` are for amqps only",
            hint,
        );
    }
    if login.is_some() && broker.password_file.is_none() {
        let hint = "name a file with the user's password as `broker.password_file`";
        return wrong("the URL names a user without a password", hint);
    }
    Ok(())
}

fn certificates(config: &Config, acme: &At<AcmeConfig>, file: &str, findings: &mut Findings) {
    let mut wrong = |message: &str, hint: &str| {
        let finding = Finding::error(codes::CONFIG_ACME, message).at(acme.location(file));
        findings.push(finding.hint(hint));
    };
    if config.listen.is_none() && acme.listen.is_none() {
        let hint = "add `listen: 0.0.0.0:8402` below `acme`, or `listen` above";
        wrong("the questions of authorities are answered nowhere", hint);
    }
    if config.queue.value != "embedded" {
        let hint = "write `queue: embedded`, or leave `acme` out and give certificates as files";
        wrong(
            "several workers would order the same certificates, each its own",
            hint,
        );
    }
}

fn one(cluster: &At<ClusterConfig>, file: &str, findings: &mut Findings) {
    if cluster.poll.get() == 0 {
        findings.push(
            Finding::error(codes::CONFIG_CLUSTERS, "a poll every 0 s would never rest")
                .at(cluster.location(file))
                .hint("write `poll: 60s`"),
        );
    }
    if let Some(forge) = &cluster.forge
        && let Some((message, hint)) = forge.mistake()
    {
        findings.push(
            Finding::error(codes::CONFIG_FORGE, message)
                .at(forge.project.location(file))
                .hint(hint),
        );
    }
    let repository = &cluster.repository;
    let wrong = transport(&repository.url)
        .and_then(|transport| access(repository, transport))
        .and_then(|()| folder(&repository.path));
    if let Err((message, hint)) = wrong {
        findings.push(
            Finding::error(codes::CONFIG_REPOSITORY, message)
                .at(repository.url.location(file))
                .hint(hint),
        );
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Transport {
    Https,
    Ssh,
    Local,
}

/// What is wrong, and what mends it.
type Wrong = (&'static str, &'static str);

fn transport(url: &str) -> Result<Transport, Wrong> {
    if let Some((scheme, rest)) = url.split_once("://") {
        let host = rest.split('/').next().unwrap_or_default();
        let login = host.rsplit_once('@').map(|(login, _)| login);
        return match (scheme, login) {
            ("https", Some(_)) => Err((
                "the URL carries a user or password, which would end up in logs",
                "put the token into a file and name it as `token_file`",
            )),
            ("ssh", Some(login)) if login.contains(':') => Err((
                "the URL carries a password, which would end up in logs",
                "use a deploy key: `key_file` and `host_keys`",
            )),
            ("https", None) => Ok(Transport::Https),
            ("ssh", _) => Ok(Transport::Ssh),
            ("file", _) => Ok(Transport::Local),
            ("http", _) => Err((
                "http is neither encrypted nor proves which server answers",
                "use https, ssh, or a path on this machine",
            )),
            _ => Err((
                "the URL has a scheme that the worker does not fetch from",
                "use https, ssh, or a path on this machine",
            )),
        };
    }
    match url.split_once(':') {
        _ if url.starts_with('/') => Ok(Transport::Local),
        Some((host, path)) if !host.contains('/') && !path.is_empty() => Ok(Transport::Ssh),
        _ => Err((
            "this is no URL and no absolute path",
            "write `https://…`, `ssh://…`, `user@host:path`, or an absolute path",
        )),
    }
}

fn access(repository: &RepositoryConfig, transport: Transport) -> Result<(), Wrong> {
    if repository.token_file.is_some() && transport != Transport::Https {
        return Err((
            "`token_file` is for https only",
            "remove it, or use an https URL",
        ));
    }
    if repository.ca_file.is_some() && transport != Transport::Https {
        return Err((
            "`repository.ca_file` is for https only",
            "remove it, or use an https URL",
        ));
    }
    let key = repository.key_file.is_some() || !repository.host_keys.is_empty();
    if key && transport != Transport::Ssh {
        return Err((
            "`key_file` and `host_keys` are for ssh only",
            "remove them, or use an ssh URL",
        ));
    }
    if transport == Transport::Ssh && repository.key_file.is_none() {
        return Err((
            "an ssh URL needs a deploy key",
            "name the private key's file as `key_file`",
        ));
    }
    let usable = |key: &String| key.split_ascii_whitespace().count() >= 2;
    if transport == Transport::Ssh
        && (repository.host_keys.is_empty() || !repository.host_keys.iter().all(usable))
    {
        return Err((
            "an ssh URL needs the server's host keys",
            "list them in `host_keys`: run ssh-keyscan, leave out the host name, compare with what the server's owner says",
        ));
    }
    Ok(())
}

fn folder(path: &str) -> Result<(), Wrong> {
    let outside = path.starts_with('/') || path.split('/').any(|part| part == "..");
    if outside {
        return Err((
            "`path` must be a folder within the repository",
            "write it without a leading `/` and without `..`",
        ));
    }
    Ok(())
}
