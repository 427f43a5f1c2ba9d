//! The document of a tenant's live webhooks, and the links that show it.

use hookgate_testkit::http_client;
use reqwest::Method;
use serde_json::{Value, json};

use crate::service::{Caller, Service};
use crate::webhooks::{create, path_of};

const DOCUMENT: &str = "/v1/public-api/openapi.json";

async fn paths(caller: &Caller) -> Vec<String> {
    let document = caller.get(DOCUMENT).await.is(200);
    document["paths"]
        .as_object()
        .expect("paths")
        .keys()
        .cloned()
        .collect()
}

fn path_of_url(webhook: &Value, place: usize) -> String {
    let url: url::Url = webhook["urls"][place]["public_url"]
        .as_str()
        .and_then(|url| url.parse().ok())
        .expect("a URL");
    url.path().replace("%7B", "{").replace("%7D", "}")
}

#[tokio::test]
async fn it_tells_of_what_is_live() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    assert_eq!(paths(&owner).await, Vec::<String>::new());
    let orders = create(
        &owner,
        json!({"name": "Orders", "suffix": "orders/{order_id}", "authentication": {"kind": "api_key"}}),
    )
    .await;
    let path = path_of(&orders);
    let public = path_of_url(&orders, 0);
    assert_eq!(paths(&owner).await, [public.as_str()], "production URLs alone");

    // The draft is nobody's business until it is published.
    let draft = json!({"expected_data": {"mode": "enforce",
        "body": [{"path": "order.id", "type": "integer", "required": true, "example": 42}]}});
    owner
        .send(Method::PUT, &format!("{path}/draft"), Some(draft.to_string()))
        .await
        .is(200);
    let operation = async || owner.get(DOCUMENT).await.is(200)["paths"][&public]["post"].clone();
    assert_eq!(operation().await["responses"].get("422"), None);
    owner.post(&format!("{path}/publish"), json!({})).await.is(200);
    let published = operation().await;
    assert!(published["responses"]["422"].is_object(), "{published}");
    assert_eq!(published["security"], json!([{"x_api_key": []}, {"bearer": []}]));

    // Paused it stores, disabled it refuses; a revoked URL is gone.
    owner.post(&format!("{path}/pause"), json!({})).await.is(200);
    let paused = operation().await["description"].to_string();
    assert!(paused.contains("Paused at present"), "{paused}");
    owner.post(&format!("{path}/disable"), json!({})).await.is(200);
    assert_eq!(paths(&owner).await, Vec::<String>::new());
    owner.post(&format!("{path}/activate"), json!({})).await.is(200);
    assert_eq!(paths(&owner).await.len(), 1);
    let url = orders["urls"][0]["id"].as_str().expect("an id");
    owner
        .post(&format!("{path}/urls/{url}/revoke"), json!({}))
        .await
        .is(200);
    assert_eq!(paths(&owner).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_link_shows_it_until_it_ends() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    create(&owner, json!({"name": "Orders"})).await;
    let link = owner
        .post("/v1/public-api/links", json!({"name": "The shop"}))
        .await
        .is(201);
    let [page, document] = ["page_url", "document_url"].map(|name| link[name].as_str().expect("a URL"));
    let told = http_client().get(document).send().await.expect("an answer");
    assert_eq!(told.headers()["cache-control"], "no-store");
    let told: Value = told.json().await.expect("a document");
    assert_eq!(told, owner.get(DOCUMENT).await.is(200));

    let shown = http_client().get(page).send().await.expect("an answer");
    assert_eq!(shown.status(), 200);
    assert!(
        shown.headers()["content-security-policy"]
            .to_str()
            .is_ok_and(|policy| policy.contains("'self'"))
    );
    let without_slash = page.trim_end_matches('/');
    let redirect = http_client().get(without_slash).send().await.expect("an answer");
    assert_eq!(redirect.headers()["location"], "docs/");
    let script = http_client()
        .get(format!("{page}swagger-initializer.js"))
        .send()
        .await
        .expect("an answer");
    let script = script.text().await.expect("a script");
    assert!(script.contains("../openapi.json"), "{script}");

    // Of the list nobody can make a link again.
    let listed = owner.get("/v1/public-api/links").await.is(200);
    assert_eq!(listed["data"][0]["name"], "The shop");
    let token = document.split('/').nth(4).expect("a token");
    assert!(!listed.to_string().contains(token));

    let status = async |url: String| {
        http_client()
            .get(url)
            .send()
            .await
            .expect("an answer")
            .status()
            .as_u16()
    };
    assert_eq!(status(document.replace(token, "hgl_other")).await, 404);
    let id = link["id"].as_str().expect("an id");
    owner.delete(&format!("/v1/public-api/links/{id}")).await.is(204);
    assert_eq!(status(document.to_owned()).await, 404);

    let short = owner
        .post(
            "/v1/public-api/links",
            json!({"name": "An hour", "expires_at": "2999-01-01T00:00:00Z"}),
        )
        .await
        .is(201);
    let document = short["document_url"].as_str().expect("a URL").to_owned();
    assert_eq!(status(document.clone()).await, 200);
    service
        .database
        .execute("UPDATE public_api_links SET expires_at = now()");
    assert_eq!(status(document).await, 404);
    owner
        .post(
            "/v1/public-api/links",
            json!({"name": "Gone", "expires_at": "2001-01-01T00:00:00Z"}),
        )
        .await
        .is_problem(400, "invalid_request");
}

#[tokio::test]
async fn a_suspended_tenants_links_are_as_if_they_were_not_there() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let link = owner
        .post("/v1/public-api/links", json!({"name": "The shop"}))
        .await
        .is(201);
    let url = link["document_url"].as_str().expect("a URL");
    service
        .database
        .execute("UPDATE tenants SET status = 'suspended'");
    let answer = http_client().get(url).send().await.expect("an answer");
    assert_eq!(answer.status(), 404);
}
