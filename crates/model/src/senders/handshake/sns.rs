//! Amazon SNS' confirmation of a subscription
//! (<https://docs.aws.amazon.com/sns/latest/dg/http-subscription-confirmation-json.html>).
//!
//! The message is signed, and its topic is one of those that the webhook's authentication names: else it would not come
//! here. Its URL is visited only when it is one at which SNS confirms subscriptions to that same topic.

use serde::Deserialize;
use url::{Host, Url};

use super::{Fault, Outcome};

/// The URL that confirms a subscription: at SNS, over https.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscribeUrl(Url);

impl SubscribeUrl {
    /// The URL.
    pub const fn url(&self) -> &Url {
        &self.0
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Message {
    r#type: String,
    topic_arn: Option<String>,
    #[serde(rename = "SubscribeURL")]
    subscribe_url: Option<String>,
}

/// The URL to visit, when this is a confirmation.
pub(super) fn confirm(body: &[u8]) -> Option<Outcome> {
    let message: Message = serde_json::from_slice(body).ok()?;
    if message.r#type != "SubscriptionConfirmation" {
        return None;
    }
    let url = message
        .subscribe_url
        .zip(message.topic_arn)
        .and_then(|(url, topic)| check(&url, &topic));
    Some(match url {
        Some(url) => Outcome::Visit(SubscribeUrl(url)),
        None => Outcome::Refuse(Fault::Mismatch(
            "`SubscribeURL` is not one at which Amazon SNS confirms subscriptions to this topic.",
        )),
    })
}

fn check(text: &str, topic: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let is_plain = url.scheme() == "https"
        && url.port().is_none()
        && url.username().is_empty()
        && url.password().is_none()
        && url.fragment().is_none()
        && url.path() == "/";
    let Some(Host::Domain(host)) = url.host() else {
        return None;
    };
    let value = |name: &str| {
        let mut values = url.query_pairs().filter(|(candidate, _)| candidate == name);
        values
            .next()
            .filter(|_| values.next().is_none())
            .map(|(_, value)| value)
    };
    let confirms = value("Action").is_some_and(|action| action == "ConfirmSubscription")
        && value("TopicArn").is_some_and(|candidate| candidate == topic)
        && value("Token").is_some_and(|token| !token.is_empty());
    let is_right = is_plain && is_sns(host) && confirms;
    is_right.then(|| url.clone())
}

/// `sns.<region>.amazonaws.com`, or the same in China.
fn is_sns(host: &str) -> bool {
    let region = host.strip_prefix("sns.").and_then(|rest| {
        rest.strip_suffix(".amazonaws.com")
            .or_else(|| rest.strip_suffix(".amazonaws.com.cn"))
    });
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    region.is_some_and(|region| !region.is_empty() && region.bytes().all(fits))
}
