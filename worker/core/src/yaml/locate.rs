//! Where a value stands that is known by its JSON pointer only.

use std::fmt;

use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::{At, parse};
use crate::finding::Location;

/// A document with the places of its values, for messages that name a value by its JSON pointer.
enum Tree {
    Map(Vec<(String, At<Self>)>),
    List(Vec<At<Self>>),
    Leaf,
}

/// Where the value of a JSON pointer stands; the nearest value around it where there is none.
pub fn locate(file: &str, bytes: &[u8], pointer: &str) -> Location {
    let Ok(tree) = parse::<At<Tree>>(file, bytes) else {
        return Location::file(file);
    };
    let mut at = &tree;
    for step in pointer.split('/').skip(1) {
        let step = step.replace("~1", "/").replace("~0", "~");
        let below = match &at.value {
            Tree::Map(entries) => entries
                .iter()
                .find(|(key, _)| *key == step)
                .map(|(_, value)| value),
            Tree::List(values) => step
                .parse::<usize>()
                .ok()
                .and_then(|index| values.get(index)),
            Tree::Leaf => None,
        };
        match below {
            Some(below) => at = below,
            None => break,
        }
    }
    at.location(file)
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Tree;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("anything")
            }
            fn visit_bool<E>(self, _: bool) -> Result<Tree, E> {
                Ok(Tree::Leaf)
            }
            fn visit_i64<E>(self, _: i64) -> Result<Tree, E> {
                Ok(Tree::Leaf)
            }
            fn visit_u64<E>(self, _: u64) -> Result<Tree, E> {
                Ok(Tree::Leaf)
            }
            fn visit_f64<E>(self, _: f64) -> Result<Tree, E> {
                Ok(Tree::Leaf)
            }
            fn visit_str<E>(self, _: &str) -> Result<Tree, E> {
                Ok(Tree::Leaf)
            }
            fn visit_unit<E>(self) -> Result<Tree, E> {
                Ok(Tree::Leaf)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Tree, A::Error> {
                let mut values = Vec::new();
                while let Some(value) = seq.next_element()? {
                    values.push(value);
                }
                Ok(Tree::List(values))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Tree::Map(entries))
            }
        }
        deserializer.deserialize_any(Any)
    }
}
