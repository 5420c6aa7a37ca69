//! `zones/*.yaml`: a DNS zone, served by a hidden primary and its secondaries.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::definitions::Placement;
use super::names::{DomainName, HostName};
use super::scalars::Seconds;
use crate::yaml::At;

/// A zone; its name is the file's. Addresses of sites are derived, everything else stands in `records`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Zone {
    /// Of every record that has none of its own.
    #[serde(default = "hour")]
    pub ttl: At<Seconds>,
    /// Mail address of whoever looks after the zone.
    pub contact: At<String>,
    /// The one node that holds the zone file.
    pub primary: Placement,
    /// The nodes that fetch the zone and answer for it.
    pub secondaries: Placement,
    /// Names for the NS records. One called `<node>.<zone>` gets that node's address; any other name inside the
    /// zone needs an address record.
    pub nameservers: Vec<At<HostName>>,
    #[serde(default = "hour")]
    pub refresh: At<Seconds>,
    #[serde(default = "quarter")]
    pub retry: At<Seconds>,
    #[serde(default = "fortnight")]
    pub expire: At<Seconds>,
    /// How long a "there is no such name" is remembered.
    #[serde(default = "five_minutes")]
    pub minimum: At<Seconds>,
    #[serde(default)]
    pub records: Vec<Record>,
}

fn hour() -> At<Seconds> {
    At::nowhere(Seconds::new(3600))
}

fn quarter() -> At<Seconds> {
    At::nowhere(Seconds::new(900))
}

fn fortnight() -> At<Seconds> {
    At::nowhere(Seconds::new(14 * 86400))
}

fn five_minutes() -> At<Seconds> {
    At::nowhere(Seconds::new(300))
}

/// One record set. Exactly one of `value` and `values`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// `www`, `@` for the zone itself, or a full name with a dot at its end.
    pub name: At<String>,
    #[serde(rename = "type")]
    pub kind: At<RecordType>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<At<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub values: Option<Vec<At<String>>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<At<Seconds>>,
}

impl Record {
    pub fn values(&self) -> impl Iterator<Item = &At<String>> {
        self.value.iter().chain(self.values.iter().flatten())
    }
}

#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "UPPERCASE")]
pub enum RecordType {
    A,
    Aaaa,
    Caa,
    Cname,
    Ds,
    Mx,
    Ns,
    Ptr,
    Srv,
    Sshfp,
    Tlsa,
    Txt,
}

impl RecordType {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::Aaaa => "AAAA",
            Self::Caa => "CAA",
            Self::Cname => "CNAME",
            Self::Ds => "DS",
            Self::Mx => "MX",
            Self::Ns => "NS",
            Self::Ptr => "PTR",
            Self::Srv => "SRV",
            Self::Sshfp => "SSHFP",
            Self::Tlsa => "TLSA",
            Self::Txt => "TXT",
        }
    }
}

impl fmt::Display for RecordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A mail address as the SOA has it (`hostmaster.example.org.`); `None` where it is none.
pub fn soa_contact(address: &str) -> Option<String> {
    let (user, domain) = address.split_once('@')?;
    let domain = DomainName::try_from(domain.to_ascii_lowercase()).ok()?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._+-".contains(c);
    let fits = !user.is_empty() && user.len() <= 63 && user.chars().all(allowed);
    fits.then(|| format!("{}.{domain}.", user.replace('.', "\\.")))
}
