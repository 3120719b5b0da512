//! Fields that nobody asked about. The specification tells a runtime to ignore them (config.md:
//! Extensibility), so a typing error in an optional field asks for nothing, in silence. Where
//! somebody wants to know, this names them.

use crate::nearest::nearest;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor,
};
use serde_json::{Error, Map, Value};
use std::cell::RefCell;
use std::fmt;

/// A field that is none of the specification's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown {
    /// Its place, as `linux.namespace`.
    pub field: String,
    /// The known field of the same object that may have been meant.
    pub meant: Option<&'static str>,
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: unknown field, ignored", self.field)?;
        self.meant.map_or(Ok(()), |name| write!(f, "; did you mean {name}?"))
    }
}

/// The fields of `text` that a `T` does not have, with `within` before their places. None, if it is
/// no JSON.
pub fn unknown<T: DeserializeOwned>(text: &[u8], within: &str) -> Vec<Unknown> {
    let found = RefCell::new(Vec::new());
    if let Ok(value) = serde_json::from_slice::<Value>(text) {
        // Whether it is valid is the parser's to say; what was seen until then counts.
        let _ = T::deserialize(Watched { value: &value, path: within.into(), found: &found });
    }
    found.into_inner()
}

/// A value that tells which members nobody knows, when it is read.
struct Watched<'a> {
    value: &'a Value,
    path: String,
    found: &'a RefCell<Vec<Unknown>>,
}

impl<'a> Watched<'a> {
    fn members(self, members: &'a Map<String, Value>, known: Option<&'static [&'static str]>) -> Members<'a> {
        Members { rest: members.iter(), next: None, known, path: self.path, found: self.found }
    }
}

impl<'de> Deserializer<'de> for Watched<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.value {
            Value::Object(members) => visitor.visit_map(self.members(members, None)),
            Value::Array(items) => {
                visitor.visit_seq(Items { rest: items.iter(), index: 0, path: self.path, found: self.found })
            }
            plain => plain.deserialize_any(visitor),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.value {
            Value::Object(members) => visitor.visit_map(self.members(members, Some(fields))),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.value.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.value.deserialize_enum(name, variants, visitor)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map identifier ignored_any
    }
}

struct Members<'a> {
    rest: serde_json::map::Iter<'a>,
    next: Option<(&'a String, &'a Value)>,
    /// The fields of the struct that is read; a map has any.
    known: Option<&'static [&'static str]>,
    path: String,
    found: &'a RefCell<Vec<Unknown>>,
}

impl Members<'_> {
    fn place(&self, name: &str) -> String {
        if self.path.is_empty() { name.into() } else { format!("{}.{name}", self.path) }
    }
}

impl<'de> MapAccess<'de> for Members<'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        self.next = self.rest.next();
        let Some((name, _)) = self.next else { return Ok(None) };
        if let Some(known) = self.known.filter(|known| !known.contains(&name.as_str())) {
            let meant = nearest(name, known.iter().copied());
            self.found.borrow_mut().push(Unknown { field: self.place(name), meant });
        }
        seed.deserialize(name.as_str().into_deserializer()).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let Some((name, value)) = self.next.take() else {
            return Err(serde::de::Error::custom("a value before its name"));
        };
        seed.deserialize(Watched { value, path: self.place(name), found: self.found })
    }
}

struct Items<'a> {
    rest: std::slice::Iter<'a, Value>,
    index: usize,
    path: String,
    found: &'a RefCell<Vec<Unknown>>,
}

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        let Some(value) = self.rest.next() else { return Ok(None) };
        let path = format!("{}[{}]", self.path, self.index);
        self.index += 1;
        seed.deserialize(Watched { value, path, found: self.found }).map(Some)
    }
}
