//! Values for templates. There are no nulls among them: Tera prints a null as nothing, so what is not there
//! is left out, and a template that needs it fails.

use std::sync::{Arc, OnceLock};

use rayon::prelude::*;
use serde_json::Value as Json;
use tera::{Map, Value};

use crate::ids::Digest;

/// Repository files that a value was made from.
pub(super) type Files = Arc<[Arc<str>]>;

/// A top-level value of the context, with the repository files that it was made from.
#[derive(Debug)]
pub(super) struct Named {
    pub(super) value: Value,
    pub(super) files: Files,
    /// Where the value is a list: the files of each item.
    pub(super) items: Vec<Files>,
    digests: OnceLock<(Digest, Vec<Digest>)>,
}

impl Named {
    pub(super) fn new(value: Value, files: Vec<Arc<str>>) -> Arc<Self> {
        Arc::new(Self {
            value,
            files: Arc::from(files),
            items: Vec::new(),
            digests: OnceLock::new(),
        })
    }

    pub(super) fn list(values: Vec<Value>, items: Vec<Files>) -> Arc<Self> {
        let mut files: Vec<Arc<str>> = items.iter().flat_map(|own| own.iter().cloned()).collect();
        files.sort_unstable();
        files.dedup();
        Arc::new(Self {
            value: Value::from(values),
            files: Arc::from(files),
            items,
            digests: OnceLock::new(),
        })
    }

    pub(super) fn digest(&self) -> Digest {
        self.digests().0
    }

    /// Of each item where the value is a list.
    pub(super) fn item_digests(&self) -> &[Digest] {
        &self.digests().1
    }

    fn digests(&self) -> &(Digest, Vec<Digest>) {
        self.digests.get_or_init(|| match self.value.as_array() {
            Some(values) => {
                let digests: Vec<Digest> = values.par_iter().map(digest).collect();
                let whole = Digest::of_parts(digests.iter().map(|own| own.as_bytes().as_slice()));
                (whole, digests)
            }
            None => (digest(&self.value), Vec::new()),
        })
    }
}

pub(super) fn digest(value: &Value) -> Digest {
    // Values serialise without fail: they came from JSON-like data. The text stands for the value.
    Digest::of(&serde_json::to_vec(value).unwrap_or_default())
}

pub(super) fn object<const N: usize>(entries: [(&'static str, Value); N]) -> Map {
    let mut map = Map::with_capacity(N + 2);
    for (key, value) in entries {
        map.insert(key.into(), value);
    }
    map
}

/// A map with keys from definitions.
pub(super) fn named<K: ToString, V: Into<Value>>(
    entries: impl IntoIterator<Item = (K, V)>,
) -> Value {
    let mut map = Map::new();
    for (key, value) in entries {
        map.insert(key.to_string().into(), value.into());
    }
    Value::from(map)
}

pub(super) fn text(value: impl ToString) -> Value {
    Value::from(value.to_string())
}

pub(super) fn texts<T: ToString>(values: impl IntoIterator<Item = T>) -> Value {
    Value::from(values.into_iter().map(text).collect::<Vec<Value>>())
}

pub(super) fn from_json(value: &Json) -> Value {
    match value {
        Json::Null => Value::none(),
        Json::Bool(value) => Value::from(*value),
        Json::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(value), _, _) => Value::from(value),
            (_, Some(value), _) => Value::from(value),
            (_, _, value) => Value::from(value.unwrap_or(0.0)),
        },
        Json::String(value) => Value::from(value.as_str()),
        Json::Array(values) => Value::from(values.iter().map(from_json).collect::<Vec<Value>>()),
        Json::Object(values) => named(
            values
                .iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(key, value)| (key, from_json(value))),
        ),
    }
}
