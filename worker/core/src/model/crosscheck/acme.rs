//! What the worker is to order, an authority will grant: it knows whom to ask, and every name can be proven.

use std::collections::BTreeSet;

use super::{View, unknown};
use crate::codes::definitions as codes;
use crate::finding::{Finding, Findings};
use crate::model::acme::{self, Acme, Authority};
use crate::model::challenge;
use crate::model::names::CertName;
use crate::model::reach::{Reach, Way, reach};
use crate::model::zone::soa_contact;
use crate::model::{Certificate, Challenge, Defined, Model};
use crate::yaml::At;

/// As many names as public authorities put into one certificate.
const MAX_NAMES: usize = 100;

/// Gives sites their certificates, and challenges their zone; a name that a file took before is a finding.
pub(in crate::model) fn taken(model: &mut Model) -> Vec<Finding> {
    challenge::derive_zone(model);
    let taken = acme::derive_certificates(model);
    let told = taken.into_iter().filter_map(|(site, file)| {
        let site = model.sites.get(&site)?;
        let message = format!("{file} has the name that this site's own certificate would have");
        let finding = Finding::error(codes::CERTIFICATE_TAKEN, message).at(site.whole());
        Some(finding.hint("name that certificate below `tls`, or rename its file"))
    });
    told.collect()
}

/// The authorities can be asked.
pub(super) fn authorities(view: &View<'_>, findings: &mut Findings) {
    let cluster = &view.model.cluster;
    let Some(acme) = &cluster.acme else { return };
    if acme.authorities.is_empty() {
        let finding = Finding::error(codes::AUTHORITY, "`acme` names no authority");
        findings.push(finding.at(cluster.whole()).hint(
            "e.g. `authorities: [{ name: letsencrypt, directory: https://acme-v02.api.letsencrypt.org/directory }]`",
        ));
    }
    let mut seen = BTreeSet::new();
    for authority in &acme.authorities {
        if !seen.insert(&authority.name) {
            let message = format!("the authority `{}` stands here twice", authority.name);
            let finding = Finding::error(codes::AUTHORITY, message).at(cluster.place(authority));
            findings.push(finding.hint("give each its own name"));
        }
        one(view, authority, findings);
    }
    for contact in acme.contact.iter().filter(|at| soa_contact(at).is_none()) {
        let finding = Finding::error(codes::AUTHORITY, "the contact is no mail address");
        let finding = finding.at(cluster.place(contact));
        findings.push(finding.hint("write it as `hostmaster@example.org`"));
    }
}

fn one(view: &View<'_>, authority: &Authority, findings: &mut Findings) {
    let cluster = &view.model.cluster;
    let urls = [Some(&authority.directory), authority.staging.as_ref()];
    for url in urls.into_iter().flatten().filter(|url| !is_https(url)) {
        let finding = Finding::error(codes::AUTHORITY, "the directory is no https URL");
        let finding = finding.at(cluster.place(url));
        findings.push(
            finding.hint("authorities name it in their documentation: `https://…/directory`"),
        );
    }
    let Some(root) = &authority.root else { return };
    let text = view.snapshot.file(root).map(String::from_utf8_lossy);
    if !text.is_some_and(|text| text.contains("-----BEGIN CERTIFICATE-----")) {
        let message = format!("there is no PEM file `{root}` with a certificate in the repository");
        let finding = Finding::error(codes::AUTHORITY, message).at(cluster.place(root));
        findings
            .push(finding.hint(
                "put the authority's root there, or leave `root` out to trust the machine's",
            ));
    }
}

fn is_https(url: &str) -> bool {
    let host = url
        .strip_prefix("https://")
        .and_then(|rest| rest.split('/').next());
    host.is_some_and(|host| !host.is_empty() && !host.contains('@'))
        && url.chars().all(|c| c.is_ascii_graphic())
}

/// Whoever wants a certificate ordered has said where.
pub(super) fn ordered(view: &View<'_>, findings: &mut Findings) {
    let model = view.model;
    let hint = "add `acme: { authorities: … }` to cluster.yaml, or a certificate by file";
    for site in model.sites.values() {
        if site.tls.is_some() && site.certificate().is_none() && model.cluster.acme.is_none() {
            let message = "the site wants TLS, but names no certificate, and none is ordered";
            let finding = Finding::error(codes::NO_ACME, message).at(site.whole());
            findings.push(finding.hint(hint));
        }
    }
    for (name, certificate) in &model.certificates {
        let Some(ordered) = &certificate.acme else {
            continue;
        };
        let Some(acme) = &model.cluster.acme else {
            let message = format!(
                "the certificate `{name}` is to be ordered, but cluster.yaml does not say where"
            );
            let finding = Finding::error(codes::NO_ACME, message).at(certificate.whole());
            findings.push(finding.hint(hint));
            continue;
        };
        let known = |wanted: &str| names(acme).any(|name| name == wanted);
        for wanted in ordered.authorities.iter().filter(|at| !known(at.as_str())) {
            let finding = unknown(codes::AUTHORITY, "authority", wanted.as_str(), names(acme));
            findings.push(finding.at(certificate.place(wanted)));
        }
        let by_dns = ordered.challenge.unwrap_or(acme.challenge) == Challenge::Dns;
        if by_dns && acme.dns.is_none() {
            let message = format!("`{name}` is to be proven through DNS, but `acme` has no `dns`");
            let finding = Finding::error(codes::CHALLENGE_ZONE, message).at(certificate.whole());
            findings.push(finding.hint("write `dns: {}` below `acme` in cluster.yaml"));
        }
        if certificate.names.len() > MAX_NAMES {
            let message = format!(
                "{} names are more than authorities put into one certificate",
                certificate.names.len()
            );
            let finding = Finding::error(codes::UNPROVABLE, message).at(certificate.whole());
            findings.push(
                finding
                    .hint("write `group: site` in `acme`, or split the certificate: at most 100"),
            );
        }
    }
}

fn names(acme: &Acme) -> impl Iterator<Item = &str> {
    acme.authorities
        .iter()
        .map(|authority| authority.name.as_str())
}

/// Every name to be ordered leads to the edge, where its challenge is answered.
pub(super) fn provable(view: &View<'_>, findings: &mut Findings) {
    let model = view.model;
    if model.cluster.acme.is_none() {
        return;
    }
    let zones = crate::model::derive::zones(model);
    let over_http = |own: &&Defined<Certificate>| own.acme.is_some() && !model.by_dns(own);
    for certificate in model.certificates.values().filter(over_http) {
        for name in &certificate.names {
            let Some(host) = name.host() else {
                findings.push(wildcard(certificate, name));
                continue;
            };
            let reached = reach(model, &zones, &host);
            let why = match &reached {
                Reach::Elsewhere => continue,
                Reach::Nowhere => format!("{name} has no address in this repository's zones"),
                Reach::Ways(ways) => match ways.iter().find(|way| !is_edge(model, way)) {
                    None => continue,
                    Some(way) => astray(name, way),
                },
            };
            let message = format!("no authority can be shown that {name} is ours: {why}");
            let finding = Finding::error(codes::UNPROVABLE, message);
            let at = model.sites.values().find_map(|site| {
                let own = site.hosts.iter().find(|own| own.value == host)?;
                Some(site.place(own))
            });
            let finding = finding.at(at.unwrap_or_else(|| certificate.place(name)));
            findings.push(
                finding
                    .hint("let the name lead to the edge nodes, or give the certificate by file"),
            );
        }
    }
}

fn is_edge(model: &Model, way: &Way) -> bool {
    let node = way.node.as_ref().and_then(|name| model.nodes.get(name));
    node.is_some_and(|node| node.has_role(model.cluster.edge.role.as_str()))
}

fn astray(name: &CertName, way: &Way) -> String {
    match &way.node {
        Some(node) => format!(
            "{name} leads to {} ({node}), which is no edge node",
            way.address
        ),
        None => format!("{name} leads to {}, which is no node", way.address),
    }
}

fn wildcard(certificate: &Defined<Certificate>, name: &At<CertName>) -> Finding {
    let message =
        format!("no authority can be shown that {name} is ours: a wildcard is proven by DNS alone");
    Finding::error(codes::UNPROVABLE, message)
        .at(certificate.place(name))
        .hint("write `dns: {}` below `acme` in cluster.yaml, list the names themselves, or give the certificate by file")
}
