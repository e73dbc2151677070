//! What was found in a delivery.

use bytes::Bytes;

use crate::authentication::{CertificateError, Certificates, SnsCheck};
use crate::{Ignored, Notification, Rejection};

/// What was found in a delivery.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decoded {
    /// The messages of the transport that the delivery consists of: one of an HTTP request or an
    /// event, as many as came of a queue. One without items is done with.
    pub messages: Vec<Message>,
    /// What they say, in their order.
    pub items: Vec<Item>,
    /// What has to hold before the items count, see [`Decoded::authenticate`].
    pub checks: Vec<SnsCheck>,
}

/// A message of the transport.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// What the transport calls it: an SQS message id.
    pub id: Option<String>,
    /// What it is acknowledged with: an SQS receipt handle.
    pub receipt: Option<String>,
}

/// One thing that a delivery says.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// Which of [`Decoded::messages`] says it.
    pub message: usize,
    /// What it says.
    pub told: Told,
}

/// What one record says.
#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    /// Something happened to an object.
    Notification(Box<Notification>),
    /// It is sound, and no news of an object.
    Ignored {
        /// Why.
        reason: Ignored,
        /// What it is, in words.
        what: String,
    },
    /// The sender asks whether it may send.
    Handshake(Handshake),
    /// It is refused.
    Rejected(Rejection),
}

/// The sender asks whether it may send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Handshake {
    /// The answer says that it may.
    Reply(Reply),
    /// A URL says that it may, once it is fetched with GET: an SNS subscription.
    Confirm {
        /// The URL. It leads to Amazon SNS.
        url: String,
        /// The topic. It is one of those that are listened to.
        topic: String,
        /// The token: what was confirmed with it once need not be again.
        token: String,
    },
}

/// What to answer to a handshake.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// Headers, names in lower case.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Bytes,
}

impl Reply {
    /// Its HTTP status.
    pub const STATUS: u16 = 200;
}

impl Decoded {
    /// Nothing but a refusal of the whole delivery.
    pub(crate) fn refused(rejection: Rejection) -> Self {
        Self {
            messages: vec![Message::default()],
            items: vec![Item {
                message: 0,
                told: Told::Rejected(rejection),
            }],
            checks: Vec::new(),
        }
    }

    /// Does the checks that need a certificate: the items of a message that fails one give way to
    /// its rejection. An error means that nothing is known yet, and the sender should try again.
    pub async fn authenticate(
        mut self,
        certificates: &dyn Certificates,
    ) -> Result<Self, CertificateError> {
        for check in std::mem::take(&mut self.checks) {
            let verified = match certificates.certificate(check.certificate_url()).await {
                Ok(certificate) => check.verify(&certificate),
                Err(CertificateError::Refused(why)) => Err(check.refuse(&why)),
                Err(unavailable @ CertificateError::Unavailable(_)) => return Err(unavailable),
            };
            if let Err(rejection) = verified {
                self.reject(check.message(), rejection);
            }
        }
        Ok(self)
    }

    /// Puts a rejection in the place of all that a message says.
    fn reject(&mut self, message: usize, rejection: Rejection) {
        let mut items = self.items.iter();
        let at = items.position(|item| item.message >= message);
        let at = at.unwrap_or(self.items.len());
        self.items.retain(|item| item.message != message);
        let told = Told::Rejected(rejection);
        self.items.insert(at, Item { message, told });
    }

    /// The answer to the handshake of the delivery, if it is one.
    pub fn reply(&self) -> Option<&Reply> {
        self.items.iter().find_map(|item| match &item.told {
            Told::Handshake(Handshake::Reply(reply)) => Some(reply),
            _ => None,
        })
    }
}
