//! Credentials in requests: they are no data, and none of their values is to be in a structure.

use serde_json::Value;

use super::{ExpectedData, Field, FieldPath, FieldType, Place, Segment};
use crate::authentication::{ApiKeySettings, Authentication};
use crate::protection::{MaskSegment, Target};

/// Takes the credentials of a webhook's requests out of what was learnt from them: headers altogether, of other fields what
/// was seen of their values. An API key's header (or parameter) is listed by itself, since senders must know of it.
pub fn without_credentials(mut learnt: ExpectedData, authentication: &Authentication) -> ExpectedData {
    for path in authentication.redaction() {
        match path.target() {
            Target::Header(name) => learnt.headers.retain(|field| {
                let known = field.path.name().unwrap_or_default();
                !name.covers(&known.to_ascii_lowercase())
            }),
            Target::Query(name) => {
                let is_it = |field: &&mut Field| field.path.name().is_some_and(|known| name.covers(known));
                learnt.query.iter_mut().filter(is_it).for_each(forget_values);
            }
            Target::Body(keys) => {
                let is_it = |field: &&mut Field| lies_at_or_below(&field.path, keys);
                learnt.body.iter_mut().filter(is_it).for_each(forget_values);
            }
            Target::PathParameter(_) => {}
        }
    }
    if let Some((place, field)) = api_key_field(authentication) {
        let fields = match place {
            Place::Query => &mut learnt.query,
            _ => &mut learnt.headers,
        };
        fields.retain(|known| known.path != field.path);
        fields.push(field);
    }
    learnt
}

fn forget_values(field: &mut Field) {
    field.example = Value::Null;
    field.values.clear();
}

/// Whether a path leads to what the keys lead to, or below it; lists are passed through.
fn lies_at_or_below(path: &FieldPath, keys: &[MaskSegment]) -> bool {
    let mut names = path.segments().iter().filter_map(|segment| match segment {
        Segment::Name(name) => Some(name),
        Segment::Items => None,
    });
    keys.iter().all(|key| match key {
        MaskSegment::Key(key) => names.next() == Some(key),
        MaskSegment::AnyKey | MaskSegment::AnyDepth => names.next().is_some(),
    })
}

/// Where the sender of a webhook that wants an API key presents it, as a field that is expected; required when it can stand
/// nowhere else.
pub fn api_key_field(authentication: &Authentication) -> Option<(Place, Field)> {
    match authentication {
        Authentication::ApiKey(settings) => of_api_key(settings),
        Authentication::AllOf { of } => of.iter().find_map(api_key_field),
        Authentication::AnyOf { of } => {
            let (place, mut field) = of.iter().find_map(api_key_field)?;
            field.required &= of.len() == 1;
            Some((place, field))
        }
        _ => None,
    }
}

fn of_api_key(settings: &ApiKeySettings) -> Option<(Place, Field)> {
    let places = settings.headers.len() + usize::from(settings.query_parameter.is_some());
    let header = settings.headers.first();
    let header = header.map(|name| (Place::Headers, name.as_str().to_ascii_lowercase()));
    let parameter = || {
        Some((
            Place::Query,
            settings.query_parameter.as_ref()?.as_str().to_owned(),
        ))
    };
    let (place, name) = header.or_else(parameter)?;
    let field = Field {
        path: FieldPath::of_name(&name),
        field_type: FieldType::String,
        required: places == 1,
        nullable: false,
        values: Vec::new(),
        example: Value::Null,
        inferred: true,
    };
    Some((place, field))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::expected_data::infer;
    use crate::flow::variables::Request;
    use crate::flow::variables::tests::event;

    fn learnt(authentication: Value) -> ExpectedData {
        let sample = event("application/json", r#"{"auth": {"token": "hush"}, "id": 1}"#);
        let mut input = sample.event().clone();
        input.query = "shop=a&sig=hush".to_owned();
        input.headers = b"x-shop-sign: hush\r\nx-event: paid\r\ncontent-type: application/json\r\n".to_vec();
        let authentication = serde_json::from_value(authentication).expect("settings");
        without_credentials(infer(&[Request::new(input)]), &authentication)
    }

    fn names(fields: &[Field]) -> Vec<String> {
        fields.iter().map(|field| field.path.to_string()).collect()
    }

    #[test]
    fn no_value_of_a_credential_is_learnt() {
        let secrets = json!(["sec_01k9z3v8e5f2q8r7w6t5y4x3m2"]);
        let of = json!([
            {"kind": "static_token", "at": {"in": "header", "name": "x-shop-sign"}, "secrets": secrets},
            {"kind": "static_token", "at": {"in": "body", "pointer": "/auth/token"}, "secrets": secrets},
        ]);
        let learnt = learnt(json!({"kind": "all_of", "of": of}));
        assert_eq!(names(&learnt.headers), ["content-type", "x-event"]);
        assert_eq!(names(&learnt.query), ["shop", "sig"]);
        assert_eq!(names(&learnt.body), ["auth", "auth.token", "id"]);
        let told = serde_json::to_string(&learnt).expect("JSON");
        assert!(!told.contains("hush") && told.contains("paid"), "{told}");
    }

    #[test]
    fn the_header_of_an_api_key_is_listed_by_itself() {
        let of = |authentication| {
            let authentication = serde_json::from_value(authentication).expect("settings");
            api_key_field(&authentication)
                .map(|(place, field)| (place, field.path.to_string(), field.required))
        };
        let header = |name: &str, required| Some((Place::Headers, name.to_owned(), required));
        for (authentication, expected) in [
            (json!({"kind": "none"}), None),
            (json!({"kind": "api_key"}), header("x-api-key", false)),
            (
                json!({"kind": "api_key", "headers": ["X-Shop-Key"]}),
                header("x-shop-key", true),
            ),
            (
                json!({"kind": "api_key", "headers": [], "query_parameter": "shop"}),
                Some((Place::Query, "shop".to_owned(), true)),
            ),
            (
                json!({"kind": "any_of", "of": [{"kind": "none"}, {"kind": "api_key", "headers": ["a"]}]}),
                header("a", false),
            ),
            (
                json!({"kind": "all_of", "of": [{"kind": "none"}, {"kind": "api_key", "headers": ["a"]}]}),
                header("a", true),
            ),
        ] {
            assert_eq!(of(authentication.clone()), expected, "{authentication}");
        }
        let learnt = learnt(json!({"kind": "api_key", "headers": ["x-shop-sign"]}));
        assert_eq!(names(&learnt.headers), ["content-type", "x-event", "x-shop-sign"]);
        assert_eq!(learnt.headers[2].example, Value::Null);
    }
}
