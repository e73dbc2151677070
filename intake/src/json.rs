//! JSON as it stands in a delivery: strict, bounded, and without copying what needs none.
//!
//! A member that an object has twice is an error, because parsers disagree on which one counts, and
//! somebody who checked the one would let the other in. Depth and number of values are bounded, so
//! that memory and stack are. The grammar is `serde_json`'s; this is a visitor over it.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::fmt;

use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::reader::{Place, shortened};
use crate::{Limits, Reason, Rejection};

/// From this many members on, an object is searched for duplicates by sorting.
const MANY_MEMBERS: usize = 16;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Json<'a> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool,
    /// A whole number that is not negative.
    Whole(u64),
    /// A negative whole number.
    Negative,
    /// Any other number.
    Fraction(f64),
    /// A text.
    Text(Cow<'a, str>),
    /// An array.
    Array(Vec<Json<'a>>),
    /// An object.
    Object(Object<'a>),
}

/// An object: its members in their order, none twice.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Object<'a>(Vec<(Cow<'a, str>, Json<'a>)>);

impl<'a> Object<'a> {
    /// A member.
    pub(crate) fn get(&self, name: &str) -> Option<&Json<'a>> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value)
    }

    /// Whether it has a member of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Whether it has no members.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Parses a document that lies at `place`.
pub(crate) fn parse<'a>(
    bytes: &'a [u8],
    limits: &Limits,
    place: &Place<'_>,
) -> Result<Json<'a>, Rejection> {
    let text = text(bytes, place)?;
    Reading::new(limits).read(text, place)
}

/// Parses documents that follow each other, as streams have them; behind one that is no JSON nothing
/// can be told apart. The bound on values is that of all together.
pub(crate) fn parse_each<'a>(
    bytes: &'a [u8],
    limits: &Limits,
    place: &Place<'_>,
) -> Result<Vec<Result<Json<'a>, Rejection>>, Rejection> {
    let documents = serde_json::Deserializer::from_str(text(bytes, place)?);
    let reading = Reading::new(limits);
    let read = documents.into_iter::<&RawValue>().map(|document| {
        // To where it ends without depth first, then as any other.
        let document = document.map_err(|error| reading.rejection(&error, place))?;
        reading.read(document.get(), place)
    });
    Ok(read.collect())
}

fn text<'a>(bytes: &'a [u8], place: &Place<'_>) -> Result<&'a str, Rejection> {
    std::str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        let sentence = format!("it is not UTF-8 from byte {at} on");
        place.reject(Reason::InvalidUtf8, sentence)
    })
}

/// The bounds of one document, and the fault that ended it.
struct Reading {
    max_depth: usize,
    values_left: Cell<usize>,
    fault: RefCell<Option<Fault>>,
}

/// What no JSON parser minds, and we do.
struct Fault {
    reason: Reason,
    sentence: String,
    /// The steps to the place, innermost first: they are added while the parser comes back.
    steps: Vec<String>,
}

impl Reading {
    fn new(limits: &Limits) -> Self {
        Self {
            max_depth: limits.max_depth,
            values_left: Cell::new(limits.max_values),
            fault: RefCell::new(None),
        }
    }

    fn read<'a>(&self, text: &'a str, place: &Place<'_>) -> Result<Json<'a>, Rejection> {
        let mut parser = serde_json::Deserializer::from_str(text);
        let seed = Seed {
            reading: self,
            depth: 0,
        };
        let value = seed
            .deserialize(&mut parser)
            .and_then(|value| parser.end().map(|()| value));
        value.map_err(|error| self.rejection(&error, place))
    }

    fn fail<E: serde::de::Error>(&self, reason: Reason, sentence: String) -> E {
        *self.fault.borrow_mut() = Some(Fault {
            reason,
            sentence,
            steps: Vec::new(),
        });
        E::custom("a bound")
    }

    fn on_the_way_back(&self, step: impl FnOnce() -> String) {
        if let Some(fault) = &mut *self.fault.borrow_mut() {
            // A deep document would have a path as long as itself.
            if fault.steps.len() <= 16 {
                fault.steps.push(step());
            }
        }
    }

    fn count(&self) -> bool {
        match self.values_left.get().checked_sub(1) {
            Some(left) => {
                self.values_left.set(left);
                true
            }
            None => false,
        }
    }

    fn rejection(&self, error: &serde_json::Error, place: &Place<'_>) -> Rejection {
        match self.fault.take() {
            Some(fault) => {
                let mut rejection = place.reject(fault.reason, fault.sentence);
                if fault.reason == Reason::DuplicateMember {
                    rejection.place.extend(fault.steps.into_iter().rev());
                }
                rejection
            }
            None => {
                let (line, column) = (error.line(), error.column());
                let what = if error.is_eof() {
                    "it ends early"
                } else {
                    "it is not JSON"
                };
                let sentence = format!("{what}, at line {line} column {column}");
                place.reject(Reason::JsonSyntax, sentence)
            }
        }
    }
}

/// Reads one value.
#[derive(Clone, Copy)]
struct Seed<'r> {
    reading: &'r Reading,
    depth: usize,
}

impl<'r> Seed<'r> {
    fn below<E: serde::de::Error>(self) -> Result<Seed<'r>, E> {
        if self.depth >= self.reading.max_depth {
            let most = self.reading.max_depth;
            let sentence = format!("it nests deeper than {most} levels");
            return Err(self.reading.fail(Reason::TooDeep, sentence));
        }
        Ok(Seed {
            depth: self.depth + 1,
            ..self
        })
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Json<'de>;

    fn deserialize<D: serde::Deserializer<'de>>(self, from: D) -> Result<Json<'de>, D::Error> {
        if !self.reading.count() {
            let sentence = "it has more values than are read".to_owned();
            return Err(self.reading.fail(Reason::TooLarge, sentence));
        }
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Json<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json<'de>, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, _value: bool) -> Result<Json<'de>, E> {
        Ok(Json::Bool)
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json<'de>, E> {
        Ok(Json::Whole(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json<'de>, E> {
        Ok(u64::try_from(value).map_or(Json::Negative, Json::Whole))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json<'de>, E> {
        Ok(Json::Fraction(value))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json<'de>, A::Error> {
        let below = self.below()?;
        let mut values = Vec::new();
        loop {
            match items.next_element_seed(below) {
                Ok(Some(value)) => values.push(value),
                Ok(None) => return Ok(Json::Array(values)),
                Err(error) => {
                    let index = values.len();
                    self.reading.on_the_way_back(|| format!("[{index}]"));
                    return Err(error);
                }
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json<'de>, A::Error> {
        let below = self.below()?;
        let mut members: Vec<(Cow<'de, str>, Json<'de>)> = Vec::new();
        while let Some(name) = map.next_key_seed(Name)? {
            let twice =
                members.len() < MANY_MEMBERS && members.iter().any(|(known, _)| *known == name);
            if twice {
                return Err(self.twice(&name));
            }
            match map.next_value_seed(below) {
                Ok(value) => members.push((name, value)),
                Err(error) => {
                    let step = || format!(".{}", shortened(&name));
                    self.reading.on_the_way_back(step);
                    return Err(error);
                }
            }
        }
        if members.len() > MANY_MEMBERS {
            let mut names: Vec<&str> = members.iter().map(|(name, _)| &**name).collect();
            names.sort_unstable();
            if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
                return Err(self.twice(pair[0]));
            }
        }
        Ok(Json::Object(Object(members)))
    }
}

impl Seed<'_> {
    fn twice<E: serde::de::Error>(self, name: &str) -> E {
        let name = shortened(name);
        let sentence = format!("it has the member {name} twice, and only one can be meant");
        self.reading.fail(Reason::DuplicateMember, sentence)
    }
}

/// Reads a member's name.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: serde::Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(name))
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(name.to_owned()))
    }
}

#[cfg(test)]
mod tests;
