//! Small values written for people: `90s`, `30%`, a port, one network or a list of them.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, IntoDeserializer, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// A length of time in whole seconds, written `90s`, `5m`, `1h 30m`, `2 days`, or as a plain number of seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Seconds(u32);

impl Seconds {
    pub const fn new(seconds: u32) -> Self {
        Self(seconds)
    }

    pub const fn get(self) -> u32 {
        self.0
    }

    fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no length of time: write `90s`, `5m` or `1h 30m`");
        let span: jiff::Span = text.parse().map_err(|_| wrong())?;
        let length = span
            .to_duration(jiff::SpanRelativeTo::days_are_24_hours())
            .map_err(|_| wrong())?;
        if length.subsec_nanos() != 0 {
            return Err(wrong());
        }
        u32::try_from(length.as_secs())
            .map(Self)
            .map_err(|_| wrong())
    }
}

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            s if s > 0 && s % 3600 == 0 => write!(f, "{}h", s / 3600),
            s if s > 0 && s % 60 == 0 => write!(f, "{}m", s / 60),
            s => write!(f, "{s}s"),
        }
    }
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Words;
        impl Visitor<'_> for Words {
            type Value = Seconds;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a length of time such as `90s` or `5m`")
            }
            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Seconds, E> {
                u32::try_from(value)
                    .map(Seconds)
                    .map_err(|_| E::custom("the time is too long"))
            }
            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Seconds, E> {
                u32::try_from(value)
                    .map(Seconds)
                    .map_err(|_| E::custom("a time cannot be negative or this long"))
            }
            fn visit_str<E: de::Error>(self, value: &str) -> Result<Seconds, E> {
                Seconds::parse(value).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Words)
    }
}

impl JsonSchema for Seconds {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Seconds".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                { "type": "string", "pattern": "^[0-9][0-9a-z ]*$" },
                { "type": "integer", "minimum": 0, "maximum": u32::MAX },
            ]
        })
    }
}

/// A share, written `30%`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Percent(u8);

impl Percent {
    pub const fn new(percent: u8) -> Self {
        Self(percent)
    }

    pub const fn get(self) -> u8 {
        self.0
    }
}

impl TryFrom<String> for Percent {
    type Error = String;
    fn try_from(value: String) -> Result<Self, String> {
        value
            .strip_suffix('%')
            .and_then(|digits| digits.parse::<u8>().ok())
            .filter(|percent| *percent <= 100)
            .map(Self)
            .ok_or_else(|| format!("{value:?} is no share: write `0%` to `100%`"))
    }
}

impl From<Percent> for String {
    fn from(percent: Percent) -> Self {
        percent.to_string()
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

impl JsonSchema for Percent {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Percent".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^(100|[0-9]{1,2})%$" })
    }
}

/// A TCP port, 1 to 65535.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "u16")]
pub struct Port(u16);

impl Port {
    pub const fn new(port: u16) -> Self {
        Self(port)
    }

    pub const fn get(self) -> u16 {
        self.0
    }
}

impl TryFrom<i64> for Port {
    type Error = String;
    fn try_from(value: i64) -> Result<Self, String> {
        u16::try_from(value)
            .ok()
            .filter(|port| *port != 0)
            .map(Self)
            .ok_or_else(|| format!("{value} is no port: ports go from 1 to 65535"))
    }
}

impl From<Port> for u16 {
    fn from(port: Port) -> Self {
        port.0
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl JsonSchema for Port {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Port".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": 1, "maximum": 65535 })
    }
}

/// One value, or a list of them. `At` goes around it, not into it: a single value is read without its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct OneOrMany<T>(Vec<T>);

impl<T> OneOrMany<T> {
    pub fn iter(&self) -> std::slice::Iter<'_, T> {
        self.0.iter()
    }
}

impl<'a, T> IntoIterator for &'a OneOrMany<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Either<T> {
            type Value = OneOrMany<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("one value or a list of them")
            }
            fn visit_str<E: de::Error>(self, value: &str) -> Result<Self::Value, E> {
                T::deserialize(value.into_deserializer()).map(|value| OneOrMany(vec![value]))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut values = Vec::new();
                while let Some(value) = seq.next_element()? {
                    values.push(value);
                }
                Ok(OneOrMany(values))
            }
        }
        deserializer.deserialize_any(Either(PhantomData))
    }
}

impl<T: JsonSchema> JsonSchema for OneOrMany<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        format!("OneOrMany_{}", T::schema_name()).into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<T>();
        json_schema!({ "anyOf": [one, { "type": "array", "items": one }] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml;

    #[test]
    fn times_are_written_for_people() {
        let seconds = |text: &str| {
            yaml::parse::<Seconds>("x", text.as_bytes())
                .ok()
                .map(Seconds::get)
        };
        for (text, expected) in [
            ("90s", 90),
            ("5m", 300),
            ("1h 30m", 5400),
            ("14 days", 14 * 86400),
            ("2d", 172_800),
            ("300", 300),
        ] {
            assert_eq!(seconds(text), Some(expected), "{text}");
        }
        for wrong in [
            "-5s",
            "5 parsecs",
            "100ms",
            "99999999999",
            "1mo",
            "true",
            "\"\"",
        ] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
        assert_eq!(
            [0, 45, 120, 7200].map(|s| Seconds::new(s).to_string()),
            ["0s", "45s", "2m", "2h"]
        );
    }

    #[test]
    fn shares_and_ports_stay_in_their_range() {
        let share = |text: &str| Percent::try_from(text.to_owned()).ok().map(Percent::get);
        assert_eq!(
            [
                share("30%"),
                share("0%"),
                share("101%"),
                share("30"),
                share("-1%")
            ],
            [Some(30), Some(0), None, None, None]
        );
        assert_eq!(
            [Port::try_from(0), Port::try_from(65536), Port::try_from(-1)].map(|port| port.is_ok()),
            [false; 3]
        );
    }
}
