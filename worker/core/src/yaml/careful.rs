//! A deserializer around another one that leaves values out and notes where the reading failed. Places are counted
//! (the third entry of the first one), because a key may be of any type, or wrong itself.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;

use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

/// Which entry, at each level from the root.
pub(super) type Steps = Vec<usize>;

/// How the parser asks for a value with its place: a map of its own around the value.
const SPANNED: &str = "__yaml_spanned";

#[derive(Debug, Clone)]
pub(super) struct Failure {
    pub(super) steps: Steps,
    /// The struct that was being read there.
    pub(super) of: Option<&'static str>,
}

/// One reading.
pub(super) struct Pass<'s> {
    left_out: &'s BTreeSet<Steps>,
    failure: RefCell<Option<Failure>>,
}

impl<'s> Pass<'s> {
    pub(super) fn without(left_out: &'s BTreeSet<Steps>) -> Self {
        Self {
            left_out,
            failure: RefCell::default(),
        }
    }

    pub(super) fn reader<D>(&self, deserializer: D) -> Careful<'_, D> {
        let place = Place {
            pass: self,
            steps: Steps::new(),
            spanned: false,
        };
        place.around(deserializer)
    }

    pub(super) fn failure(&self) -> Option<Failure> {
        self.failure.borrow().clone()
    }
}

#[derive(Clone)]
struct Place<'p> {
    pass: &'p Pass<'p>,
    steps: Steps,
    /// Within the parser's own map around a value: its entries are no levels of the document.
    spanned: bool,
}

impl<'p> Place<'p> {
    fn around<I>(self, inner: I) -> Careful<'p, I> {
        Careful { inner, place: self }
    }

    fn below(&self, index: usize) -> Self {
        let mut steps = self.steps.clone();
        if !self.spanned {
            steps.push(index);
        }
        Self {
            pass: self.pass,
            steps,
            spanned: false,
        }
    }

    fn is_left_out(&self, index: usize) -> bool {
        !self.spanned && self.pass.left_out.contains(&self.below(index).steps)
    }

    /// The innermost place says it first.
    fn failed(&self, of: Option<&'static str>) {
        self.pass
            .failure
            .borrow_mut()
            .get_or_insert_with(|| Failure {
                steps: self.steps.clone(),
                of,
            });
    }
}

/// A deserializer, visitor or seed at its place.
pub(super) struct Careful<'p, I> {
    inner: I,
    place: Place<'p>,
}

/// The entries of a map or list, counted.
struct Entries<'p, A> {
    inner: A,
    place: Place<'p>,
    next: usize,
}

macro_rules! pass_on {
    ($($name:ident)*) => {$(
        fn $name<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            self.inner.$name(self.place.around(visitor))
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Careful<'_, D> {
    type Error = D::Error;

    pass_on! {
        deserialize_any deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_i128 deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
        deserialize_f32 deserialize_f64 deserialize_char deserialize_str deserialize_string
        deserialize_bytes deserialize_byte_buf deserialize_option deserialize_unit deserialize_seq
        deserialize_map deserialize_identifier deserialize_ignored_any
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let visitor = self.place.around(visitor);
        self.inner.deserialize_unit_struct(name, visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let spanned = name == SPANNED;
        let visitor = Place {
            spanned,
            ..self.place
        }
        .around(visitor);
        self.inner.deserialize_newtype_struct(name, visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.inner
            .deserialize_tuple(len, self.place.around(visitor))
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let visitor = self.place.around(visitor);
        self.inner.deserialize_tuple_struct(name, len, visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let place = self.place.clone();
        let visitor = self.place.around(visitor);
        let read = self.inner.deserialize_struct(name, fields, visitor);
        read.inspect_err(|_| place.failed(Some(name)))
    }

    /// A variant is one value: what is wrong within it is told one at a time.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.inner.deserialize_enum(name, variants, visitor)
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

macro_rules! hand_over {
    ($($name:ident($type:ty))*) => {$(
        fn $name<E: Error>(self, value: $type) -> Result<V::Value, E> {
            self.inner.$name(value)
        }
    )*};
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Careful<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(f)
    }

    hand_over! {
        visit_bool(bool) visit_i8(i8) visit_i16(i16) visit_i32(i32) visit_i64(i64) visit_i128(i128) visit_u8(u8)
        visit_u16(u16) visit_u32(u32) visit_u64(u64) visit_u128(u128) visit_f32(f32) visit_f64(f64)
        visit_char(char) visit_str(&str) visit_borrowed_str(&'de str) visit_string(String) visit_bytes(&[u8])
        visit_borrowed_bytes(&'de [u8]) visit_byte_buf(Vec<u8>)
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_none()
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.inner.visit_some(self.place.around(inner))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.inner.visit_newtype_struct(self.place.around(inner))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        let (place, next) = (self.place, 0);
        self.inner.visit_seq(Entries { inner, place, next })
    }

    fn visit_map<A: MapAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        let (place, next) = (self.place, 0);
        self.inner.visit_map(Entries { inner, place, next })
    }

    fn visit_enum<A: EnumAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        self.inner.visit_enum(inner)
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Careful<'_, S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, inner: D) -> Result<S::Value, D::Error> {
        let place = self.place.clone();
        let read = self.inner.deserialize(self.place.around(inner));
        read.inspect_err(|_| place.failed(None))
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Entries<'_, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        while self.place.is_left_out(self.next) && self.inner.next_key::<IgnoredAny>()?.is_some() {
            self.inner.next_value::<IgnoredAny>()?;
            self.next += 1;
        }
        let key = self.inner.next_key_seed(seed);
        key.inspect_err(|_| self.place.below(self.next).failed(None))
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        let place = self.place.below(self.next);
        self.next += 1;
        self.inner.next_value_seed(place.around(seed))
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Entries<'_, A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        while self.place.is_left_out(self.next)
            && self.inner.next_element::<IgnoredAny>()?.is_some()
        {
            self.next += 1;
        }
        let place = self.place.below(self.next);
        self.next += 1;
        self.inner.next_element_seed(place.around(seed))
    }
}
