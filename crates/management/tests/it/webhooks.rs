//! The life of a webhook.

use hookgate_domain::redis::changes::{Change, ChangeNotice};
use serde_json::{Value, json};
use std::sync::mpsc::channel;
use std::time::Duration;

use crate::service::{Caller, Service};

/// Makes a webhook.
pub async fn create(caller: &Caller, body: Value) -> Value {
    caller.post("/v1/webhooks", body).await.is(201)
}

/// The path of an object that the API gave.
pub fn path_of(webhook: &Value) -> String {
    format!("/v1/webhooks/{}", webhook["id"].as_str().expect("an id"))
}

fn names(list: &Value) -> Vec<&str> {
    list["data"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|item| item["name"].as_str().expect("a name"))
        .collect()
}

#[tokio::test]
async fn a_name_is_enough_and_both_urls_are_there_at_once() {
    let service = Service::start_with(|settings| {
        settings.public_url = "https://hooks.example.com/in/".parse().expect("a URL");
    })
    .await;
    let owner = service.register("ada@example.com").await;
    let made = owner
        .post("/v1/webhooks", json!({"name": "Orders from the shop"}))
        .await;
    let webhook = made.is(201);
    assert_eq!(made.header("etag"), "\"1\"");
    assert_eq!(webhook["suffix"], "orders-from-the-shop");
    assert_eq!(webhook["status"], "active");
    assert_eq!(webhook["system"], "custom");
    assert_eq!(webhook["methods"], json!(["POST"]));
    assert_eq!(webhook["authentication"], json!({"kind": "none"}));
    assert_eq!(
        webhook["limits"],
        json!({"body_bytes": 1_048_576, "requests_per_second": null, "burst": null, "waiting_callers": null})
    );
    assert_eq!(webhook["published_revision_id"], Value::Null);
    let environments: Vec<_> = webhook["urls"]
        .as_array()
        .expect("urls")
        .iter()
        .map(|url| &url["environment"])
        .collect();
    assert_eq!(environments, ["production", "test"]);
    let url = webhook["urls"][0]["public_url"].as_str().expect("a URL");
    let rest = url
        .strip_prefix("https://hooks.example.com/in/")
        .expect("the ingress");
    let (token, suffix) = rest.split_once('/').expect("token and suffix");
    assert_eq!((token.len(), suffix), (26, "orders-from-the-shop"));
    assert_ne!(webhook["urls"][0]["public_url"], webhook["urls"][1]["public_url"]);
    let read = owner.get(&path_of(&webhook)).await;
    assert_eq!((read.is(200), read.header("etag")), (webhook, "\"1\""));
}

#[tokio::test]
async fn everything_that_is_wrong_is_told_at_once() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let wrong = json!({"name": "", "suffix": "item updated", "methods": ["FETCH"], "authentication": {"kind": "magic"},
        "limits": {"body_bytes": 0}, "data_protection": {"mask": ["body.card", "card"], "sensitive_if": "{{ card }}"}, "colour": "red"});
    let answer = owner.post("/v1/webhooks", wrong).await;
    answer.is_invalid(&[
        ("/name", "too_short"),
        ("/suffix", "invalid"),
        ("/methods/0", "invalid"),
        ("/authentication/kind", "invalid"),
        ("/limits/body_bytes", "out_of_range"),
        ("/data_protection/mask/1", "invalid"),
        ("/data_protection/sensitive_if", "invalid"),
        ("/colour", "unknown"),
    ]);
    let detail = answer.json()["errors"][1]["detail"]
        .as_str()
        .expect("text")
        .to_owned();
    assert!(detail.contains("`item-updated`"), "{detail}");
    let absent = json!({"name": "a", "allowlists": ["alw_01k9z3v8e5f2q8r7w6t5y4x3m2"]});
    owner
        .post("/v1/webhooks", absent)
        .await
        .is_invalid(&[("/allowlists/0", "not_found")]);
}

#[tokio::test]
async fn settings_are_changed_on_the_newest_version_only() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let webhook = create(&owner, json!({"name": "Orders", "methods": ["GET", "POST"]})).await;
    let path = path_of(&webhook);
    let own = owner
        .post(
            &format!("{path}/urls"),
            json!({"name": "apart", "suffix": "apart"}),
        )
        .await
        .is(201);

    let patch = json!({"suffix": "orders/{order_id}", "limits": {"body_bytes": 100}, "methods": null});
    let changed = owner.with("if-match", "\"1\"").patch(&path, patch).await;
    let now = changed.is(200);
    assert_eq!(changed.header("etag"), "\"2\"");
    assert_eq!(
        (&now["name"], &now["methods"]),
        (&json!("Orders"), &json!(["POST"]))
    );
    assert_eq!(now["limits"]["body_bytes"], 100);
    let suffixes: Vec<_> = now["urls"]
        .as_array()
        .expect("urls")
        .iter()
        .map(|url| url["suffix"].clone())
        .collect();
    assert_eq!(suffixes, ["orders/{order_id}", "orders/{order_id}", "apart"]);
    assert!(
        now["urls"][0]["public_url"]
            .as_str()
            .expect("a URL")
            .ends_with("/orders/{order_id}")
    );
    assert_eq!(own["suffix"], "apart");

    owner
        .with("if-match", "\"1\"")
        .patch(&path, json!({"name": "x"}))
        .await
        .is_problem(412, "precondition_failed");
    owner
        .with("if-match", "\"1\"")
        .delete(&path)
        .await
        .is_problem(412, "precondition_failed");
    owner
        .patch(&path, json!({"suffix": "a b", "id": "x"}))
        .await
        .is_invalid(&[("/suffix", "invalid"), ("/id", "unknown")]);
    assert_eq!(owner.get(&path).await.is(200), now);
}

#[tokio::test]
async fn a_status_is_set_and_set_again() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let path = path_of(&create(&owner, json!({"name": "Orders"})).await);
    for (verb, status, version) in [
        ("pause", "paused", "\"2\""),
        ("pause", "paused", "\"2\""),
        ("disable", "disabled", "\"3\""),
        ("activate", "active", "\"4\""),
    ] {
        let answer = owner.post(&format!("{path}/{verb}"), json!({})).await;
        assert_eq!(
            (&answer.is(200)["status"], answer.header("etag")),
            (&json!(status), version)
        );
    }
    let without_body = owner
        .send(reqwest::Method::POST, &format!("{path}/pause"), None)
        .await;
    assert_eq!(without_body.is(200)["status"], "paused");
}

#[tokio::test]
async fn deleting_a_webhook_ends_what_it_holds() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let webhook = create(&owner, json!({"name": "Orders"})).await;
    let path = path_of(&webhook);
    owner.post(&format!("{path}/pause"), json!({})).await.is(200);
    let other = create(&owner, json!({"name": "Others"})).await;
    for held in [&webhook, &other] {
        crate::stored::held_job(&service, held);
    }
    owner.delete(&path).await.is(204);
    let left = service.database.query_text("SELECT webhook_id::text FROM jobs");
    assert_eq!(left, [crate::stored::uuid(&other["id"]).to_string()]);
}

#[tokio::test]
async fn a_deleted_webhook_is_gone_with_what_belongs_to_it() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let webhook = create(&owner, json!({"name": "Orders"})).await;
    let path = path_of(&webhook);
    owner
        .post(&format!("{path}/api-keys"), json!({"name": "shop"}))
        .await
        .is(201);
    owner.delete(&path).await.is(204);
    owner.get(&path).await.is_problem(404, "not_found");
    owner
        .get(&format!("{path}/urls"))
        .await
        .is_problem(404, "not_found");
    owner.delete(&path).await.is_problem(404, "not_found");
    for table in ["urls", "url_tokens", "api_keys", "revisions"] {
        let left = service
            .database
            .query_text(&format!("SELECT tenant_id::text FROM {table}"));
        assert!(left.is_empty(), "{table}");
    }
}

#[tokio::test]
async fn a_list_is_newest_first_and_goes_on() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    for number in 1..=5 {
        create(&owner, json!({"name": format!("w{number}")})).await;
    }
    let first = owner.get("/v1/webhooks?limit=2").await.is(200);
    assert_eq!(names(&first), ["w5", "w4"]);
    assert_eq!(first["data"][0]["urls"].as_array().map(Vec::len), Some(2));
    let next = |page: &Value| {
        format!(
            "/v1/webhooks?limit=2&cursor={}",
            page["next_cursor"].as_str().expect("a cursor")
        )
    };
    let second = owner.get(&next(&first)).await.is(200);
    assert_eq!(names(&second), ["w3", "w2"]);
    let third = owner.get(&next(&second)).await.is(200);
    assert_eq!((names(&third), &third["next_cursor"]), (vec!["w1"], &Value::Null));
    let elsewhere = next(&first).replace("webhooks?", "allowlists?");
    owner.get(&elsewhere).await.is_problem(400, "invalid_cursor");
    owner
        .get("/v1/webhooks?limit=0&colour=1")
        .await
        .is_invalid(&[("?limit", "out_of_range"), ("?colour", "unknown")]);
}

#[tokio::test]
async fn a_webhook_is_found_by_what_a_person_has_of_it() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let wanted = create(
        &owner,
        json!({"name": "Orders 100%", "system": "shopify", "suffix": "in/orders"}),
    )
    .await;
    create(&owner, json!({"name": "Other", "suffix": "other"})).await;
    let url = wanted["urls"][1]["public_url"].as_str().expect("a URL");
    let token = url.split('/').nth(3).expect("a token");
    let rotate = format!(
        "{}/urls/{}/rotate",
        path_of(&wanted),
        wanted["urls"][1]["id"].as_str().expect("an id")
    );
    owner.post(&rotate, json!({"grace_seconds": 60})).await.is(200);
    for query in [
        "orders",
        "ORDERS",
        "100%25",
        "shopi",
        "in/ord",
        wanted["id"].as_str().expect("an id"),
        wanted["urls"][0]["id"].as_str().expect("an id"),
        token,
        url,
        &format!("{url}?a=b"),
    ] {
        let query = query.replace('?', "%3F");
        let found = owner.get(&format!("/v1/webhooks?q={query}")).await.is(200);
        assert_eq!(names(&found), ["Orders 100%"], "{query}");
    }
    for query in ["100_", "nothing", "7zzzzzzzzzzzzzzzzzzzzzzzzz"] {
        assert!(
            names(&owner.get(&format!("/v1/webhooks?q={query}")).await.is(200)).is_empty(),
            "{query}"
        );
    }
    assert_eq!(names(&owner.get("/v1/webhooks?q=").await.is(200)).len(), 2);
}

#[tokio::test]
async fn an_address_is_checked_against_the_attached_allowlists() {
    let service = Service::start_with(|settings| {
        settings.trusted_proxies = vec!["127.0.0.0/8".parse().expect("a network")];
    })
    .await;
    let owner = service.register("ada@example.com").await;
    let path = path_of(&create(&owner, json!({"name": "Orders"})).await);
    let check = async |address: &str| {
        owner
            .get(&format!("{path}/address-check?address={address}"))
            .await
            .is(200)
    };
    let open = check("203.0.113.7").await;
    assert_eq!(
        (
            &open["allowed"],
            &open["reason"],
            &open["entry"],
            &open["allowlists"]
        ),
        (&json!(true), &json!("no_allowlist"), &Value::Null, &json!([]))
    );

    let list = json!({"name": "shop", "entries": [{"network": "203.0.113.0/24"}, {"network": "203.0.113.7", "note": "till"},
        {"network": "2001:db8::/32"}]});
    let list = owner.post("/v1/allowlists", list).await.is(201);
    let office = json!({"name": "office", "entries": [{"network": "203.0.113.0/28"}]});
    let office = owner.post("/v1/allowlists", office).await.is(201);
    let other = json!({"name": "other", "entries": [{"network": "198.51.100.1"}]});
    owner.post("/v1/allowlists", other).await.is(201);
    owner
        .patch(&path, json!({"allowlists": [list["id"], office["id"]]}))
        .await
        .is(200);
    let narrow = check("::ffff:203.0.113.7").await;
    assert_eq!(
        (&narrow["address"], &narrow["entry"]["note"]),
        (&json!("203.0.113.7"), &json!("till"))
    );
    assert_eq!(narrow["entry"]["network"], "203.0.113.7/32");
    // Every attached list says what it holds.
    let says = |found: &Value| -> Vec<Value> {
        let lists = found["allowlists"].as_array().expect("a list").iter();
        lists
            .map(|list| json!([list["name"], list["entries"], list["entry"]["network"]]))
            .collect()
    };
    let several = check("203.0.113.8").await;
    assert_eq!(several["entry"]["network"], "203.0.113.0/28");
    assert_eq!(several["entry"]["allowlist_id"], office["id"]);
    assert_eq!(
        says(&several),
        [
            json!(["office", 1, "203.0.113.0/28"]),
            json!(["shop", 3, "203.0.113.0/24"])
        ]
    );
    assert_eq!(several["seen"], Value::Null);
    assert_eq!(check("2001:db8::1").await["reason"], "listed");
    let refused = check("198.51.100.1").await;
    assert_eq!(
        (&refused["allowed"], &refused["reason"]),
        (&json!(false), &json!("not_listed"))
    );
    assert_eq!(
        says(&refused),
        [json!(["office", 1, null]), json!(["shop", 3, null])]
    );
    // Whoever asks about nobody asks about themselves.
    let own = owner.get(&format!("{path}/address-check")).await.is(200);
    assert_eq!(
        (&own["address"], &own["reason"]),
        (&json!("127.0.0.1"), &json!("not_listed"))
    );
    assert_eq!(own["seen"], json!({"proxy": "127.0.0.1", "named_in": null}));
    let named = owner.with("x-forwarded-for", "198.51.100.9, 203.0.113.7");
    let own = named.get(&format!("{path}/address-check")).await.is(200);
    assert_eq!(
        (&own["address"], &own["allowed"]),
        (&json!("203.0.113.7"), &json!(true))
    );
    assert_eq!(
        own["seen"],
        json!({"proxy": "127.0.0.1", "named_in": "x-forwarded-for"})
    );
    owner
        .get(&format!("{path}/address-check?address=shop"))
        .await
        .is_invalid(&[("?address", "invalid")]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_change_that_an_ingress_caches_is_announced() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let list = owner
        .post("/v1/allowlists", json!({"name": "shop"}))
        .await
        .is(201);
    let list = format!("/v1/allowlists/{}", list["id"].as_str().expect("an id"));
    let webhook = create(&owner, json!({"name": "Orders", "allowlists": [list[15..]]})).await;
    let path = path_of(&webhook);
    let url = format!(
        "{path}/urls/{}",
        webhook["urls"][0]["id"].as_str().expect("an id")
    );

    let (sender, told) = channel();
    let _subscription = service.database.redis().on_change(move |notice| {
        let _ = sender.send(notice);
    });
    let next = || {
        told.recv_timeout(Duration::from_secs(10))
            .expect("a notice in time")
    };
    assert_eq!(next(), ChangeNotice::Connected);
    let expected = ChangeNotice::Changed(Change::Webhook(crate::stored::uuid(&webhook["id"]).into()));

    let key = owner
        .post(&format!("{path}/api-keys"), json!({"name": "shop"}))
        .await
        .is(201);
    assert_eq!(next(), expected, "a key");
    let key = format!("{path}/api-keys/{}", key["id"].as_str().expect("an id"));
    let entry = owner
        .post(&format!("{list}/entries"), json!({"network": "::1"}))
        .await
        .is(201);
    assert_eq!(next(), expected, "an entry");
    let entry = format!("{list}/entries/{}", entry["id"].as_str().expect("an id"));
    for (verb, path) in [
        ("patch", path.clone()),
        ("post", format!("{path}/pause")),
        ("post", format!("{path}/publish")),
        ("put", format!("{path}/draft")),
        ("patch", url.clone()),
        ("post", format!("{url}/rotate")),
        ("post", format!("{url}/revoke")),
        ("patch", key.clone()),
        ("post", format!("{key}/revoke")),
        ("delete", key),
        ("delete", entry),
        ("delete", url),
        ("delete", path.clone()),
    ] {
        let method = verb.to_uppercase().parse().expect("a method");
        let body = (verb != "delete").then(|| "{}".to_owned());
        let answer = owner.send(method, &path, body).await;
        assert!(answer.status.is_success(), "{verb} {path}: {}", answer.text);
        assert_eq!(next(), expected, "{verb} {path}");
    }
}

#[tokio::test]
async fn there_are_only_so_many() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let path = path_of(&create(&owner, json!({"name": "Orders"})).await);
    for number in 0..20 {
        owner
            .post(&format!("{path}/api-keys"), json!({"name": format!("k{number}")}))
            .await
            .is(201);
    }
    let one_more = owner
        .post(&format!("{path}/api-keys"), json!({"name": "k"}))
        .await;
    one_more.is_problem(409, "limit_reached");
}

#[tokio::test]
async fn data_protection_is_set_and_changed() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let webhook = create(&owner, json!({"name": "Orders"})).await;
    let nothing = json!({"mask": [], "mask_address": false, "sensitive_if": null});
    assert_eq!(webhook["data_protection"], nothing);
    let path = path_of(&webhook);
    let mask =
        json!({"mask": ["headers.Authorization", "body.items[].iban"], "sensitive_if": "{{ body.private }}"});
    let changed = owner.patch(&path, json!({"data_protection": mask})).await.is(200);
    let protection = &changed["data_protection"];
    assert_eq!(
        protection["mask"],
        json!(["headers.Authorization", "body.items[].iban"])
    );
    assert_eq!(protection["mask_address"], false);
    let changed = owner
        .patch(
            &path,
            json!({"data_protection": {"mask_address": true, "sensitive_if": null}}),
        )
        .await
        .is(200);
    let expected = json!({"mask": ["headers.Authorization", "body.items[].iban"], "mask_address": true, "sensitive_if": null});
    assert_eq!(changed["data_protection"], expected);
    let off = owner.patch(&path, json!({"data_protection": null})).await.is(200);
    assert_eq!(off["data_protection"], nothing);
}

#[tokio::test]
async fn bodies_and_web_pages_are_set_and_changed() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let webhook = create(&owner, json!({"name": "Orders"})).await;
    assert_eq!(
        (&webhook["bodies"], &webhook["cors"]),
        (&json!({"malformed": "accept"}), &Value::Null)
    );
    let path = path_of(&webhook);
    let change =
        json!({"bodies": {"malformed": "refuse"}, "cors": {"allowed_origins": ["https://App.example.com"]}});
    let changed = owner.patch(&path, change).await.is(200);
    assert_eq!(changed["bodies"], json!({"malformed": "refuse"}));
    let cors = json!({"allowed_origins": ["https://app.example.com"], "allowed_headers": ["content-type", "authorization", "x-api-key"],
        "exposed_headers": ["hookgate-event-id", "retry-after"], "max_age_seconds": 600, "allow_credentials": false});
    assert_eq!(changed["cors"], cors);
    let changed = owner
        .patch(&path, json!({"cors": {"max_age_seconds": 0}}))
        .await
        .is(200);
    assert_eq!(
        changed["cors"]["allowed_origins"],
        json!(["https://app.example.com"])
    );
    let wrong = json!({"cors": {"allowed_origins": ["*", "nonsense"], "allow_credentials": 1}, "bodies": {"malformed": "repair"}});
    owner.patch(&path, wrong).await.is_invalid(&[
        ("/bodies/malformed", "invalid"),
        ("/cors/allowed_origins/1", "invalid"),
        ("/cors/allow_credentials", "wrong_type"),
    ]);
    let open = json!({"cors": {"allowed_origins": ["*"], "allow_credentials": true}});
    owner
        .patch(&path, open)
        .await
        .is_invalid(&[("/cors/allow_credentials", "invalid")]);
    assert_eq!(
        owner.patch(&path, json!({"cors": null})).await.is(200)["cors"],
        Value::Null
    );
}
