//! Reading a body that somebody sends: within a size, within room, and unpacked within a size.

use std::io::Read;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, header};
use bytes::{Bytes, BytesMut};
use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use http_body_util::BodyExt;
use thiserror::Error;

use crate::intake::{Admitted, Overloaded};

/// Room for a body is taken in steps of this, so that small ones take it once.
const STEP_BYTES: usize = 16 << 10;

/// Bodies from this size on are unpacked beside the other requests.
const LARGE_BODY_BYTES: usize = 64 << 10;

/// Why a body is not taken.
#[derive(Debug, Error)]
pub(super) enum BodyError {
    #[error("the body is longer than {0} bytes")]
    TooLarge(usize),
    #[error("the body, unpacked, is longer than {0} bytes")]
    UnpacksTooLarge(usize),
    #[error("the body took longer than {} s to come", .0.as_secs())]
    TooSlow(Duration),
    #[error("the body broke off")]
    BrokeOff,
    #[error("the content coding {0:?} is not known; send gzip, deflate or none")]
    UnknownCoding(String),
    #[error("the body is not what its content coding says")]
    NotPacked,
    #[error("a body of type {0:?} holds no notification; send JSON")]
    UnknownType(String),
    #[error("there is no room for it now")]
    Overloaded(Overloaded),
}

impl BodyError {
    /// In a word.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::TooLarge(_) | Self::UnpacksTooLarge(_) => "too-large",
            Self::TooSlow(_) => "too-slow",
            Self::BrokeOff => "broke-off",
            Self::UnknownCoding(_) => "content-encoding",
            Self::NotPacked => "content-encoding-invalid",
            Self::UnknownType(_) => "content-type",
            Self::Overloaded(_) => "overloaded",
        }
    }

    pub(super) fn status(&self) -> u16 {
        match self {
            Self::TooLarge(_) | Self::UnpacksTooLarge(_) => 413,
            Self::TooSlow(_) => 408,
            Self::BrokeOff | Self::NotPacked => 400,
            Self::UnknownCoding(_) | Self::UnknownType(_) => 415,
            Self::Overloaded(_) => 429,
        }
    }
}

/// How a body is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Plain,
    Gzip,
    Deflate,
}

impl Coding {
    /// What a request says. More than one coding is none that is known: nobody sends that, but those
    /// who try what it does.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, BodyError> {
        let mut said = headers.get_all(header::CONTENT_ENCODING).iter();
        let Some(first) = said.next() else {
            return Ok(Self::Plain);
        };
        let name = first.to_str().unwrap_or("?").trim().to_ascii_lowercase();
        match (name.as_str(), said.next()) {
            ("" | "identity", None) => Ok(Self::Plain),
            ("gzip" | "x-gzip", None) => Ok(Self::Gzip),
            ("deflate", None) => Ok(Self::Deflate),
            _ => Err(BodyError::UnknownCoding(name.chars().take(64).collect())),
        }
    }

    /// Unpacks a body, a large one beside the other requests. What it unpacks to has to have room
    /// as well.
    pub(super) async fn unpack(
        self,
        packed: Bytes,
        most: usize,
        room: &mut Admitted,
    ) -> Result<Bytes, BodyError> {
        if self == Self::Plain {
            return Ok(packed);
        }
        let beside = packed.len() >= LARGE_BODY_BYTES;
        let unpacked = match beside {
            false => self.unpack_within(&packed, most),
            true => tokio::task::spawn_blocking(move || self.unpack_within(&packed, most))
                .await
                .unwrap_or(Err(BodyError::NotPacked)),
        }?;
        room.grow(unpacked.len()).map_err(BodyError::Overloaded)?;
        Ok(unpacked)
    }

    pub(super) fn unpack_within(self, packed: &[u8], most: usize) -> Result<Bytes, BodyError> {
        match self {
            Self::Plain => Ok(Bytes::copy_from_slice(packed)),
            Self::Gzip => read_within(MultiGzDecoder::new(packed), most),
            // RFC 9110 means zlib's format, and some send the bare stream.
            Self::Deflate => match read_within(ZlibDecoder::new(packed), most) {
                Err(BodyError::NotPacked) => read_within(DeflateDecoder::new(packed), most),
                read => read,
            },
        }
    }
}

fn read_within(unpacking: impl Read, most: usize) -> Result<Bytes, BodyError> {
    let mut unpacked = Vec::new();
    let mut bounded = unpacking.take(most as u64 + 1);
    match bounded.read_to_end(&mut unpacked) {
        Ok(_) if unpacked.len() > most => Err(BodyError::UnpacksTooLarge(most)),
        Ok(_) => Ok(unpacked.into()),
        Err(_) => Err(BodyError::NotPacked),
    }
}

/// Refuses types that no store sends, such as the parts of a form with files, and codings
/// of CloudEvents that are not spoken here. SNS sends its JSON as text.
pub(super) fn check_type(headers: &HeaderMap) -> Result<(), BodyError> {
    let Some(said) = headers.get(header::CONTENT_TYPE) else {
        return Ok(());
    };
    let said = said.to_str().unwrap_or("?");
    let essence = said.split(';').next().unwrap_or_default();
    let essence = essence.trim().to_ascii_lowercase();
    let never = ["multipart/", "image/", "audio/", "video/", "font/"];
    let other = [
        "application/cloudevents+avro",
        "application/cloudevents+protobuf",
        "application/xml",
        "text/xml",
        "text/html",
    ];
    match never.iter().any(|it| essence.starts_with(it)) || other.contains(&essence.as_str()) {
        true => Err(BodyError::UnknownType(essence.chars().take(64).collect())),
        false => Ok(()),
    }
}

/// Reads a body as far as it may be long, taking room as it comes.
pub(super) async fn read(
    body: &mut Body,
    most: usize,
    room: &mut Admitted,
) -> Result<Bytes, BodyError> {
    let announced = axum::body::HttpBody::size_hint(body).lower();
    if announced > most as u64 {
        return Err(BodyError::TooLarge(most));
    }
    let mut read = BytesMut::new();
    let mut taken = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| BodyError::BrokeOff)?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        let length = read.len() + data.len();
        if length > most {
            return Err(BodyError::TooLarge(most));
        }
        if length > taken {
            let more = (length - taken).next_multiple_of(STEP_BYTES);
            room.grow(more).map_err(BodyError::Overloaded)?;
            taken += more;
        }
        read.extend_from_slice(&data);
    }
    Ok(read.freeze())
}

/// Reads the rest of a body that is refused, as far as that is not too much: a client that still
/// sends when the connection is closed under it may never see the answer.
pub(super) async fn drain(mut body: Body, most: usize) {
    let mut drained = 0;
    while let Some(Ok(frame)) = body.frame().await {
        drained += frame.data_ref().map_or(0, Bytes::len);
        if drained > most {
            return;
        }
    }
}
