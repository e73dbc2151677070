//! Reading the members that a dialect asks for, and saying where one is wrong.

use std::fmt;

use daybook_domain::BucketName;
use jiff::Timestamp;

use crate::json::{Json, Object};
use crate::{Reason, Rejection};

/// The longest piece of what somebody sent that an error repeats.
const SHOWN: usize = 64;

/// A place in a document: what leads there, kept as a chain on the stack, since only errors need it
/// as text.
#[derive(Clone, Copy)]
pub(crate) struct Place<'p> {
    parent: Option<&'p Place<'p>>,
    step: Step<'p>,
}

#[derive(Clone, Copy)]
enum Step<'p> {
    Root,
    Member(&'p str),
    Index(usize),
    /// Into the document that a text holds.
    Within,
    Header(&'p str),
}

impl Place<'_> {
    /// The document.
    pub(crate) const ROOT: Place<'static> = Place {
        parent: None,
        step: Step::Root,
    };

    /// A header of the request.
    pub(crate) fn header(name: &str) -> Place<'_> {
        Place {
            parent: None,
            step: Step::Header(name),
        }
    }

    /// A refusal for what stands here.
    pub(crate) fn reject(&self, reason: Reason, sentence: impl Into<String>) -> Rejection {
        Rejection {
            reason,
            place: self.to_string(),
            sentence: sentence.into(),
        }
    }
}

impl<'p> Place<'p> {
    /// A member of what stands here.
    pub(crate) fn member(&'p self, name: &'p str) -> Place<'p> {
        self.below(Step::Member(name))
    }

    /// An element of what stands here.
    pub(crate) fn index(&'p self, index: usize) -> Place<'p> {
        self.below(Step::Index(index))
    }

    /// The document in the text that stands here.
    pub(crate) fn within(&'p self) -> Place<'p> {
        self.below(Step::Within)
    }

    fn below(&'p self, step: Step<'p>) -> Place<'p> {
        Place {
            parent: Some(self),
            step,
        }
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(f)?;
        }
        match self.step {
            Step::Root => f.write_str("$"),
            Step::Member(name) => write!(f, ".{name}"),
            Step::Index(index) => write!(f, "[{index}]"),
            Step::Within => f.write_str(" > $"),
            Step::Header(name) => write!(f, "header {name}"),
        }
    }
}

/// A piece of what somebody sent, fit for an error: quoted, and cut where it is long.
pub(crate) fn shortened(text: &str) -> String {
    if text.len() <= SHOWN {
        return format!("{text:?}");
    }
    let mut end = SHOWN;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{:?}… ({} bytes)", &text[..end], text.len())
}

/// A text that says something of an event, and where it stands: in a document or in a header.
#[derive(Clone, Copy)]
pub(crate) struct Attribute<'e> {
    text: Option<&'e str>,
    pub(crate) place: Place<'e>,
}

impl<'e> Attribute<'e> {
    /// An attribute in a header.
    pub(crate) fn header(name: &'e str, text: Option<&'e str>) -> Self {
        Self {
            text,
            place: Place::header(name),
        }
    }

    /// The text, unless it is empty.
    pub(crate) fn filled(&self) -> Option<&'e str> {
        self.text.filter(|text| !text.is_empty())
    }

    /// The text, which has to be there.
    pub(crate) fn need(&self) -> Result<&'e str, Rejection> {
        let missing = || self.place.reject(Reason::MissingField, IS_MISSING);
        self.filled().ok_or_else(missing)
    }

    /// The text as a time as RFC 3339 writes it.
    pub(crate) fn time(&self) -> Result<Option<Timestamp>, Rejection> {
        let text = self.filled();
        text.map(|text| time(text, &self.place)).transpose()
    }
}

/// An object, and where it is.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'j, 'p> {
    object: &'j Object<'j>,
    pub(crate) place: Place<'p>,
}

impl<'j, 'p> Fields<'j, 'p> {
    /// The members of an object.
    pub(crate) fn new(object: &'j Object<'j>, place: Place<'p>) -> Self {
        Self { object, place }
    }

    /// The members of what should be an object.
    pub(crate) fn of(value: &'j Json<'j>, place: Place<'p>) -> Result<Self, Rejection> {
        match value {
            Json::Object(object) => Ok(Self { object, place }),
            _ => Err(place.reject(Reason::WrongType, "it should be an object")),
        }
    }

    /// A member that is not null.
    pub(crate) fn value(&self, name: &str) -> Option<&'j Json<'j>> {
        match self.object.get(name) {
            None | Some(Json::Null) => None,
            Some(value) => Some(value),
        }
    }

    /// Whether there is such a member, be it null.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.object.has(name)
    }

    /// A text.
    pub(crate) fn text(&self, name: &str) -> Result<Option<&'j str>, Rejection> {
        match self.value(name) {
            None => Ok(None),
            Some(Json::Text(text)) => Ok(Some(text)),
            Some(_) => Err(self.reject(name, Reason::WrongType, "it should be a text")),
        }
    }

    /// A text that is not empty.
    pub(crate) fn filled(&self, name: &str) -> Result<Option<&'j str>, Rejection> {
        Ok(self.text(name)?.filter(|text| !text.is_empty()))
    }

    /// A text with its place.
    pub(crate) fn attribute<'s>(&'s self, name: &'s str) -> Result<Attribute<'s>, Rejection> {
        Ok(Attribute {
            text: self.text(name)?,
            place: self.place.member(name),
        })
    }

    /// A text that has to be there.
    pub(crate) fn need(&self, name: &str) -> Result<&'j str, Rejection> {
        self.filled(name)?.ok_or_else(|| self.missing(name))
    }

    /// An object.
    pub(crate) fn part<'s>(&'s self, name: &'s str) -> Result<Option<Fields<'j, 's>>, Rejection> {
        let place = self.place.member(name);
        self.value(name)
            .map(|value| Fields::of(value, place))
            .transpose()
    }

    /// An object that has to be there.
    pub(crate) fn need_part<'s>(&'s self, name: &'s str) -> Result<Fields<'j, 's>, Rejection> {
        self.part(name)?.ok_or_else(|| self.missing(name))
    }

    /// An array that has to be there.
    pub(crate) fn need_array(&self, name: &str) -> Result<&'j [Json<'j>], Rejection> {
        match self.value(name) {
            None => Err(self.missing(name)),
            Some(Json::Array(items)) => Ok(items),
            Some(_) => Err(self.reject(name, Reason::WrongType, "it should be an array")),
        }
    }

    /// A time as RFC 3339 writes it.
    pub(crate) fn time(&self, name: &str) -> Result<Option<Timestamp>, Rejection> {
        let Some(text) = self.filled(name)? else {
            return Ok(None);
        };
        time(text, &self.place.member(name)).map(Some)
    }

    /// A size in bytes, as a number.
    pub(crate) fn size(&self, name: &str) -> Result<Option<u64>, Rejection> {
        self.value(name)
            .map(|value| self.number(name, value))
            .transpose()
    }

    /// A size in bytes, as a number or as a text of digits.
    pub(crate) fn size_or_text(&self, name: &str) -> Result<Option<u64>, Rejection> {
        match self.value(name) {
            Some(Json::Text(text)) if text.is_empty() => Ok(None),
            Some(Json::Text(text)) if text.bytes().all(|byte| byte.is_ascii_digit()) => {
                let size = text.parse().ok().filter(|size| *size <= MAX_SIZE);
                let size =
                    size.ok_or_else(|| self.reject(name, Reason::SizeOutOfRange, NO_SIZE))?;
                Ok(Some(size))
            }
            Some(value) => self.number(name, value).map(Some),
            None => Ok(None),
        }
    }

    /// A whole number, written as a number or as a text of digits: how Google writes 64-bit ones.
    pub(crate) fn int64(&self, name: &str) -> Result<Option<String>, Rejection> {
        match self.value(name) {
            None => Ok(None),
            Some(Json::Whole(number)) => Ok(Some(number.to_string())),
            Some(Json::Text(text)) if text.is_empty() => Ok(None),
            Some(Json::Text(text)) if is_int64(text) => Ok(Some(text.to_string())),
            Some(_) => Err(self.reject(name, Reason::WrongType, "it should be a whole number")),
        }
    }

    fn number(&self, name: &str, value: &Json<'_>) -> Result<u64, Rejection> {
        match value {
            Json::Whole(size) if *size <= MAX_SIZE => Ok(*size),
            Json::Whole(_) | Json::Negative => {
                Err(self.reject(name, Reason::SizeOutOfRange, NO_SIZE))
            }
            // A whole number that is too large for 64 bits is read as this.
            Json::Fraction(size) if size.fract() == 0.0 && size.abs() >= MAX_SIZE as f64 => {
                Err(self.reject(name, Reason::SizeOutOfRange, NO_SIZE))
            }
            _ => Err(self.reject(name, Reason::WrongType, "it should be a whole number")),
        }
    }

    /// A bucket's name that has to be there.
    pub(crate) fn bucket(&self, name: &str) -> Result<BucketName, Rejection> {
        bucket(self.need(name)?, &self.place.member(name))
    }

    /// A refusal for a member.
    pub(crate) fn reject(&self, name: &str, reason: Reason, why: impl Into<String>) -> Rejection {
        self.place.member(name).reject(reason, why)
    }

    /// A refusal for a member that is not there.
    pub(crate) fn missing(&self, name: &str) -> Rejection {
        self.reject(name, Reason::MissingField, IS_MISSING)
    }
}

const IS_MISSING: &str = "it is missing";

/// No store has larger objects, and databases keep sizes as signed numbers.
const MAX_SIZE: u64 = i64::MAX as u64;
const NO_SIZE: &str = "no object has this size";

/// Whether a text is a whole number of at most 64 bits.
pub(crate) fn is_int64(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u64>().is_ok()
}

/// A bucket's name.
pub(crate) fn bucket(name: &str, place: &Place<'_>) -> Result<BucketName, Rejection> {
    // Long ones are not copied to find that out.
    let parsed = (name.len() <= 255).then(|| BucketName::parse(name));
    match parsed {
        Some(Ok(bucket)) => Ok(bucket),
        _ => {
            let sentence = format!("no bucket is called {}", shortened(name));
            Err(place.reject(Reason::BucketInvalid, sentence))
        }
    }
}

/// A time as RFC 3339 writes it.
pub(crate) fn time(text: &str, place: &Place<'_>) -> Result<Timestamp, Rejection> {
    let parsed = (text.len() <= SHOWN).then(|| text.parse());
    match parsed {
        Some(Ok(time)) => Ok(time),
        _ => {
            let sentence = format!("{} is no time", shortened(text));
            Err(place.reject(Reason::TimeInvalid, sentence))
        }
    }
}
