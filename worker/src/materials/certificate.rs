//! What a PEM file must be before it may reach a node: certificate and key belong together, the names are those
//! that the repository promises, and it is in force.

use jiff::{SignedDuration, Timestamp};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use windlass_core::codes::{Code, checks};
use windlass_core::finding::{Finding, Findings, Location};
use windlass_core::materials::Materials;
use windlass_core::model::names::CertName;
use windlass_core::model::{Certificate, Defined, Model};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

/// From then on an expiry is worth a warning.
const SOON: SignedDuration = SignedDuration::from_hours(14 * 24);

/// Certificate first, then its chain, and one key that belongs to it. Gives the certificate's serial in hexadecimal
/// digits.
pub fn usable(pem: &str) -> Result<String, (Code, String)> {
    let unreadable = |why: String| (checks::CERTIFICATE_UNREADABLE, why);
    let chain = CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|error| unreadable(format!("is not PEM: {error}")))?;
    let Some(leaf) = chain.first() else {
        return Err(unreadable("holds no certificate".to_owned()));
    };
    let (_, read) = X509Certificate::from_der(leaf)
        .map_err(|error| unreadable(format!("its first certificate is broken: {error}")))?;
    let serial = read
        .raw_serial()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let key = PrivateKeyDer::from_pem_slice(pem.as_bytes())
        .map_err(|_| unreadable("holds no usable private key".to_owned()))?;
    let provider = rustls::crypto::ring::default_provider();
    match CertifiedKey::from_der(chain, key, &provider) {
        Ok(_) => Ok(serial),
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
        let Some(pem) = materials.certificates.get(name.as_str()) else {
            continue;
        };
        let chain: Vec<_> = CertificateDer::pem_slice_iter(pem.reveal().as_bytes())
            .flatten()
            .collect();
        let leaf = chain.first().map(|leaf| X509Certificate::from_der(leaf));
        let Some(Ok((_, leaf))) = leaf else { continue };
        findings.extend(uncovered(definition, name.as_str(), &leaf));
        findings.extend(out_of_force(definition.whole(), name.as_str(), &leaf, now));
        if chain.len() == 1 && leaf.issuer() != leaf.subject() {
            let message =
                format!("{name}.pem holds no chain: clients will not trust the certificate");
            let finding = Finding::warning(checks::CERTIFICATE_CHAIN, message);
            let hint = "append the issuer's certificate, e.g. use fullchain.pem and not cert.pem";
            findings.push(finding.at(definition.whole()).hint(hint));
        }
    }
    findings
}

fn uncovered(
    definition: &Defined<Certificate>,
    name: &str,
    leaf: &X509Certificate<'_>,
) -> Vec<Finding> {
    let extension = leaf.subject_alternative_name().ok().flatten();
    let served: Vec<String> = extension
        .iter()
        .flat_map(|extension| &extension.value.general_names)
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
            _ => None,
        })
        .collect();
    let covered = |wanted: &CertName| {
        served.iter().any(|served| {
            let same = served == wanted.as_str();
            let host = wanted.as_str().parse();
            let by_wildcard = served.parse::<CertName>().ok().zip(host.ok());
            same || by_wildcard.is_some_and(|(served, host)| served.covers(&host))
        })
    };
    let missing = definition.names.iter().filter(|wanted| !covered(wanted));
    missing
        .map(|wanted| {
            let message = format!("{name}.pem does not cover {}", wanted.as_str());
            Finding::error(checks::CERTIFICATE_NAMES, message)
                .at(definition.place(wanted))
                .hint(format!("it is for {}", served.join(", ")))
        })
        .collect()
}

fn out_of_force(
    at: Location,
    name: &str,
    leaf: &X509Certificate<'_>,
    now: Timestamp,
) -> Option<Finding> {
    let validity = leaf.validity();
    let left = validity.not_after.timestamp() - now.as_second();
    let days = left / 86_400;
    let finding = if validity.not_before.timestamp() > now.as_second() {
        let message = format!("{name}.pem is not valid before {}", validity.not_before);
        Finding::error(checks::CERTIFICATE_EXPIRY, message)
    } else if left <= 0 {
        let message = format!("{name}.pem has expired {} days ago", -days);
        Finding::error(checks::CERTIFICATE_EXPIRY, message)
    } else if left < SOON.as_secs() {
        let message = format!("{name}.pem expires in {days} days");
        Finding::warning(checks::CERTIFICATE_EXPIRY, message)
    } else {
        return None;
    };
    Some(finding.at(at).hint("renew it and replace the file"))
}
