//! The check of signed tokens: the signature first, then what the token claims. Nothing that it says is believed before.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use jsonwebtoken::Header;
use serde_json::{Map, Value};
use subtle::ConstantTimeEq;

use super::hashing::SIGNATURE_BYTES;
use super::json::Wanted;
use super::jwt::JwtSettings;
use super::jwt_keys::{KeySource, Verified};
use super::jwt_token::Token;
use super::pairs::Found;
use super::place::{HeaderName, Place};
use super::problem::Problem;
use super::source::{Source, Spot};
use super::static_token::strip_scheme;
use super::trace::Trace;
use super::verdict::{Accepted, Denial, DenialCode};
use super::verifier::{Look, Material, Outcome, Stop};

/// The check of a token.
pub(super) struct JwtCheck {
    wanted: Wanted,
    at: Spot,
    prefix: Vec<u8>,
    keys: KeySource,
    settings: JwtSettings,
}

impl JwtCheck {
    pub fn compile(settings: &JwtSettings, material: &Material) -> Result<Self, Problem> {
        let mut wanted = Wanted::default();
        let is_authorization = settings.at
            == (Place::Header {
                name: HeaderName::authorization(),
            });
        let prefix = settings.prefix.clone().unwrap_or_else(|| {
            let prefix = if is_authorization { "Bearer " } else { "" };
            prefix.to_owned()
        });
        Ok(Self {
            at: Spot::compile(&settings.at, &mut wanted),
            wanted,
            prefix: prefix.into_bytes(),
            keys: KeySource::compile(&settings.keys, &settings.algorithms, material)?,
            settings: settings.clone(),
        })
    }

    pub fn needs_body(&self) -> bool {
        self.at.is_in_body() || self.settings.body_hash.is_some()
    }

    pub fn verify(&self, look: &Look<'_>, trace: &mut Trace) -> Outcome {
        if self.at.is_in_body() && !look.has_body {
            return Err(Stop::NeedsBody);
        }
        let source = Source::whole(look.request, &self.wanted)?;
        let text = self.presented(&source)?;
        let token = self.read(&text)?;
        let Header { alg, kid, .. } = &token.header;
        trace.passed("token", || {
            let key = kid.as_deref().unwrap_or("without a name");
            format!("{} holds a token signed with {alg:?}, key {key}", self.at)
        });
        let Verified::With(secret) = self.keys.verify(&token, look.keys)? else {
            let detail = "The token's signature belongs to none of the keys.";
            return Err(Denial::new(DenialCode::SignatureWrong, detail).into());
        };
        trace.passed("signature", || {
            "the token's signature belongs to one of the keys".to_owned()
        });
        let claims = token.claims()?;
        let signed_at = self.check_claims(&claims, look.request.now)?;
        trace.passed("claims", || "the token's claims are as they must be".to_owned());
        self.check_body(&claims, look, trace)?;
        Ok(Accepted {
            secret,
            signed_at,
            ..Accepted::default()
        })
    }

    fn presented<'r>(&self, source: &Source<'r>) -> Result<Cow<'r, [u8]>, Denial> {
        let value = match source.find(&self.at)? {
            Found::One(value) => value,
            Found::Missing => {
                let detail = format!("This webhook requires a token (JWT): there is no {}.", self.at);
                return Err(Denial::new(DenialCode::TokenMissing, detail));
            }
            Found::Several => return Err(malformed(format!("The {} is there more than once.", self.at))),
        };
        let token = strip_scheme(&value, &self.prefix).map(|token| token.trim_ascii().to_vec());
        token.map(Cow::Owned).ok_or_else(|| {
            let prefix = String::from_utf8_lossy(&self.prefix).into_owned();
            malformed(format!("The {} does not begin with `{prefix}`.", self.at))
        })
    }

    fn read<'t>(&self, text: &'t [u8]) -> Result<Token<'t>, Denial> {
        let token = Token::read(text).ok_or_else(|| {
            malformed("The token is not a signed JWT of up to 16 KiB: expected header.claims.signature.")
        })?;
        if token.header.crit.is_some() {
            return Err(malformed(
                "The token has critical header parameters, which are not known here.",
            ));
        }
        if !self
            .settings
            .algorithms
            .iter()
            .any(|allowed| allowed.to_library() == token.header.alg)
        {
            return Err(malformed(format!(
                "The token is signed with {:?}, which is not allowed.",
                token.header.alg
            )));
        }
        Ok(token)
    }

    /// Returns the time of signing, if the token says it.
    fn check_claims(
        &self,
        claims: &Map<String, Value>,
        now: DateTime<Utc>,
    ) -> Result<Option<DateTime<Utc>>, Denial> {
        let settings = &self.settings;
        let leeway = i64::from(settings.leeway_seconds);
        let now = now.timestamp();
        match seconds(claims, "exp")? {
            None if settings.require_expiry => return Err(wrong("The token has no `exp`.")),
            Some(end) if end.saturating_add(leeway) <= now => {
                let detail = format!("The token expired {} s ago.", now.saturating_sub(end));
                return Err(Denial::new(DenialCode::TokenExpired, detail));
            }
            _ => {}
        }
        if seconds(claims, "nbf")?.is_some_and(|start| start.saturating_sub(leeway) > now) {
            return Err(wrong("The token is not valid yet, by `nbf`."));
        }
        let issued = seconds(claims, "iat")?;
        if issued.is_some_and(|issued| issued.saturating_sub(leeway) > now) {
            return Err(wrong("The token was issued in the future, by `iat`."));
        }
        if let Some(most) = settings.max_age_seconds {
            let Some(issued) = issued else {
                return Err(wrong("The token has no `iat`, which bounds its age."));
            };
            if now.saturating_sub(issued) > i64::from(most).saturating_add(leeway) {
                let detail = format!(
                    "The token is {} s old, and may be {most} s.",
                    now.saturating_sub(issued)
                );
                return Err(Denial::new(DenialCode::TokenExpired, detail));
            }
        }
        let issuer = claims.get("iss").and_then(Value::as_str);
        if !settings.issuers.is_empty()
            && !settings
                .issuers
                .iter()
                .any(|allowed| Some(allowed.as_str()) == issuer)
        {
            return Err(wrong("The token's issuer (`iss`) is not one of those allowed."));
        }
        let is_meant = |audience: &Value| {
            settings
                .audiences
                .iter()
                .any(|allowed| audience.as_str() == Some(allowed))
        };
        let is_for_us = match claims.get("aud") {
            Some(Value::Array(audiences)) => audiences.iter().any(is_meant),
            Some(audience) => is_meant(audience),
            None => false,
        };
        if !settings.audiences.is_empty() && !is_for_us {
            return Err(wrong("The token's audience (`aud`) is not one of those allowed."));
        }
        for (name, wanted) in &settings.claims {
            if claims.get(name) != Some(wanted) {
                return Err(wrong(format!(
                    "The token's claim `{name}` is missing or not the demanded one."
                )));
            }
        }
        Ok(issued.and_then(DateTime::from_timestamp_secs))
    }

    fn check_body(
        &self,
        claims: &Map<String, Value>,
        look: &Look<'_>,
        trace: &mut Trace,
    ) -> Result<(), Stop> {
        let Some(settings) = &self.settings.body_hash else {
            return Ok(());
        };
        if !look.has_body {
            return Err(Stop::NeedsBody);
        }
        let claimed = claims.get(&settings.claim).and_then(Value::as_str);
        let mut buffer = [0; SIGNATURE_BYTES];
        let claimed = claimed.and_then(|claimed| settings.encoding.decode(claimed.as_bytes(), &mut buffer));
        let mut hasher = settings.hash.hasher();
        hasher.update(look.request.body);
        let is_right = claimed.is_some_and(|claimed| bool::from(hasher.finish().as_bytes().ct_eq(claimed)));
        if is_right {
            trace.passed("body_hash", || {
                format!("the claim `{}` is the hash of the body", settings.claim)
            });
            Ok(())
        } else {
            let detail = format!(
                "The token's claim `{}` is not the hash of the body.",
                settings.claim
            );
            Err(Denial::new(DenialCode::SignatureWrong, detail).into())
        }
    }
}

/// A time in a claim (RFC 7519, section 2: NumericDate), rounded down.
fn seconds(claims: &Map<String, Value>, name: &str) -> Result<Option<i64>, Denial> {
    /// Beyond every calendar, and exact as a floating-point number.
    const MOST: f64 = 9_007_199_254_740_992.0;
    match claims.get(name) {
        None => Ok(None),
        Some(Value::Number(number)) => match (number.as_i64(), number.as_f64()) {
            (Some(seconds), _) => Ok(Some(seconds)),
            #[allow(clippy::cast_possible_truncation, reason = "it is within bounds")]
            (None, Some(seconds)) if seconds.abs() < MOST => Ok(Some(seconds.floor() as i64)),
            _ => Err(wrong(format!("The token's claim `{name}` is no time."))),
        },
        Some(_) => Err(wrong(format!("The token's claim `{name}` is no time."))),
    }
}

pub(super) fn malformed(detail: impl Into<Cow<'static, str>>) -> Denial {
    Denial::new(DenialCode::TokenMalformed, detail)
}

fn wrong(detail: impl Into<Cow<'static, str>>) -> Denial {
    Denial::new(DenialCode::TokenClaimWrong, detail)
}

#[cfg(test)]
mod tests;
