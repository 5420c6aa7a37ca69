//! Names from definitions as types: whatever has one of these types is safe to put into a configuration file,
//! a path or a shell word, because its alphabet was checked when the file was read.

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::net::IpAddr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

macro_rules! checked_text {
    ($(#[$doc:meta])* $name:ident, $check:path, $pattern:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl TryFrom<String> for $name {
            type Error = String;
            fn try_from(value: String) -> Result<Self, String> {
                $check(&value)?;
                Ok(Self(value))
            }
        }
        impl std::str::FromStr for $name {
            type Err = String;
            fn from_str(value: &str) -> Result<Self, String> {
                Self::try_from(value.to_owned())
            }
        }
        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": $pattern })
            }
        }
    };
}

checked_text!(
    /// The name of a role, a network, a certificate, a site: a-z, 0-9 and, within, `-`.
    Label, check_label, "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
);
checked_text!(
    /// A host's full name in lower case, without a dot at its end.
    HostName, check_host, r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+$"
);
checked_text!(
    /// A domain name; unlike a host's it may have `_` in its labels.
    DomainName, check_domain, r"^[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*$"
);
checked_text!(
    /// A host name, or `*.` before one.
    CertName, check_cert_name, r"^(\*\.)?[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+$"
);
checked_text!(
    /// An IP address or a host name.
    Host, check_address, r"^[0-9a-z.:-]+$"
);
checked_text!(
    /// A user on a node.
    UserName, check_user, "^[a-z_][a-z0-9_-]{0,31}$"
);
checked_text!(
    /// The path of a URL: begins with `/`, no white space, no quotes.
    UrlPath, check_url_path, "^/[!#-&(-\\[\\]-~]*$"
);

fn shown(value: &str) -> String {
    format!("{:?}", value.chars().take(80).collect::<String>())
}

fn ldh(label: &str, also: &str) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || also.contains(c);
    !label.is_empty()
        && label.len() <= 63
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.chars().all(|c| c == '-' || allowed(c))
}

fn check_label(value: &str) -> Result<(), String> {
    if ldh(value, "") {
        return Ok(());
    }
    Err(format!(
        "{} is no name: 1 to 63 of a-z, 0-9 and, within, `-`",
        shown(value)
    ))
}

fn check_dotted(value: &str, also: &str, what: &str) -> Result<(), String> {
    let why = if value.ends_with('.') {
        "write it without the dot at its end"
    } else if value.chars().any(|c| c.is_ascii_uppercase()) {
        "write it in lower case"
    } else if value.len() > 253 {
        "it has more than 253 characters"
    } else if !value.is_ascii() {
        "write it in its ASCII form (xn--…)"
    } else if !value.split('.').all(|label| ldh(label, also)) {
        "its labels may only have a-z, 0-9 and, within, `-`"
    } else {
        return Ok(());
    };
    Err(format!("{} is no {what}: {why}", shown(value)))
}

fn check_host(value: &str) -> Result<(), String> {
    check_dotted(value, "", "host name")?;
    if !value.contains('.') {
        return Err(format!(
            "{} is no full host name: its domain is missing",
            shown(value)
        ));
    }
    if value.parse::<IpAddr>().is_ok() {
        return Err(format!("{} is an address, not a host name", shown(value)));
    }
    Ok(())
}

fn check_domain(value: &str) -> Result<(), String> {
    check_dotted(value, "_", "domain name")
}

fn check_cert_name(value: &str) -> Result<(), String> {
    check_host(value.strip_prefix("*.").unwrap_or(value))
}

fn check_address(value: &str) -> Result<(), String> {
    if value.parse::<IpAddr>().is_ok() || check_dotted(value, "", "host name").is_ok() {
        return Ok(());
    }
    Err(format!(
        "{} is neither an IP address nor a host name",
        shown(value)
    ))
}

fn check_user(value: &str) -> Result<(), String> {
    let first = |c: char| c.is_ascii_lowercase() || c == '_';
    let rest = |c: char| first(c) || c.is_ascii_digit() || c == '-';
    if value.starts_with(first) && value.len() <= 32 && value.chars().all(rest) {
        return Ok(());
    }
    Err(format!("{} is no user name", shown(value)))
}

fn check_url_path(value: &str) -> Result<(), String> {
    let allowed = |c: char| c.is_ascii_graphic() && !"\"'\\".contains(c);
    if value.starts_with('/') && value.len() <= 1024 && value.chars().all(allowed) {
        return Ok(());
    }
    Err(format!(
        "{} is no path of a URL: it begins with `/` and has no white space or quotes",
        shown(value)
    ))
}

impl HostName {
    /// Whether the name lies in the zone (or is its apex).
    pub fn is_in(&self, zone: &DomainName) -> bool {
        is_under(&self.0, zone.as_str())
    }
}

/// Whether `name` is `zone` or ends in `.zone`.
pub fn is_under(name: &str, zone: &str) -> bool {
    name.strip_suffix(zone)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

impl From<&HostName> for CertName {
    fn from(host: &HostName) -> Self {
        Self(host.0.clone())
    }
}

impl CertName {
    /// The name itself; `None` for a wildcard.
    pub fn host(&self) -> Option<HostName> {
        (!self.0.starts_with("*.")).then(|| HostName(self.0.clone()))
    }

    /// The name without `*.`: what is asked for when it is proven through DNS.
    pub fn base(&self) -> HostName {
        HostName(self.0.trim_start_matches("*.").to_owned())
    }

    /// Whether a certificate with this name covers the host (RFC 6125: `*` stands for exactly one label).
    pub fn covers(&self, host: &HostName) -> bool {
        match self.0.strip_prefix("*.") {
            None => self.0 == host.0,
            Some(parent) => host
                .0
                .split_once('.')
                .is_some_and(|(_, host_parent)| host_parent == parent),
        }
    }
}

impl UserName {
    pub fn root() -> Self {
        Self("root".to_owned())
    }
}

impl UrlPath {
    pub fn root() -> Self {
        Self("/".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_refuse_what_a_configuration_file_could_misread() {
        for bad in [
            "", "a", "a..b", "-a.b", "a.b-", "A.b", "a b.c", "a.b\n", "a.b;c", "a.b.", "*.a.b",
            "ä.b", "1.2.3.4",
        ] {
            assert!(bad.parse::<HostName>().is_err(), "{bad:?}");
        }
        assert!("_acme.example.org".parse::<DomainName>().is_ok());
        assert!("a.*.b".parse::<CertName>().is_err());
        for bad in ["-oProxyCommand=x", "a b", "a\nb", "$x"] {
            assert!(bad.parse::<Host>().is_err(), "{bad:?}");
        }
        for bad in ["root;", "-x", "", "Root", "a b"] {
            assert!(bad.parse::<UserName>().is_err(), "{bad:?}");
        }
        for bad in ["x", "/a b", "/\"", "/a\n", "/\\"] {
            assert!(bad.parse::<UrlPath>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_wildcard_covers_exactly_one_label() {
        let wildcard: CertName = "*.example.org".parse().unwrap();
        for (host, covered) in [
            ("www.example.org", true),
            ("example.org", false),
            ("a.b.example.org", false),
            ("wwwexample.org", false),
        ] {
            assert_eq!(wildcard.covers(&host.parse().unwrap()), covered, "{host}");
        }
    }
}
