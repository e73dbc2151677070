//! What the config says about a function that runs elsewhere.

use std::collections::BTreeMap;
use std::fmt;

use hyper::Uri;
use hyper::header::{HeaderName, HeaderValue};
use thiserror::Error;

/// Names in the query of a URL that tell a secret. The URL is recorded, a header is not.
const SECRET_PARAMETERS: [&str; 6] = ["code", "key", "sig", "signature", "token", "api_key"];

/// Headers of a request that its sender makes, or the client.
const OWN_HEADERS: [&str; 7] = [
    "connection",
    "content-length",
    "content-type",
    "host",
    "traceparent",
    "transfer-encoding",
    "upgrade",
];

/// A target that is not understood. Correct the config.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct TargetError(String);

/// Where a remote function is.
#[derive(Clone, Debug)]
pub enum RemoteSpec {
    /// A function of AWS Lambda.
    Lambda(LambdaSpec),
    /// Whatever takes CloudEvents over HTTP.
    Http(HttpSpec),
}

/// A function of AWS Lambda, and how it is reached.
#[derive(Clone)]
pub struct LambdaSpec {
    /// Which one.
    pub arn: LambdaArn,
    /// The URL of the service; `None` is AWS in the ARN's region.
    pub endpoint: Option<String>,
    /// The profile of the AWS files.
    pub profile: Option<String>,
    /// Access key and secret key; without them they are looked for where AWS's own tools look.
    pub key: Option<(String, String)>,
}

impl fmt::Debug for LambdaSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LambdaSpec")
            .field("arn", &self.arn.to_string())
            .field("endpoint", &self.endpoint)
            .field("profile", &self.profile)
            .field("access_key", &self.key.as_ref().map(|(access, _)| access))
            .finish_non_exhaustive()
    }
}

/// The name of a Lambda function, possibly with a version or an alias:
/// `arn:aws:lambda:REGION:ACCOUNT:function:NAME[:QUALIFIER]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LambdaArn {
    /// It without the qualifier.
    pub(crate) function: String,
    /// The version or alias.
    pub(crate) qualifier: Option<String>,
    /// The region.
    pub(crate) region: String,
    partition: String,
}

impl LambdaArn {
    /// Takes an ARN apart.
    pub fn parse(text: &str) -> Result<Self, TargetError> {
        let parts: Vec<&str> = text.split(':').collect();
        let plain = |part: &&str| {
            let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-_$".contains(&byte);
            !part.is_empty() && part.bytes().all(known)
        };
        match parts.as_slice() {
            [
                "arn",
                partition,
                "lambda",
                region,
                _,
                "function",
                _,
                rest @ ..,
            ] if rest.len() <= 1 && parts.iter().all(plain) => Ok(Self {
                function: parts[..7].join(":"),
                qualifier: rest.first().map(|&qualifier| qualifier.to_owned()),
                region: (*region).to_owned(),
                partition: (*partition).to_owned(),
            }),
            _ => Err(TargetError(format!(
                "{text:?} is no ARN of a function; write \
                 arn:aws:lambda:REGION:ACCOUNT:function:NAME, with :VERSION or :ALIAS where one is meant"
            ))),
        }
    }

    /// Where AWS serves it; `None` where that is not known here.
    pub fn endpoint(&self) -> Option<String> {
        let domain = match self.partition.as_str() {
            "aws" | "aws-us-gov" => "amazonaws.com",
            "aws-cn" => "amazonaws.com.cn",
            _ => return None,
        };
        Some(format!("https://lambda.{}.{domain}", self.region))
    }

    /// Whether it names a published version, whose code never changes.
    pub(crate) fn is_version(&self) -> bool {
        let digits = |text: &String| text.bytes().all(|byte| byte.is_ascii_digit());
        self.qualifier.as_ref().is_some_and(digits)
    }
}

impl fmt::Display for LambdaArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.function)?;
        match &self.qualifier {
            Some(qualifier) => write!(f, ":{qualifier}"),
            None => Ok(()),
        }
    }
}

/// A function behind HTTP.
#[derive(Clone)]
pub struct HttpSpec {
    /// Where it takes events.
    pub url: HttpUrl,
    /// Headers of each request. They may hold secrets: `Debug` shows the names only.
    pub headers: HttpHeaders,
    /// How the event lies in the request.
    pub mode: EventMode,
    /// Whether it may be at an address that the internet does not reach.
    pub private_addresses: bool,
}

impl fmt::Debug for HttpSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpSpec")
            .field("url", &self.url.as_str())
            .field("headers", &self.headers.names())
            .field("mode", &self.mode)
            .field("private_addresses", &self.private_addresses)
            .finish()
    }
}

/// The URL of a function: without a password, since it is recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpUrl {
    text: String,
    pub(crate) uri: Uri,
}

impl HttpUrl {
    /// Checks a URL.
    pub fn parse(text: &str) -> Result<Self, TargetError> {
        let wrong = |what: &str| Err(TargetError(format!("{what}; write https://HOST/PATH")));
        let Ok(uri) = text.parse::<Uri>() else {
            return wrong("it is no URL");
        };
        if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none() {
            return wrong("it is neither https:// nor http:// with a host");
        }
        if uri.authority().is_some_and(|it| it.as_str().contains('@')) {
            return wrong("it has a password, and would be recorded; give that as a header");
        }
        if text.contains('#') {
            return wrong("it has a fragment, which is never sent");
        }
        for parameter in uri.query().unwrap_or_default().split('&') {
            let name = parameter.split('=').next().unwrap_or_default();
            if SECRET_PARAMETERS.contains(&name.to_ascii_lowercase().as_str()) {
                return wrong(&format!(
                    "its parameter {name} looks like a secret, and the URL is recorded; give it as a \
                     header, as in headers = {{ x-functions-key = {{ env = \"NAME\" }} }}"
                ));
            }
        }
        Ok(Self {
            text: text.to_owned(),
            uri,
        })
    }

    /// It as the config has it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub(crate) fn is_https(&self) -> bool {
        self.uri.scheme_str() == Some("https")
    }
}

/// The headers that the config adds.
#[derive(Clone, Default)]
pub struct HttpHeaders(pub(crate) Vec<(HeaderName, HeaderValue)>);

impl HttpHeaders {
    /// Checks names and values. An error does not tell a value.
    pub fn parse(headers: &BTreeMap<String, String>) -> Result<Self, TargetError> {
        let parse = |(name, value): (&String, &String)| {
            let wrong = |what: &str| TargetError(format!("header {name:?} {what}"));
            let parsed: HeaderName = name.parse().map_err(|_| wrong("is no name of a header"))?;
            if OWN_HEADERS.contains(&parsed.as_str()) || parsed.as_str().starts_with("ce-") {
                return Err(wrong("is set by Daybook itself; leave it out"));
            }
            let mut value: HeaderValue = value
                .parse()
                .map_err(|_| wrong("has a value that no header can have"))?;
            value.set_sensitive(true);
            Ok((parsed, value))
        };
        headers
            .iter()
            .map(parse)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Their names.
    pub fn names(&self) -> Vec<&str> {
        self.0.iter().map(|(name, _)| name.as_str()).collect()
    }
}

/// How a CloudEvent lies in a request (CloudEvents 1.0, HTTP protocol binding, "Content Modes").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventMode {
    /// The attributes as headers, the data as the body.
    Binary,
    /// All of it as one JSON document.
    Structured,
}

impl EventMode {
    /// Its name in the config.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Binary => "binary",
            Self::Structured => "structured",
        }
    }
}

impl std::str::FromStr for EventMode {
    type Err = TargetError;
    fn from_str(text: &str) -> Result<Self, TargetError> {
        [Self::Binary, Self::Structured]
            .into_iter()
            .find(|mode| mode.as_str() == text)
            .ok_or_else(|| {
                TargetError(format!("{text:?} is neither \"binary\" nor \"structured\""))
            })
    }
}

#[cfg(test)]
mod tests;
