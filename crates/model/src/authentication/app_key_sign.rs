//! HAP's (Mingdao's) pair: an application's key and its `sign`, which is a long-lived secret and no signature.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::json::Wanted;
use super::pairs::Found;
use super::place::{HeaderName, ParameterName, Pointer};
use super::problem::{Problem, ProblemCode, check_count, check_some_text};
use super::secret_set::{Known, MAX_SECRETS, SecretSet};
use super::source::{Source, Spot};
use super::trace::Trace;
use super::verdict::{Accepted, Denial, DenialCode};
use super::verifier::{Look, Material, Outcome, Stop};
use crate::ids::SecretId;

/// How many applications there may be.
const MAX_PAIRS: usize = 10;
/// The longest key of an application, in characters.
const MAX_APP_KEY: usize = 200;
/// The longest name of a header or parameter, in characters.
const MAX_NAME: usize = 100;

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

impl AppKeySignSettings {
    pub(super) fn check(&self, problems: &mut Vec<Problem>) {
        check_count(problems, "/pairs", self.pairs.len(), MAX_PAIRS);
        for (index, pair) in self.pairs.iter().enumerate() {
            let at = format!("/pairs/{index}");
            check_some_text(problems, &format!("{at}/app_key"), &pair.app_key, MAX_APP_KEY);
            check_count(problems, &format!("{at}/signs"), pair.signs.len(), MAX_SECRETS);
            if self
                .pairs
                .iter()
                .take(index)
                .any(|other| other.app_key == pair.app_key)
            {
                let detail = "is there already: give that application several signs";
                problems.push(Problem::new(
                    format!("{at}/app_key"),
                    ProblemCode::Invalid,
                    detail,
                ));
            }
        }
        check_count(problems, "/places", self.places.len(), PairPlace::ALL.len());
        let names = [
            ("/app_key_name", &self.app_key_name),
            ("/sign_name", &self.sign_name),
        ];
        for (at, name) in names {
            let Some(name) = name else { continue };
            check_some_text(problems, at, name, MAX_NAME);
            if self.places.contains(&PairPlace::Headers) && HeaderName::parse(name).is_err() {
                problems.push(Problem::new(
                    at,
                    ProblemCode::Invalid,
                    "is not the name of a header",
                ));
            }
        }
        if self.app_key_name.is_some() && self.app_key_name == self.sign_name {
            problems.push(Problem::new(
                "/sign_name",
                ProblemCode::Invalid,
                "must differ from `app_key_name`",
            ));
        }
    }

    /// The names of the key and of its sign at a place.
    pub(crate) fn names(&self, place: PairPlace) -> [&str; 2] {
        let [app_key, sign] = match place {
            PairPlace::Headers => ["HAP-Appkey", "HAP-Sign"],
            PairPlace::Query | PairPlace::Body => ["AppKey", "Sign"],
        };
        [
            self.app_key_name.as_deref().unwrap_or(app_key),
            self.sign_name.as_deref().unwrap_or(sign),
        ]
    }

    fn spots(&self, place: PairPlace, wanted: &mut Wanted) -> Option<Vec<(Spot, Spot)>> {
        let names = self.names(place);
        let parameter = |name: &str| ParameterName::parse(name).ok();
        let [app_key, sign] = names;
        Some(match place {
            PairPlace::Headers => vec![(
                Spot::Header(HeaderName::parse(app_key).ok()?),
                Spot::Header(HeaderName::parse(sign).ok()?),
            )],
            PairPlace::Query => vec![(Spot::Query(parameter(app_key)?), Spot::Query(parameter(sign)?))],
            PairPlace::Body => {
                let mut member = |name: &str| {
                    let pointer = Pointer::to_member(name);
                    Spot::Body(wanted.add(&pointer), pointer)
                };
                let members = (member(app_key), member(sign));
                vec![
                    (Spot::Form(parameter(app_key)?), Spot::Form(parameter(sign)?)),
                    members,
                ]
            }
        })
    }
}

impl PairPlace {
    const ALL: [Self; 3] = [Self::Headers, Self::Query, Self::Body];
}

/// The check of an application's key and its sign.
pub(super) struct AppKeySign {
    wanted: Wanted,
    spots: Vec<(Spot, Spot)>,
    pairs: Vec<(Known, SecretSet)>,
}

impl AppKeySign {
    pub fn compile(settings: &AppKeySignSettings, material: &Material) -> Result<Self, Problem> {
        let mut wanted = Wanted::default();
        let spots = settings
            .places
            .iter()
            .filter_map(|place| settings.spots(*place, &mut wanted));
        let spots = spots.flatten().collect();
        let pairs = settings.pairs.iter().enumerate().map(|(index, pair)| {
            let signs = SecretSet::compile(&pair.signs, material, &format!("/pairs/{index}/signs"))?;
            Ok((Known::new(&pair.app_key), signs))
        });
        Ok(Self {
            pairs: pairs.collect::<Result<_, Problem>>()?,
            wanted,
            spots,
        })
    }

    pub fn needs_body(&self) -> bool {
        self.spots.iter().any(|(app_key, _)| app_key.is_in_body())
    }

    pub fn verify(&self, look: &Look<'_>, trace: &mut Trace) -> Outcome {
        let mut source = Source::head(look.request);
        for (app_key, sign) in &self.spots {
            if app_key.is_in_body() {
                if !look.has_body {
                    return Err(Stop::NeedsBody);
                }
                if matches!(app_key, Spot::Body(..)) {
                    if source.is_form() {
                        continue;
                    }
                    source = Source::whole(look.request, &self.wanted)?;
                }
            }
            let found = (source.find(app_key)?, source.find(sign)?);
            if found == (Found::Missing, Found::Missing) {
                continue;
            }
            let id = self.find(&found, app_key, sign)?;
            trace.passed("app_key_sign", || {
                format!("{app_key} and {sign} hold an application's key and its sign, {id}")
            });
            return Ok(Accepted {
                secret: Some(id),
                ..Accepted::default()
            });
        }
        Err(self.missing().into())
    }

    fn find(&self, found: &(Found<'_>, Found<'_>), app_key: &Spot, sign: &Spot) -> Result<SecretId, Denial> {
        let (Found::One(key), Found::One(secret)) = found else {
            return Err(Denial::new(
                DenialCode::CredentialsWrong,
                format!("There must be both {app_key} and {sign}, each once."),
            ));
        };
        let mut accepted = None;
        for (known, signs) in &self.pairs {
            let is_key = known.equals(key);
            let sign = signs.find(secret);
            if bool::from(is_key) {
                accepted = sign;
            }
        }
        accepted.ok_or_else(|| {
            Denial::new(
                DenialCode::CredentialsWrong,
                format!("The pair in {app_key} and {sign} is not valid for this webhook."),
            )
        })
    }

    fn missing(&self) -> Denial {
        let places: Vec<String> = self
            .spots
            .iter()
            .map(|(app_key, sign)| format!("{app_key} and {sign}"))
            .collect();
        Denial::new(
            DenialCode::CredentialsMissing,
            format!(
                "This webhook requires an application's key and its sign: send {}.",
                places.join(", or ")
            ),
        )
    }
}

#[cfg(test)]
mod tests;
