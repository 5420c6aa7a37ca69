//! What a certificate says of itself, and whether chain and key are what was ordered.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use jiff::Timestamp;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use windlass_core::acme::Lifetime;
use windlass_core::model::KeyType;
use windlass_core::model::names::CertName;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};
use x509_parser::public_key::PublicKey;

/// The first certificate of a PEM file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    pub der: CertificateDer<'static>,
    /// In hexadecimal digits.
    pub serial: String,
    pub lifetime: Lifetime,
    /// In lower case.
    pub names: BTreeSet<String>,
    /// `None` for a kind that is never ordered.
    pub key: Option<KeyType>,
    pub issuer: String,
    pub is_self_signed: bool,
}

impl Leaf {
    pub fn read(pem: &str) -> Result<Self, String> {
        let der = CertificateDer::from_pem_slice(pem.as_bytes())
            .map_err(|error| format!("there is no certificate in it: {error}"))?;
        Self::of(der)
    }

    pub fn of(der: CertificateDer<'static>) -> Result<Self, String> {
        let (_, leaf) = X509Certificate::from_der(&der)
            .map_err(|error| format!("the certificate is broken: {error}"))?;
        let time = |time: x509_parser::time::ASN1Time| {
            Timestamp::from_second(time.timestamp()).map_err(|error| error.to_string())
        };
        let mut serial = String::new();
        for byte in leaf.raw_serial() {
            // Writing to a String cannot fail.
            let _ = write!(serial, "{byte:02x}");
        }
        let alternative = leaf.subject_alternative_name().ok().flatten();
        let names = alternative
            .iter()
            .flat_map(|names| &names.value.general_names);
        let names = names.filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
            _ => None,
        });
        let read = Self {
            serial,
            lifetime: Lifetime {
                from: time(leaf.validity().not_before)?,
                until: time(leaf.validity().not_after)?,
            },
            names: names.collect(),
            key: kind(&leaf),
            issuer: leaf.issuer().to_string(),
            is_self_signed: leaf.issuer() == leaf.subject(),
            der: der.clone(),
        };
        Ok(read)
    }

    /// Those of its names that a host may have.
    pub fn names(&self) -> impl Iterator<Item = CertName> {
        self.names.iter().filter_map(|name| name.parse().ok())
    }

    /// Whether clients take it for this name.
    pub fn covers(&self, wanted: &CertName) -> bool {
        let host = wanted.host();
        self.names()
            .any(|own| own == *wanted || host.as_ref().is_some_and(|host| own.covers(host)))
    }

    /// Whether it is for exactly these names.
    pub fn is_for(&self, names: &[CertName]) -> bool {
        let wanted: BTreeSet<&str> = names.iter().map(CertName::as_str).collect();
        self.names
            .iter()
            .map(String::as_str)
            .collect::<BTreeSet<_>>()
            == wanted
    }
}

fn kind(leaf: &X509Certificate<'_>) -> Option<KeyType> {
    match leaf.public_key().parsed().ok()? {
        PublicKey::EC(point) => match point.key_size() {
            256 => Some(KeyType::EcdsaP256),
            384 => Some(KeyType::EcdsaP384),
            _ => None,
        },
        PublicKey::RSA(key) => match key.key_size() {
            2048 => Some(KeyType::Rsa2048),
            4096 => Some(KeyType::Rsa4096),
            _ => None,
        },
        _ => None,
    }
}

/// Whether chain and key belong together.
pub(super) fn fits(chain: &str, key: &str) -> Result<(), String> {
    let certificates =
        CertificateDer::pem_slice_iter(chain.as_bytes()).collect::<Result<Vec<_>, _>>();
    let certificates = certificates.map_err(|error| format!("the chain is not PEM: {error}"))?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
        .map_err(|_| "the private key cannot be read".to_owned())?;
    let provider = rustls::crypto::ring::default_provider();
    let pair = CertifiedKey::from_der(certificates, key, &provider);
    pair.map(drop)
        .map_err(|error| format!("chain and key do not belong together: {error}"))
}
