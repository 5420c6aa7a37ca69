//! A document as it stands, with the places of its keys and values: where a value is that is known by its JSON
//! pointer only, and which keys a map has, some perhaps twice.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::careful::Steps;
use super::{At, read, text};
use crate::finding::Location;

pub(super) enum Tree {
    Map(Vec<(At<String>, At<Self>)>),
    List(Vec<At<Self>>),
    Leaf,
}

/// Where the value of a JSON pointer stands; the nearest value around it where there is none.
pub fn locate(file: &str, bytes: &[u8], pointer: &str) -> Location {
    let tree = text(file, bytes)
        .ok()
        .and_then(|text| read::<At<Tree>>(text).ok());
    let Some(tree) = tree else {
        return Location::file(file);
    };
    let mut at = &tree;
    for step in pointer.split('/').skip(1) {
        let step = step.replace("~1", "/").replace("~0", "~");
        let below = match &at.value {
            Tree::Map(entries) => entries
                .iter()
                .find(|(key, _)| key.value == step)
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

impl Tree {
    pub(super) fn entry(&self, index: usize) -> Option<&At<Self>> {
        match self {
            Self::Map(entries) => entries.get(index).map(|(_, value)| value),
            Self::List(values) => values.get(index),
            Self::Leaf => None,
        }
    }

    /// The entries whose key stood in the same map before.
    pub(super) fn twice(&self) -> Vec<(Steps, At<String>)> {
        let mut found = Vec::new();
        self.find_twice(&mut Steps::new(), &mut found);
        found
    }

    fn find_twice(&self, at: &mut Steps, found: &mut Vec<(Steps, At<String>)>) {
        let mut keys = BTreeSet::new();
        let mut descend = |index: usize, value: &At<Self>, again: Option<&At<String>>| {
            at.push(index);
            match again {
                Some(key) => found.push((at.clone(), key.clone())),
                None => value.find_twice(at, found),
            }
            at.pop();
        };
        match self {
            Self::Map(entries) => {
                for (index, (key, value)) in entries.iter().enumerate() {
                    let again = !keys.insert(key.value.as_str());
                    descend(index, value, again.then_some(key));
                }
            }
            Self::List(values) => {
                for (index, value) in values.iter().enumerate() {
                    descend(index, value, None);
                }
            }
            Self::Leaf => {}
        }
    }
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
