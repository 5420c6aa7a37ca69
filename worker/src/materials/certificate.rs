//! What a PEM file must be before it may reach a node: certificate and key belong together, the names are those
//! that the repository promises, and it is in force. Of one that the worker orders, names and age are no reason to roll
//! nothing: what mends them is a roll.

use jiff::{SignedDuration, Timestamp};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use windlass_core::codes::{Code, checks};
use windlass_core::finding::{Finding, Findings};
use windlass_core::materials::{Materials, Said, SecretText};
use windlass_core::model::names::{CertName, Label};
use windlass_core::model::{Certificate, Defined, Model};

use crate::acme::Leaf;

/// From then on an expiry is worth a warning, and with a quarter of a shorter life left.
const SOON: SignedDuration = SignedDuration::from_hours(14 * 24);

/// Certificate first, then its chain, and one key that belongs to it.
pub fn usable(pem: &str) -> Result<Said, (Code, String)> {
    let unreadable = |why: String| (checks::CERTIFICATE_UNREADABLE, why);
    let chain = CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|error| unreadable(format!("is not PEM: {error}")))?;
    let Some(first) = chain.first() else {
        return Err(unreadable("holds no certificate".to_owned()));
    };
    let leaf = Leaf::of(first.clone()).map_err(unreadable)?;
    let key = PrivateKeyDer::from_pem_slice(pem.as_bytes())
        .map_err(|_| unreadable("holds no usable private key".to_owned()))?;
    let provider = rustls::crypto::ring::default_provider();
    match CertifiedKey::from_der(chain, key, &provider) {
        Ok(_) => Ok(Said {
            serial: leaf.serial.clone(),
            names: leaf.names().collect(),
            lifetime: leaf.lifetime,
            expired: leaf.lifetime.until <= Timestamp::now(),
        }),
        Err(rustls::Error::InconsistentKeys(_)) => Err((
            checks::CERTIFICATE_KEY,
            "the private key is not the one of the first certificate".to_owned(),
        )),
        Err(error) => Err(unreadable(error.to_string())),
    }
}

/// Compares the certificates given with those that the repository names.
pub fn examine(model: &Model, materials: &Materials, now: Timestamp) -> Findings {
    let mut findings = Findings::default();
    for (name, definition) in &model.certificates {
        if let Some(pem) = materials.certificates.get(name.as_str()) {
            let is_ordered = definition.acme.is_some();
            findings.extend(one(definition, name, pem, now, is_ordered));
        }
    }
    findings
}

/// What there is against a PEM file that a person puts in use as this certificate.
pub fn fits(model: &Model, name: &Label, pem: &SecretText, now: Timestamp) -> Findings {
    let definition = model.certificates.get(name);
    let found = definition.map(|definition| one(definition, name, pem, now, false));
    found.unwrap_or_default()
}

fn one(
    definition: &Defined<Certificate>,
    name: &Label,
    pem: &SecretText,
    now: Timestamp,
    is_ordered: bool,
) -> Findings {
    let mut findings = Findings::default();
    let chain = CertificateDer::pem_slice_iter(pem.reveal().as_bytes()).flatten();
    let chain: Vec<_> = chain.collect();
    let Some(Ok(leaf)) = chain.first().map(|leaf| Leaf::of(leaf.clone())) else {
        return findings;
    };
    if !is_ordered {
        findings.extend(uncovered(definition, name, &leaf));
    }
    findings.extend(out_of_force(name, &leaf, now, is_ordered).map(|f| f.at(definition.whole())));
    if chain.len() == 1 && !leaf.is_self_signed {
        let message = format!("{name}.pem holds no chain: clients will not trust the certificate");
        let finding = Finding::warning(checks::CERTIFICATE_CHAIN, message);
        let hint = "append the issuer's certificate, e.g. use fullchain.pem and not cert.pem";
        findings.push(finding.at(definition.whole()).hint(hint));
    }
    findings
}

fn uncovered(definition: &Defined<Certificate>, name: &Label, leaf: &Leaf) -> Vec<Finding> {
    let missing = definition
        .names
        .iter()
        .filter(|wanted| !leaf.covers(wanted));
    let served: Vec<CertName> = leaf.names().collect();
    let served: Vec<&str> = served.iter().map(CertName::as_str).collect();
    missing
        .map(|wanted| {
            let message = format!("{name}.pem does not cover {}", wanted.as_str());
            Finding::error(checks::CERTIFICATE_NAMES, message)
                .at(definition.place(wanted))
                .hint(format!("it is for {}", served.join(", ")))
        })
        .collect()
}

fn out_of_force(name: &Label, leaf: &Leaf, now: Timestamp, is_ordered: bool) -> Option<Finding> {
    let lifetime = leaf.lifetime;
    let left = lifetime.until.duration_since(now);
    let days = left.as_hours() / 24;
    let code = checks::CERTIFICATE_EXPIRY;
    if lifetime.from > now {
        let message = format!("{name}.pem is not valid before {}", lifetime.from);
        return Some(Finding::error(code, message).hint("look at this machine's clock"));
    }
    if is_ordered {
        let message = format!("the certificate {name} has expired and is served all the same");
        let hint = format!("`windlass cert show {name}` says what keeps it from being renewed");
        let expired = (lifetime.until <= now).then(|| Finding::warning(code, message));
        return expired.map(|finding| finding.hint(hint));
    }
    let finding = if lifetime.until <= now {
        let message = format!("{name}.pem has expired {} days ago", -days);
        Finding::error(code, message)
    } else if left < SOON.min(lifetime.length() / 4) {
        Finding::warning(code, format!("{name}.pem expires in {days} days"))
    } else {
        return None;
    };
    Some(finding.hint("renew it and replace the file"))
}
