//! Which web pages may call a webhook, as the API takes it.

use hookgate_model::cors::{Cors, FieldName, MAX_AGE_SECONDS, MAX_HEADERS, MAX_ORIGINS, Origin};
use serde_json::Value;

use crate::error::{FieldCode, FieldError};
use crate::fields::{Fields, FromFields, Read, boolean, integer, list, object, parsed};

/// Reads it, and checks what its fields are together.
pub fn read(value: Value) -> Read<Cors> {
    let cors: Cors = object(value)?;
    match cors.problem() {
        None => Ok(cors),
        Some((pointer, detail)) => Err(vec![FieldError {
            pointer: pointer.to_owned(),
            code: FieldCode::Invalid,
            detail: detail.to_owned(),
        }]),
    }
}

impl FromFields for Cors {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let defaults = Self::of_origins(Vec::new());
        let headers = |value| list(0..=MAX_HEADERS, parsed::<FieldName>)(value);
        let allowed_origins = fields.required("allowed_origins", list(1..=MAX_ORIGINS, parsed::<Origin>));
        let allowed_headers = fields.or("allowed_headers", defaults.allowed_headers, headers);
        let exposed_headers = fields.or("exposed_headers", defaults.exposed_headers, headers);
        let longest = i64::from(MAX_AGE_SECONDS);
        let max_age_seconds = fields.or("max_age_seconds", defaults.max_age_seconds, integer(0..=longest));
        let allow_credentials = fields.or("allow_credentials", false, boolean);
        Some(Self {
            allowed_origins: allowed_origins?,
            allowed_headers: allowed_headers?,
            exposed_headers: exposed_headers?,
            max_age_seconds: max_age_seconds?,
            allow_credentials: allow_credentials?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_origin_is_enough() {
        let cors = read(json!({"allowed_origins": ["https://App.example.com"]})).expect("read");
        assert_eq!(cors.allowed_origins[0].as_str(), "https://app.example.com");
        assert_eq!((cors.max_age_seconds, cors.allow_credentials), (600, false));
    }

    #[test]
    fn everything_that_is_wrong_is_told() {
        let wrong = json!({"allowed_origins": ["https://a.example", "a.example", "https://a.example/"], "allowed_headers": ["x y"],
            "max_age_seconds": 86_401, "allow_credentials": "yes", "origins": []});
        let errors = read(wrong).expect_err("wrong");
        let told: Vec<_> = errors.iter().map(|error| error.pointer.as_str()).collect();
        assert_eq!(
            told,
            [
                "/allowed_origins/1",
                "/allowed_origins/2",
                "/allowed_headers/0",
                "/max_age_seconds",
                "/allow_credentials",
                "/origins"
            ]
        );
        let open = read(json!({"allowed_origins": ["*"], "allow_credentials": true})).expect_err("open");
        assert_eq!(open[0].pointer, "/allow_credentials");
        assert_eq!(read(json!({})).expect_err("none")[0].pointer, "/allowed_origins");
    }
}
