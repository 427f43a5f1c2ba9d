//! The value of a secret, as it is given or generated.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hookgate_domain::{clock, limits};
use hookgate_model::outbound_signature;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use zeroize::Zeroizing;

use crate::error::FieldCode;
use crate::fields::{Read, wrong};

/// The random bytes of a generated value.
const RANDOM_BYTES: usize = 32;

/// The form in which a value is generated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = SecretForm)]
pub enum Form {
    /// 64 hexadecimal digits.
    Hex,
    /// 44 characters of base64.
    Base64,
    /// `whsec_` and base64, as Standard Webhooks has it.
    Whsec,
}

/// The text names no form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoForm;

impl fmt::Display for NoForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected one of: hex, base64, whsec")
    }
}

impl FromStr for Form {
    type Err = NoForm;
    fn from_str(text: &str) -> Result<Self, NoForm> {
        match text {
            "hex" => Ok(Self::Hex),
            "base64" => Ok(Self::Base64),
            "whsec" => Ok(Self::Whsec),
            _ => Err(NoForm),
        }
    }
}

impl Form {
    /// A new value.
    pub fn generate(self) -> Zeroizing<String> {
        let bytes = Zeroizing::new(clock::secret_bytes::<RANDOM_BYTES>());
        Zeroizing::new(match self {
            Self::Hex => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
            Self::Base64 => STANDARD.encode(*bytes),
            Self::Whsec => format!("{}{}", outbound_signature::PREFIX, STANDARD.encode(*bytes)),
        })
    }
}

/// Reads a given value. The white space around it comes from copying it; a key in PEM form has line breaks inside.
pub fn read(value: Value) -> Read<Zeroizing<String>> {
    let Value::String(given) = value else {
        return wrong(FieldCode::WrongType, "must be a string");
    };
    let given = Zeroizing::new(given);
    let value = given.trim();
    if value.is_empty() {
        wrong(FieldCode::TooShort, "must have at least 1 character")
    } else if value.len() > limits::SECRET_BYTES {
        wrong(
            FieldCode::TooLong,
            format!("may have at most {} bytes", limits::SECRET_BYTES),
        )
    } else if value.contains('\0') {
        wrong(FieldCode::Invalid, "may not hold NUL")
    } else {
        Ok(Zeroizing::new(value.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_generated_in_their_form() {
        for (form, length) in [(Form::Hex, 64), (Form::Base64, 44), (Form::Whsec, 50)] {
            let (one, other) = (form.generate(), form.generate());
            assert_eq!(one.len(), length, "{form:?}");
            assert_ne!(one, other);
        }
        assert!(Form::Whsec.generate().starts_with("whsec_"));
    }

    #[test]
    fn a_given_value_keeps_all_but_the_white_space_around_it() {
        let value = |text: &str| read(Value::from(text)).map(|value| value.to_string());
        assert_eq!(value(" two words\n"), Ok("two words".to_owned()));
        assert_eq!(value("a\nb"), Ok("a\nb".to_owned()));
        for wrong in ["", " \n", "a\0b"] {
            assert!(value(wrong).is_err());
        }
        assert!(value(&"x".repeat(limits::SECRET_BYTES + 1)).is_err());
    }
}
