//! Where a destination leads secrets: its own, and those of the flows that call it.

use hookgate_domain::destinations::{Destination, DestinationSettings};
use hookgate_model::base_url::BaseUrl;
use hookgate_model::outbound_authentication::{ClientCertificate, OutboundAuthentication};

/// What a destination presents, and to whom.
pub struct SentSecrets {
    base_url: String,
    authentication: OutboundAuthentication,
    client_certificate: Option<ClientCertificate>,
}

impl SentSecrets {
    /// As it is now.
    pub fn of(destination: &Destination) -> Self {
        Self {
            base_url: destination.base_url.clone(),
            authentication: destination.authentication.clone(),
            client_certificate: destination.client_certificate.clone(),
        }
    }

    /// Whether secrets can reach somebody with these settings whom they did not reach before.
    pub fn are_led_elsewhere(&self, settings: &DestinationSettings) -> bool {
        let stays = BaseUrl::parse(&self.base_url).is_ok_and(|own| own.is_same_server(&settings.base_url));
        let presents_the_same = self.authentication == settings.authentication
            && self.client_certificate == settings.client_certificate;
        !stays || (!presents_the_same && presents_secrets(settings))
    }
}

/// Whether a destination presents secrets of its own.
pub fn presents_secrets(settings: &DestinationSettings) -> bool {
    !settings.authentication.secret_places().is_empty() || settings.client_certificate.is_some()
}
