//! Rules that the OpenAPI document holds, for every operation there is and will be.

use std::collections::BTreeSet;
use std::path::PathBuf;

use hookgate_management::error::ErrorCode;
use hookgate_management::openapi;
use hookgate_model::access::Scope;
use serde_json::{Value, json};

use crate::service::Service;

struct Operation {
    path: String,
    method: String,
    value: Value,
}

impl Operation {
    fn name(&self) -> String {
        format!("{} {}", self.method.to_uppercase(), self.path)
    }

    fn is_guarded(&self) -> bool {
        self.value["security"]
            .as_array()
            .is_some_and(|security| !security.is_empty())
    }

    fn scopes(&self) -> Vec<&str> {
        let scopes = self.value["security"][0]["bearer"].as_array();
        scopes
            .into_iter()
            .flatten()
            .map(|scope| scope.as_str().expect("text"))
            .collect()
    }

    fn responses(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.value["responses"].as_object().expect("responses").iter()
    }
}

/// That of the management API, and the operator's.
fn documents() -> [Value; 2] {
    [openapi::document(), openapi::admin_document()]
        .map(|document| serde_json::to_value(document).expect("JSON"))
}

fn document() -> Value {
    documents()[0].clone()
}

fn operations() -> Vec<Operation> {
    operations_of(&document())
}

fn operations_of(document: &Value) -> Vec<Operation> {
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, value) in item.as_object().expect("operations") {
            operations.push(Operation {
                path: path.clone(),
                method: method.clone(),
                value: value.clone(),
            });
        }
    }
    assert!(operations.len() > 10);
    operations
}

#[test]
fn the_kept_documents_are_current() {
    for (name, document) in [
        ("openapi.json", openapi::document()),
        ("admin.json", openapi::admin_document()),
    ] {
        let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../openapi")).join(name);
        let kept = std::fs::read_to_string(path).unwrap_or_default();
        let current = openapi::text(&document).expect("JSON");
        assert!(
            kept == current,
            "openapi/{name} is not current: run `make openapi`"
        );
    }
}

#[test]
fn the_documents_are_the_same_every_time() {
    assert_eq!(documents(), documents());
}

#[test]
fn every_operation_is_described() {
    for document in documents() {
        is_described(&document);
    }
}

fn is_described(document: &Value) {
    let tags: BTreeSet<&str> = document["tags"]
        .as_array()
        .expect("tags")
        .iter()
        .filter_map(|tag| tag["name"].as_str())
        .collect();
    let mut ids = BTreeSet::new();
    for operation in operations_of(document) {
        let name = operation.name();
        let value = &operation.value;
        let summary = value["summary"].as_str().unwrap_or_default();
        assert!(
            !summary.is_empty() && !summary.ends_with('.') && summary.len() < 80,
            "{name}: summary {summary:?}"
        );
        let id = value["operationId"].as_str().expect("an operationId").to_owned();
        assert!(
            id.chars().all(|c| c.is_ascii_alphanumeric()) && id.starts_with(|c: char| c.is_ascii_lowercase())
        );
        assert!(ids.insert(id.clone()), "{id} is there twice");
        let used: Vec<&str> = value["tags"]
            .as_array()
            .expect("tags")
            .iter()
            .filter_map(Value::as_str)
            .collect();
        assert!(used.len() == 1 && tags.contains(used[0]), "{name}: tags {used:?}");
        for parameter in value["parameters"].as_array().into_iter().flatten() {
            assert!(parameter["description"].is_string(), "{name}: {parameter}");
        }
    }
}

#[test]
fn every_body_has_an_example() {
    let mut without = Vec::new();
    for operation in documents().iter().flat_map(operations_of) {
        let name = operation.name();
        let bodies = operation.value["requestBody"]["content"]
            .as_object()
            .into_iter()
            .flatten();
        let answers = operation
            .responses()
            .flat_map(|(_, response)| response["content"].as_object().into_iter().flatten());
        for (media_type, content) in bodies.chain(answers) {
            let has = !content["example"].is_null()
                || content["examples"].as_object().is_some_and(|all| !all.is_empty());
            let is_opaque = media_type == "application/octet-stream";
            if !has && !is_opaque {
                without.push(format!("{name} ({media_type})"));
            }
        }
    }
    assert!(
        without.is_empty(),
        "give the texts of these bodies examples: {without:#?}"
    );
}

#[test]
fn every_operation_tells_its_errors() {
    let known: BTreeSet<&str> = ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
    let mut told = BTreeSet::new();
    for operation in documents().iter().flat_map(operations_of) {
        let name = operation.name();
        let mut codes = BTreeSet::new();
        for (status, response) in operation.responses() {
            let content = &response["content"]["application/problem+json"];
            if content.is_null() {
                assert!(
                    status.starts_with('2') || operation.path == "/readyz",
                    "{name}: {status} is no problem: {}",
                    response["description"]
                );
                continue;
            }
            assert_eq!(content["schema"]["$ref"], "#/components/schemas/Problem");
            for (code, example) in content["examples"].as_object().expect("examples") {
                assert_eq!(example["value"]["status"].to_string(), *status, "{name}: {code}");
                assert!(known.contains(code.as_str()));
                codes.insert(code.clone());
            }
        }
        let mut demanded = Vec::new();
        let is_operators = operation.path.starts_with("/admin/v1/");
        if operation.path.starts_with("/v1/") || is_operators {
            demanded.extend(["unavailable", "internal"]);
        }
        if is_operators {
            assert!(operation.is_guarded(), "{name}");
            demanded.push("too_many_requests");
        }
        if operation.is_guarded() {
            demanded.extend(["unauthenticated", "too_many_requests"]);
        }
        if !operation.scopes().is_empty() {
            demanded.extend(["forbidden", "tenant_suspended"]);
        }
        if operation.path.contains('{') {
            demanded.push("not_found");
        }
        if operation.value["requestBody"].is_object() {
            demanded.push("invalid_request");
        }
        for code in demanded {
            assert!(codes.contains(code), "{name} does not tell {code}");
        }
        told.extend(codes);
    }
    // What no operation tells is given where there is no operation.
    let elsewhere = ["route_not_found", "method_not_allowed"];
    for code in known.difference(&told.iter().map(String::as_str).collect()) {
        assert!(elsewhere.contains(code), "no operation tells {code}");
    }
}

/// What takes no `Idempotency-Key` is named where clients read that POSTs take one.
#[test]
fn a_post_takes_an_idempotency_key_or_is_known_not_to() {
    let document = document();
    let described = document["info"]["description"].as_str().expect("a description");
    let posts = operations()
        .into_iter()
        .filter(|operation| operation.method == "post" && operation.path.starts_with("/v1/"));
    for operation in posts {
        let parameters = operation.value["parameters"].as_array().into_iter().flatten();
        let takes = parameters
            .into_iter()
            .any(|parameter| parameter["name"] == "Idempotency-Key");
        let is_of_people = ["/v1/auth/", "/v1/me/"]
            .iter()
            .any(|people| operation.path.starts_with(people));
        for text in [described, include_str!("../../../../docs/api.md")] {
            let is_named = is_of_people || text.contains(&format!("`{}`", operation.path));
            assert!(takes != is_named, "{}: {text}", operation.path);
        }
    }
}

#[test]
fn enums_are_named_as_they_are_written() {
    let document = document();
    let told = |schema: &str| document["components"]["schemas"][schema]["enum"].clone();
    let names = |all: &[&str]| json!(all);
    let codes: Vec<&str> = ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(told("ErrorCode"), names(&codes));
    let scopes: Vec<&str> = Scope::ALL.iter().map(|scope| scope.as_str()).collect();
    assert_eq!(told("Scope"), names(&scopes));
    for (name, schema) in document["components"]["schemas"].as_object().expect("schemas") {
        for value in schema["enum"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
        {
            // Methods are upper case, and one algorithm has its specification's name; everything else is lower case, also
            // where a macro made the enum.
            let as_written =
                value == value.to_lowercase() || value == value.to_uppercase() || value == "EdDSA";
            assert!(as_written, "{name}: {value}");
        }
    }
}

/// What every operation demands is what the document says: with all scopes but those that it names it refuses, with those
/// alone it does not. Without a credential it is 401.
#[tokio::test]
async fn every_operation_demands_the_scope_that_it_tells() {
    let service = Service::start_with_short_streams().await;
    let owner = service.register("ada@example.com").await;
    for operation in operations()
        .iter()
        .filter(|operation| operation.path.starts_with("/v1/"))
    {
        let name = operation.name();
        let path = operation
            .path
            .split('/')
            .map(|part| if part.starts_with('{') { "nothing" } else { part })
            .collect::<Vec<_>>()
            .join("/");
        let method = || operation.method.to_uppercase().parse().expect("a method");
        let body = operation.value["requestBody"]
            .is_object()
            .then(|| "[]".to_owned());
        let without = service.stranger().send(method(), &path, body.clone()).await;
        assert_eq!(
            without.status == 401,
            operation.is_guarded(),
            "{name}: {}",
            without.text
        );
        let scopes = operation.scopes();
        let [scope] = scopes.as_slice() else { continue };
        let wanted: Scope = scope.parse().expect("a scope");
        let permission = wanted
            .permissions()
            .find(|given| given.as_str() == *scope)
            .expect("its permission");
        let others: Vec<&str> = Scope::ALL
            .iter()
            .filter(|other| !permission.allowed_to_scopes(&[**other]))
            .map(|other| other.as_str())
            .collect();
        let refused = owner.key(&others).await.send(method(), &path, body.clone()).await;
        assert_eq!(refused.status, 403, "{name} without {scope}: {}", refused.text);
        let allowed = owner.key(&[scope]).await.send(method(), &path, body).await;
        assert!(
            ![401, 403].contains(&allowed.status.as_u16()),
            "{name} with {scope}: {}",
            allowed.text
        );
    }
}

#[tokio::test]
async fn every_example_of_a_request_without_references_is_accepted() {
    let service = Service::start().await;
    let owner = service.register("owner@example.com").await;
    for operation in operations() {
        let content = &operation.value["requestBody"]["content"];
        let Some((_, content)) = content.as_object().and_then(|content| content.iter().next()) else {
            continue;
        };
        if operation.path.contains('{') {
            continue;
        }
        let method = operation.method.to_uppercase().parse().expect("a method");
        let body = Some(content["example"].to_string());
        let answer = owner.send(method, &operation.path, body).await;
        // Examples are well-formed; what they refer to need not be there.
        assert!(
            !answer.text.contains("\"unknown\"") && !answer.text.contains("wrong_type"),
            "{}: {}",
            operation.name(),
            answer.text
        );
        assert_ne!(answer.json()["code"], json!("malformed_json"));
    }
}
