//! Messages of Amazon SNS: whether they count, and what they carry.

use super::{Decoder, Layer};
use crate::authentication::{SnsCheck, is_certificate_url, is_subscribe_url};
use crate::reader::{Fields, Place, shortened, time};
use crate::{Handshake, Ignored, Reason, Rejection, SnsSignatures, Told};

/// How far the clock of SNS may be ahead of ours.
const MAX_SKEW_SECONDS: i64 = 15 * 60;

impl Decoder<'_> {
    pub(super) fn sns(
        &mut self,
        envelope: &Fields<'_, '_>,
        certificate_name: &str,
        layer: Layer,
    ) -> Result<(), Rejection> {
        let settings = &self.settings.sns;
        let kind = envelope.need("Type")?;
        let topic = envelope.need("TopicArn")?;
        let over_http = layer == Layer::Request;
        if over_http {
            self.same_as_header(envelope, "Type", "x-amz-sns-message-type")?;
            self.same_as_header(envelope, "TopicArn", "x-amz-sns-topic-arn")?;
        }
        if over_http || !settings.topics.is_empty() {
            self.check_topic(topic, &envelope.place.member("TopicArn"))?;
        }
        if over_http || settings.signatures == SnsSignatures::Everywhere {
            let url = envelope.text(certificate_name)?.unwrap_or_default();
            if !is_certificate_url(url) {
                let sentence = format!("{} is not at Amazon SNS", shortened(url));
                return Err(envelope.reject(certificate_name, Reason::SnsCertUrl, sentence));
            }
            self.check_age(envelope)?;
            let check = SnsCheck::of(envelope, url, self.current)?;
            if settings.signatures != SnsSignatures::Nowhere {
                self.decoded.checks.push(check);
            }
        }
        match kind {
            "Notification" => {
                let read = self.text(envelope, "Message", Layer::Published);
                self.or_reject(read)
            }
            "SubscriptionConfirmation" if over_http => {
                let url = envelope.need("SubscribeURL")?;
                if !is_subscribe_url(url) {
                    let sentence = format!("{} confirms nothing at Amazon SNS", shortened(url));
                    return Err(envelope.reject("SubscribeURL", Reason::SnsSubscribeUrl, sentence));
                }
                self.push(Ok(Told::Handshake(Handshake::Confirm {
                    url: url.to_owned(),
                    topic: topic.to_owned(),
                    token: envelope.need("Token")?.to_owned(),
                })))
            }
            // Its URL would subscribe anew: it is never fetched.
            "UnsubscribeConfirmation" | "SubscriptionConfirmation" => {
                self.push(Ok(Told::Ignored {
                    reason: Ignored::ControlMessage,
                    what: format!("SNS says {kind}"),
                }))
            }
            other => {
                let sentence = format!("messages of the type {} are not known", shortened(other));
                Err(envelope.reject("Type", Reason::UnrecognisedShape, sentence))
            }
        }
    }

    fn same_as_header(
        &self,
        envelope: &Fields<'_, '_>,
        name: &str,
        header: &str,
    ) -> Result<(), Rejection> {
        let (told, shown) = (envelope.text(name)?, self.delivery.header(header));
        if shown.is_some_and(|shown| told != Some(shown)) {
            let sentence = format!("the header {header} says something else");
            return Err(envelope.reject(name, Reason::InconsistentEnvelope, sentence));
        }
        Ok(())
    }

    pub(super) fn check_topic(&self, topic: &str, place: &Place<'_>) -> Result<(), Rejection> {
        if self.settings.sns.allows(topic) {
            return Ok(());
        }
        let sentence = format!(
            "{} is not one of the topics that are listened to",
            shortened(topic)
        );
        Err(place.reject(Reason::SnsTopic, sentence))
    }

    fn check_age(&self, envelope: &Fields<'_, '_>) -> Result<(), Rejection> {
        let place = envelope.place.member("Timestamp");
        let sent = time(envelope.need("Timestamp")?, &place)?;
        let Some(max_age) = self.settings.sns.max_age else {
            return Ok(());
        };
        let age = self.now.as_second() - sent.as_second();
        if age < -MAX_SKEW_SECONDS {
            return Err(place.reject(Reason::SnsTimestamp, "it is in the future"));
        }
        if u64::try_from(age).is_ok_and(|age| age > max_age.as_secs()) {
            let sentence = format!("it is longer ago than {max_age:?}");
            return Err(place.reject(Reason::SnsTimestamp, sentence));
        }
        Ok(())
    }
}
