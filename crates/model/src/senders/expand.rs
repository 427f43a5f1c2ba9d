//! From what a tenant writes of a known sender to the authentication and the handshake that it stands for.

use serde_json::Value;
use uuid::Uuid;

use super::handshake::Handshake;
use super::preset::{Choice, Format, Origin, Preset, find};
use crate::authentication::{Authentication, Problem, ProblemCode, SenderSettings};
use crate::ids::SecretId;

/// The most characters of an option.
const OPTION_CHARACTERS: usize = 500;
/// The most characters of an option that holds keys.
const KEYS_CHARACTERS: usize = 20_000;

/// The authentication that a tenant's settings of a known sender stand for. It never is another sender.
///
/// # Errors
/// The first thing that cannot work, with a pointer relative to the settings.
pub fn authentication(settings: &SenderSettings) -> Result<Authentication, Problem> {
    let preset = require(settings)?;
    let filled = preset.fill(&preset.authentication, settings)?;
    let mut authentication: Authentication =
        serde_json::from_value(filled).map_err(|error| unfit(&error.to_string()))?;
    if let Some(seconds) = settings.tolerance_seconds
        && !set_tolerance(&mut authentication, seconds)
    {
        return Err(Problem::new(
            "/tolerance_seconds",
            ProblemCode::Invalid,
            format!("{} signs no time", preset.title),
        ));
    }
    // Without its secret, which is to come by pairing, nothing verifies: and that is right.
    let is_awaited = |problem: &Problem| preset.pairs() && problem.pointer.ends_with("/secrets");
    let problems = authentication.problems();
    match problems.into_iter().find(|problem| !is_awaited(problem)) {
        None => Ok(authentication),
        Some(problem) => Err(translate(problem)),
    }
}

/// The handshake of a known sender, with the secrets that the tenant's settings name.
///
/// # Errors
/// As [`authentication`].
pub fn handshake(settings: &SenderSettings) -> Result<Handshake, Problem> {
    let preset = require(settings)?;
    let Some(handshake) = &preset.handshake else {
        return Ok(Handshake::None {});
    };
    let filled = preset.fill(handshake, settings)?;
    serde_json::from_value(filled).map_err(|error| unfit(&error.to_string()))
}

/// The preset of the settings, whose needs they fulfil.
fn require(settings: &SenderSettings) -> Result<&'static Preset, Problem> {
    let preset = find(&settings.sender).ok_or_else(|| {
        Problem::new(
            "/sender",
            ProblemCode::NotFound,
            format!(
                "there is no sender `{}`; GET /v1/templates lists them",
                settings.sender
            ),
        )
    })?;
    let title = &preset.title;
    let given = [
        ("/secrets", settings.secrets.len(), preset.secrets.as_ref()),
        (
            "/public_keys",
            settings.public_keys.len(),
            preset.public_keys.as_ref(),
        ),
    ];
    for (pointer, count, need) in given {
        match need {
            Some(need) if count == 0 && need.origin != Origin::Pairing => {
                let detail = format!("{title} needs its {}: {}", need.label, need.hint);
                return Err(Problem::new(pointer, ProblemCode::Required, detail));
            }
            None if count > 0 => {
                let detail = format!("{title} takes none here");
                return Err(Problem::new(pointer, ProblemCode::Invalid, detail));
            }
            _ => {}
        }
    }
    let known = |name: &String| preset.options.iter().any(|choice| choice.name == *name);
    if let Some(name) = settings.options.keys().find(|name| !known(name)) {
        return Err(Problem::new(
            format!("/options/{}", escape(name)),
            ProblemCode::Invalid,
            format!("{title} has no such option"),
        ));
    }
    Ok(preset)
}

impl Preset {
    /// A document of the preset with the tenant's values.
    fn fill(&self, document: &Value, settings: &SenderSettings) -> Result<Value, Problem> {
        Ok(match document {
            Value::String(text) => self.fill_text(text, settings)?,
            Value::Array(items) => {
                let items = items.iter().map(|item| self.fill(item, settings));
                Value::Array(items.collect::<Result<_, _>>()?)
            }
            Value::Object(members) => {
                let members = members
                    .iter()
                    .map(|(name, value)| Ok((name.clone(), self.fill(value, settings)?)));
                Value::Object(members.collect::<Result<_, _>>()?)
            }
            other => other.clone(),
        })
    }

    fn fill_text(&self, text: &str, settings: &SenderSettings) -> Result<Value, Problem> {
        match text {
            "${secrets}" => return Ok(json_of(&settings.secrets)),
            "${public_keys}" => return Ok(json_of(&settings.public_keys)),
            _ => {}
        }
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${options.") {
            let (name, behind) = after.split_once('}').unwrap_or((after, ""));
            let choice = self.options.iter().find(|choice| choice.name == name);
            let choice = choice.ok_or_else(|| unfit(&format!("the preset has no option `{name}`")))?;
            let value = choice.value(settings)?;
            if choice.format == Format::JsonWebKeys {
                return Ok(serde_json::from_str(value).unwrap_or(Value::Null));
            }
            filled.push_str(before);
            filled.push_str(value);
            rest = behind;
        }
        filled.push_str(rest);
        Ok(Value::String(filled))
    }
}

impl Choice {
    fn value<'a>(&'a self, settings: &'a SenderSettings) -> Result<&'a str, Problem> {
        let pointer = format!("/options/{}", self.name);
        let given = settings.options.get(&self.name);
        let Some(value) = given.or(self.default.as_ref()) else {
            let detail = format!("must be given: {}. {}", self.label, self.hint);
            return Err(Problem::new(pointer, ProblemCode::Required, detail));
        };
        match self.format.check(value) {
            Ok(()) => Ok(value),
            Err(detail) => Err(Problem::new(pointer, ProblemCode::Invalid, detail)),
        }
    }
}

impl Format {
    fn check(self, value: &str) -> Result<(), &'static str> {
        let is_name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let most = if self == Self::JsonWebKeys {
            KEYS_CHARACTERS
        } else {
            OPTION_CHARACTERS
        };
        if value.is_empty() || value.chars().count() > most {
            return Err("must not be empty, nor have more than 500 characters (20,000 for keys)");
        }
        match self {
            Self::Text if value.contains(char::is_control) => Err("must be of visible characters"),
            Self::Name if !value.chars().all(is_name) => Err("must be of letters, digits, `-`, `_` and `.`"),
            Self::Secret if value.parse::<SecretId>().is_err() => Err("must be the id of a secret, `sec_…`"),
            Self::Uuid if Uuid::try_parse(value).is_err() || value.len() != 36 => {
                Err("must be a UUID such as `0bf30f3b-4a52-48df-9a82-234910c4a086`")
            }
            Self::JsonWebKeys
                if serde_json::from_str::<Vec<serde_json::Map<String, Value>>>(value).is_err() =>
            {
                Err("must be JSON Web Keys: a list of objects, in JSON")
            }
            _ => Ok(()),
        }
    }
}

/// Sets how far the time of signing may be off, wherever a time is signed; `false` when none is.
fn set_tolerance(authentication: &mut Authentication, seconds: u32) -> bool {
    let timestamp = match authentication {
        Authentication::Hmac(settings) => &mut settings.timestamp,
        Authentication::PublicKey(settings) => &mut settings.timestamp,
        Authentication::Jwt(settings) => {
            let is_signed = settings.max_age_seconds.is_some();
            settings.max_age_seconds = settings.max_age_seconds.map(|_| seconds);
            return is_signed;
        }
        Authentication::AllOf { of } | Authentication::AnyOf { of } => {
            let set: Vec<bool> = of.iter_mut().map(|one| set_tolerance(one, seconds)).collect();
            return set.contains(&true);
        }
        _ => return false,
    };
    match timestamp {
        Some(timestamp) => {
            timestamp.tolerance_seconds = seconds;
            true
        }
        None => false,
    }
}

/// A problem of the authentication, as one of the settings that were filled in.
fn translate(problem: Problem) -> Problem {
    let pointer = match problem.pointer.rsplit_once("/keys") {
        Some((_, place)) => format!("/public_keys{place}"),
        None if problem.pointer.contains("/secrets") => "/secrets".to_owned(),
        None if problem.pointer.ends_with("/tolerance_seconds") => "/tolerance_seconds".to_owned(),
        None => "/options".to_owned(),
    };
    Problem { pointer, ..problem }
}

/// What was filled in makes no authentication.
fn unfit(detail: &str) -> Problem {
    Problem::new("/options", ProblemCode::Invalid, detail)
}

fn json_of(value: impl serde::Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

/// A name as a segment of a JSON Pointer.
fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
