//! Why something of a delivery led to nothing: the words that answers, metrics and logs use.

use std::fmt;

macro_rules! reasons {
    ($($(#[doc = $doc:literal])* $name:ident = $slug:literal, $status:literal;)*) => {
        /// Why a delivery, or one record of it, was refused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason {
            $($(#[doc = $doc])* $name,)*
        }

        impl Reason {
            /// All of them.
            pub const ALL: &'static [Reason] = &[$(Reason::$name,)*];

            /// The name in answers and metrics.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $slug,)* }
            }

            /// The HTTP status of a delivery that is refused as a whole for this.
            pub fn status(self) -> u16 {
                match self { $(Self::$name => $status,)* }
            }
        }
    };
}

reasons! {
    /// It is not JSON.
    JsonSyntax = "json-syntax", 400;
    /// It is not UTF-8.
    InvalidUtf8 = "invalid-utf8", 400;
    /// An object has a member twice: parsers disagree on which one counts.
    DuplicateMember = "duplicate-member", 400;
    /// It nests deeper than is read.
    TooDeep = "too-deep", 400;
    /// It is longer, or has more values or records, than is read.
    TooLarge = "too-large", 413;
    /// No dialect looks like this.
    UnrecognisedShape = "unrecognised-shape", 400;
    /// A member has another type than its dialect says.
    WrongType = "wrong-type", 400;
    /// A member is missing that its dialect has in any case.
    MissingField = "missing-field", 400;
    /// A size that no object has.
    SizeOutOfRange = "size-out-of-range", 400;
    /// The key is empty.
    KeyEmpty = "key-empty", 400;
    /// The key is longer than 1,024 bytes.
    KeyTooLong = "key-too-long", 400;
    /// The key contains a NUL.
    KeyControlChar = "key-control-char", 400;
    /// The key is not UTF-8 once decoded.
    KeyInvalidUtf8 = "key-invalid-utf8", 400;
    /// The key has a `%` without two hexadecimal digits.
    KeyBadPercent = "key-bad-percent", 400;
    /// No bucket has such a name.
    BucketInvalid = "bucket-invalid", 400;
    /// The vendor is not known, and so neither is how it writes keys.
    UnknownSource = "unknown-source", 400;
    /// The vendor is known and not expected here.
    SourceNotAllowed = "source-not-allowed", 403;
    /// The format's major version is not known.
    UnsupportedVersion = "unsupported-version", 400;
    /// Not a date.
    TimeInvalid = "time-invalid", 400;
    /// Not base64.
    Base64 = "base64", 400;
    /// Two parts of the delivery contradict each other.
    InconsistentEnvelope = "inconsistent-envelope", 400;
    /// The subject of an Azure event names no blob.
    SubjectInvalid = "subject-invalid", 400;
    /// A CloudEvents attribute is missing that all events have.
    CeMissingAttribute = "ce-missing-attribute", 400;
    /// A version of CloudEvents that is not known.
    CeSpecversion = "ce-specversion", 400;
    /// A CloudEvent with both `data` and `data_base64`.
    CeAmbiguousData = "ce-ambiguous-data", 400;
    /// The web hook of an origin that is not expected.
    OriginNotAllowed = "origin-not-allowed", 403;
    /// No token, or a wrong one.
    Unauthenticated = "unauthenticated", 401;
    /// The signature of Backblaze B2 is missing or wrong.
    B2Signature = "b2-signature", 403;
    /// The certificate of an SNS message is not at Amazon SNS.
    SnsCertUrl = "sns-cert-url", 403;
    /// The signature of an SNS message is wrong.
    SnsSignature = "sns-signature", 403;
    /// The URL to confirm a subscription with is not at Amazon SNS.
    SnsSubscribeUrl = "sns-subscribe-url", 403;
    /// The SNS message is older than is accepted, or of the future.
    SnsTimestamp = "sns-timestamp", 403;
    /// The SNS topic is not one of those that are expected.
    SnsTopic = "sns-topic", 403;
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A delivery, or one record of it, was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {sentence}")]
pub struct Rejection {
    /// Why.
    pub reason: Reason,
    /// Where, as a path into the JSON: `$.Records[0].s3.object.key`. ` > ` leads into the document
    /// that a text holds.
    pub place: String,
    /// Why in words. It never repeats a long value.
    pub sentence: String,
}

/// Why a sound message is no news of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ignored {
    /// It tells of something else than a new version.
    NotACreate,
    /// The store tried whether it can reach us.
    TestEvent,
    /// The channel speaks of itself.
    ControlMessage,
    /// The object is announced and its content is still to come (Azure Data Lake `CreateFile`).
    NotCommitted,
}

impl Ignored {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::NotACreate,
        Self::TestEvent,
        Self::ControlMessage,
        Self::NotCommitted,
    ];

    /// The name in answers and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotACreate => "not-a-create",
            Self::TestEvent => "test-event",
            Self::ControlMessage => "control-message",
            Self::NotCommitted => "not-committed",
        }
    }
}

impl fmt::Display for Ignored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
