//! Which fields the structs of an event declare, and which of them a body has.
//!
//! `serde`'s derived code names a struct's fields when it asks for one; a deserializer over a JSON
//! value that writes them down sees the shape without knowing the types. What an internally tagged
//! enum holds is not seen: `serde` buffers it first.

use std::cell::RefCell;
use std::collections::BTreeSet;

use serde::de::value::{MapAccessDeserializer, MapDeserializer, SeqDeserializer};
use serde::de::{Deserializer, Error as _, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::{Error, Value};

use crate::Event;

/// A struct's name and one of its fields.
pub(super) type Field = (&'static str, &'static str);

/// The fields declared by the structs of this event, and those that its body has.
pub(super) fn trace<E: Event>(
    event_type: &str,
    body: &Value,
) -> (BTreeSet<Field>, BTreeSet<Field>) {
    let seen = RefCell::default();
    let tracer = |value| Tracer { value, seen: &seen };
    // The name first, so that the body is not buffered.
    let (name, body) = (Value::from(event_type), body.clone());
    let parts = [("type", tracer(name)), ("data", tracer(body))];
    E::deserialize(MapDeserializer::new(parts.into_iter())).unwrap();
    let seen = seen.into_inner();
    (seen.declared, seen.present)
}

#[derive(Default)]
struct Seen {
    declared: BTreeSet<Field>,
    present: BTreeSet<Field>,
}

struct Tracer<'a> {
    value: Value,
    seen: &'a RefCell<Seen>,
}

impl<'a> Tracer<'a> {
    fn inner(&self) -> impl Fn(Value) -> Tracer<'a> + use<'a> {
        let seen = self.seen;
        move |value| Tracer { value, seen }
    }
}

impl<'de, 'a> IntoDeserializer<'de, Error> for Tracer<'a> {
    type Deserializer = Tracer<'a>;
    fn into_deserializer(self) -> Self::Deserializer {
        self
    }
}

impl<'de> Deserializer<'de> for Tracer<'_> {
    type Error = Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let mut seen = self.seen.borrow_mut();
        for field in fields {
            seen.declared.insert((name, field));
            if self.value.get(field).is_some() {
                seen.present.insert((name, field));
            }
        }
        drop(seen);
        self.deserialize_any(visitor)
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let inner = self.inner();
        match self.value {
            Value::Array(items) => {
                visitor.visit_seq(SeqDeserializer::new(items.into_iter().map(inner)))
            }
            Value::Object(fields) => visitor.visit_map(MapDeserializer::new(
                fields.into_iter().map(|(name, value)| (name, inner(value))),
            )),
            plain => plain.deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let inner = self.inner();
        match self.value {
            Value::String(name) => visitor.visit_enum(name.into_deserializer()),
            Value::Object(fields) => {
                let fields = fields.into_iter().map(|(name, value)| (name, inner(value)));
                visitor.visit_enum(MapAccessDeserializer::new(MapDeserializer::new(fields)))
            }
            other => Err(Error::custom(format!("{other} is no variant"))),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map identifier ignored_any
    }
}
