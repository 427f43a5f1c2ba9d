//! HAP's (Mingdao's) pair: an application's key and its `sign`, which is a long-lived secret and no signature.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ids::SecretId;

/// An application's key and its `sign`, as HAP (Mingdao) sends them: a long-lived pair, not a signature of the body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"pairs": [{"app_key": "d88a1f5e3c4b2a19", "signs": ["sec_01k9z3v8e5f2q8r7w6t5y4x3m2"]}], "places": ["headers"]}))]
pub struct AppKeySignSettings {
    /// The applications that may call.
    #[schema(min_items = 1, max_items = 10)]
    pub pairs: Vec<AppKeyPair>,
    /// Where the pair may stand; the first place that holds either half counts.
    #[serde(default = "headers")]
    #[schema(default = json!(["headers"]), min_items = 1, max_items = 3)]
    pub places: Vec<PairPlace>,
    /// The name of the key: by default `HAP-Appkey` among headers, `AppKey` elsewhere.
    #[serde(default)]
    #[schema(example = "AppKey", max_length = 100)]
    pub app_key_name: Option<String>,
    /// The name of the sign: by default `HAP-Sign` among headers, `Sign` elsewhere.
    #[serde(default)]
    #[schema(example = "Sign", max_length = 100)]
    pub sign_name: Option<String>,
}

fn headers() -> Vec<PairPlace> {
    vec![PairPlace::Headers]
}

/// An application and its signs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"app_key": "d88a1f5e3c4b2a19", "signs": ["sec_01k9z3v8e5f2q8r7w6t5y4x3m2"]}))]
pub struct AppKeyPair {
    /// The application's key, which is no secret.
    #[schema(min_length = 1, max_length = 200, example = "d88a1f5e3c4b2a19")]
    pub app_key: String,
    /// The live secrets that it may show as its sign.
    #[schema(min_items = 1, max_items = 10)]
    pub signs: Vec<SecretId>,
}

/// Where the pair may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PairPlace {
    /// In two headers.
    Headers,
    /// In two query parameters.
    Query,
    /// In two fields of a form, or of the object that a JSON body is.
    Body,
}
