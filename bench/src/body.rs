//! What the load generator sends.

use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::{Value, json};

/// Where the tests' setup puts the published examples of GitHub's webhooks.
const EXAMPLES: &str =
    "crates/hookgate/tests/node/node_modules/@octokit/webhooks-examples/api.github.com/index.json";

/// The length of the longer body that expectations are measured with, about.
const LONG: usize = 26_000;

/// A body with its name for the report: `small`, `push`, `long`, or a file.
pub fn named(name: &str) -> Result<(String, Vec<u8>)> {
    match name {
        "small" => Ok(("1 KiB of JSON".to_owned(), small())),
        "push" => Ok(("GitHub push".to_owned(), push()?)),
        "long" => long(),
        file => {
            let body = std::fs::read(file).with_context(|| format!("reading {file}"))?;
            let name = Path::new(file)
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            Ok((name, body))
        }
    }
}

/// JSON of 1,024 bytes, with text that compresses about as well as an order does.
fn small() -> Vec<u8> {
    let order = |items: &[Value], note: &str| {
        json!({ "event_id": "9f1c2d3e", "type": "order.created", "order": { "id": 4711, "items": items }, "note": note })
            .to_string()
    };
    let mut items = Vec::new();
    let mut number: u32 = 7;
    while order(&items, "").len() < 940 {
        number = number.wrapping_mul(1_103_515_245).wrapping_add(12_345);
        items.push(json!({ "sku": format!("SKU-{:06x}", number >> 8), "quantity": number >> 28, "price": number >> 18 }));
    }
    let missing = 1024_usize.saturating_sub(order(&items, "").len());
    order(&items, &"n".repeat(missing)).into_bytes()
}

/// GitHub's examples of one type of event.
#[derive(Deserialize)]
struct Kind {
    name: String,
    examples: Vec<Value>,
}

fn examples() -> Result<Vec<Kind>> {
    let examples = std::fs::read(EXAMPLES)
        .with_context(|| format!("reading {EXAMPLES}: `make bench` installs it, or use --body small"))?;
    Ok(serde_json::from_slice(&examples)?)
}

/// The largest of GitHub's examples of a push.
fn push() -> Result<Vec<u8>> {
    let kinds = examples()?.into_iter().filter(|kind| kind.name == "push");
    kinds
        .flat_map(|kind| kind.examples)
        .map(|push| push.to_string().into_bytes())
        .max_by_key(Vec::len)
        .context("no example of a push")
}

/// The one of GitHub's examples that is nearest to the wanted length.
fn long() -> Result<(String, Vec<u8>)> {
    let bodies = examples()?.into_iter().flat_map(|Kind { name, examples }| {
        let bodies = examples
            .into_iter()
            .map(|example| example.to_string().into_bytes());
        bodies.map(move |body| (format!("GitHub {name}"), body))
    });
    bodies
        .min_by_key(|(_, body)| body.len().abs_diff(LONG))
        .context("no example of an event")
}
