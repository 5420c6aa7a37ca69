//! A site's certificate exists and covers each of its hosts: haproxy does not look.

use super::{View, unknown};
use crate::codes::definitions as codes;
use crate::finding::{Finding, Findings};
use crate::model::{Certificate, Defined};
use crate::sealed::is_name;

/// One that is given by a secret names one, and is not ordered as well.
fn secret(certificate: &Defined<Certificate>) -> Option<Finding> {
    let secret = certificate.secret.as_ref()?;
    let (message, hint) = if certificate.acme.is_some() {
        let message = "the certificate is to be ordered, and given by a secret";
        (message.to_owned(), "leave `acme` or `secret` out")
    } else if !is_name(secret) {
        let message = format!("{:?} is no name for a secret", secret.as_str());
        (message, "letters, digits and `_`, no digit first")
    } else {
        return None;
    };
    let finding = Finding::error(codes::CERTIFICATE_SECRET, message);
    Some(finding.at(certificate.place(secret)).hint(hint))
}

/// Every certificate that a site names has a file.
pub(super) fn exist(view: &View<'_>, findings: &mut Findings) {
    let certificates = &view.model.certificates;
    for site in view.model.sites.values() {
        if let Some(certificate) = site.certificate()
            && !certificates.contains_key(&certificate.value)
        {
            let known = certificates.keys().map(|name| name.as_str());
            findings.push(
                unknown(
                    codes::UNKNOWN_CERTIFICATE,
                    "certificate",
                    certificate.as_str(),
                    known,
                )
                .at(site.place(certificate)),
            );
        }
    }
}

/// Every host of a site with TLS is covered by a name of its certificate.
pub(super) fn coverage(view: &View<'_>, findings: &mut Findings) {
    for (name, certificate) in &view.model.certificates {
        if certificate.names.is_empty() {
            findings.push(
                Finding::error(
                    codes::EMPTY_LIST,
                    format!("the certificate `{name}` has no names"),
                )
                .at(certificate.whole())
                .hint("list the host names that it is for"),
            );
        }
        findings.extend(secret(certificate));
    }
    for site in view.model.sites.values() {
        let Some((name, certificate)) = view.model.certificate_of(site) else {
            continue;
        };
        for host in site
            .hosts
            .iter()
            .filter(|host| !certificate.names.iter().any(|name| name.covers(host)))
        {
            let finding = Finding::error(
                codes::NOT_COVERED,
                format!("the certificate `{name}` does not cover {host}"),
            )
            .at(site.place(host))
            .hint(format!(
                "add {host} to its names (a `*.` stands for exactly one label), or choose another"
            ));
            findings.push(match certificate.names.first() {
                Some(first) => finding.related(certificate.place(first), "its names stand here"),
                None => finding,
            });
        }
    }
}
