//! Names and digests as types, so that a node's name cannot be passed where a path is meant, and so
//! that nothing unchecked from a repository reaches a shell, a path or a log.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Why a name was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {value:?} {why}")]
pub struct InvalidName {
    what: &'static str,
    value: String,
    why: &'static str,
}

fn check_label(what: &'static str, value: &str) -> Result<(), InvalidName> {
    let invalid = |why| InvalidName {
        what,
        value: value.chars().take(80).collect(),
        why,
    };
    if value.is_empty() || value.len() > 63 {
        return Err(invalid("must have 1 to 63 characters"));
    }
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if !value.chars().all(allowed) || value.starts_with('-') || value.ends_with('-') {
        return Err(invalid("may only have a-z, 0-9 and, within, '-'"));
    }
    Ok(())
}

macro_rules! label {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(try_from = "String", into = "String")]
        #[schemars(with = "String")]
        pub struct $name(String);

        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl FromStr for $name {
            type Err = InvalidName;
            fn from_str(value: &str) -> Result<Self, InvalidName> {
                check_label($what, value)?;
                Ok(Self(value.to_owned()))
            }
        }
        impl TryFrom<String> for $name {
            type Error = InvalidName;
            fn try_from(value: String) -> Result<Self, InvalidName> {
                value.parse()
            }
        }
        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
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
    };
}

label!(
    /// The name of a cluster; nodes remember which cluster they belong to.
    ClusterName, "cluster name"
);
label!(
    /// The name of a node: the stem of its file in `nodes/`.
    NodeName, "node name"
);
label!(
    /// The name of a component: the name of its folder in `components/`.
    ComponentName, "component name"
);

/// A SHA-256 digest, written as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Digest([u8; 32]);

impl Digest {
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Digests a sequence of parts so that their boundaries count: `["ab", "c"]` and `["a", "bc"]` differ.
    pub fn of_parts<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut hasher = Sha256::new();
        for part in parts {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        Self(hasher.finalize().into())
    }

    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first twelve digits: enough for people.
    pub fn short(&self) -> String {
        self.to_string().chars().take(12).collect()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({})", self.short())
    }
}

impl FromStr for Digest {
    type Err = InvalidName;
    fn from_str(value: &str) -> Result<Self, InvalidName> {
        let invalid = || InvalidName {
            what: "digest",
            value: value.chars().take(80).collect(),
            why: "must have 64 hexadecimal digits",
        };
        if value.len() != 64 || !value.is_ascii() {
            return Err(invalid());
        }
        let mut bytes = [0; 32];
        for (byte, digits) in bytes.iter_mut().zip(value.as_bytes().chunks(2)) {
            let digits = std::str::from_utf8(digits).map_err(|_| invalid())?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| invalid())?;
        }
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Digest {
    type Error = InvalidName;
    fn try_from(value: String) -> Result<Self, InvalidName> {
        value.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

/// An absolute, clean path on a node: no `..`, no doubled slash, no white space or control character,
/// because it travels through manifests, shells and logs.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct NodePath(String);

impl NodePath {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path without its leading slash, as archives name it.
    pub fn relative(&self) -> &str {
        &self.0[1..]
    }
}

impl FromStr for NodePath {
    type Err = InvalidName;
    fn from_str(value: &str) -> Result<Self, InvalidName> {
        let invalid = |why| InvalidName {
            what: "path",
            value: value.chars().take(200).collect(),
            why,
        };
        let Some(rest) = value.strip_prefix('/') else {
            return Err(invalid("must be absolute"));
        };
        if value.len() > 1024 {
            return Err(invalid("must have at most 1024 characters"));
        }
        if rest.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(invalid("must not have empty parts, '.' or '..'"));
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || "/._-+@=,:".contains(c);
        if !rest.chars().all(allowed) {
            return Err(invalid("may only have letters, digits and /._-+@=,:"));
        }
        Ok(Self(value.to_owned()))
    }
}

impl TryFrom<String> for NodePath {
    type Error = InvalidName;
    fn try_from(value: String) -> Result<Self, InvalidName> {
        value.parse()
    }
}

impl From<NodePath> for String {
    fn from(path: NodePath) -> Self {
        path.0
    }
}

impl fmt::Display for NodePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_refuse_what_a_shell_or_a_path_could_misread() {
        for bad in [
            "",
            "-a",
            "a-",
            "A",
            "a b",
            "a/b",
            "../a",
            "a;b",
            &"x".repeat(64),
        ] {
            assert!(bad.parse::<NodeName>().is_err(), "{bad:?} was accepted");
        }
        assert_eq!("vps-1".parse::<NodeName>().unwrap().as_str(), "vps-1");
    }

    #[test]
    fn node_paths_are_absolute_and_clean() {
        for bad in [
            "etc/x",
            "/etc/../x",
            "/etc//x",
            "/etc/x/",
            "/etc/a b",
            "/etc/a\nb",
            "/etc/$x",
            "/",
        ] {
            assert!(bad.parse::<NodePath>().is_err(), "{bad:?} was accepted");
        }
        assert_eq!(
            "/etc/a@b.conf".parse::<NodePath>().unwrap().relative(),
            "etc/a@b.conf"
        );
    }

    #[test]
    fn digests_round_trip_and_keep_part_boundaries() {
        let digest = Digest::of(b"windlass");
        assert_eq!(digest.to_string().parse::<Digest>(), Ok(digest));
        assert_ne!(
            Digest::of_parts([b"ab".as_slice(), b"c"]),
            Digest::of_parts([b"a".as_slice(), b"bc"])
        );
        assert!("zz".repeat(32).parse::<Digest>().is_err());
    }
}
