//! What a tenant does to set a known sender up, in words and as the webhook to make.

use serde_json::{Map, Value, json};

use super::preset::{Format, Need, Origin, Preset};

/// What stands for the id of a secret that is to be made first.
const SECRET_ID: &str = "sec_…";

impl Preset {
    /// The body of `POST /v1/webhooks`, with examples where the tenant's own values go.
    pub fn webhook(&self) -> Value {
        let mut authentication = Map::from_iter([
            ("kind".to_owned(), json!("sender")),
            ("sender".to_owned(), json!(self.name)),
        ]);
        if self
            .secrets
            .as_ref()
            .is_some_and(|need| need.origin != Origin::Pairing)
        {
            authentication.insert("secrets".to_owned(), json!([SECRET_ID]));
        }
        if let Some(need) = &self.public_keys {
            authentication.insert("public_keys".to_owned(), json!([need.example]));
        }
        let options: Map<String, Value> = self
            .options
            .iter()
            .filter(|choice| choice.default.is_none())
            .map(|choice| (choice.name.clone(), json!(choice.example)))
            .collect();
        if !options.is_empty() {
            authentication.insert("options".to_owned(), Value::Object(options));
        }
        let mut webhook = Map::from_iter([
            ("name".to_owned(), json!(self.title)),
            ("system".to_owned(), json!(self.name)),
        ]);
        if self.methods != ["POST"] {
            webhook.insert("methods".to_owned(), json!(self.methods));
        }
        webhook.insert("authentication".to_owned(), Value::Object(authentication));
        Value::Object(webhook)
    }

    /// Everything to do, in order.
    pub fn setup(&self) -> Vec<String> {
        let mut steps = Vec::new();
        if let Some(need) = &self.secrets {
            steps.extend(keep(need));
        }
        for choice in self.options.iter().filter(|choice| choice.default.is_none()) {
            steps.push(match choice.format {
                Format::Secret => format!(
                    "{}: {} `POST /v1/secrets` keeps it, too.",
                    choice.label, choice.hint
                ),
                _ => format!("{}: {}", choice.label, choice.hint),
            });
        }
        let key_comes_late = self
            .public_keys
            .as_ref()
            .filter(|need| need.origin == Origin::Endpoint);
        if let Some(need) = self.public_keys.as_ref().filter(|_| key_comes_late.is_none()) {
            steps.push(format!("{}: {}", need.label, need.hint));
        }
        steps.push(match key_comes_late {
            None => "Make the webhook: `POST /v1/webhooks` with the body below.".to_owned(),
            Some(_) => {
                "Make the webhook: `POST /v1/webhooks` with the body below, but without `authentication`; \
                and disable it at once: `POST /v1/webhooks/{id}/disable`."
                    .to_owned()
            }
        });
        if self.pairs() {
            steps.push(
                "Open it for pairing, for 10 minutes: `POST /v1/webhooks/{id}/pairing`. The first request that brings a \
                 secret installs it, and closes the pairing."
                    .to_owned(),
            );
        }
        steps.extend(self.steps.iter().cloned());
        if let Some(need) = self
            .secrets
            .as_ref()
            .filter(|need| need.origin == Origin::Endpoint)
        {
            steps.push(format!(
                "{}: {} `PATCH /v1/secrets/{{id}}` puts it in the place of the first value.",
                need.label, need.hint
            ));
        }
        if let Some(need) = key_comes_late {
            steps.push(format!(
                "{}: {} Set `authentication` with it (`PATCH /v1/webhooks/{{id}}`), and activate the webhook: \
                 `POST /v1/webhooks/{{id}}/activate`.",
                need.label, need.hint
            ));
        }
        steps
    }
}

/// How the secret gets into Hookgate before the webhook is made.
fn keep(need: &Need) -> Option<String> {
    let Need {
        label,
        hint,
        generate,
        ..
    } = need;
    match need.origin {
        Origin::Chosen => Some(format!(
            "{label}: {hint} `POST /v1/secrets` keeps it, as the `value`; with `\"generate\": \"{generate}\"` instead it makes \
             one, and shows it once."
        )),
        Origin::Account => Some(format!(
            "{label}: {hint} `POST /v1/secrets` keeps it, as the `value`."
        )),
        Origin::Endpoint => Some(format!(
            "The sender shows the secret later. For now let `POST /v1/secrets` make one, with \
             `\"generate\": \"{generate}\"`."
        )),
        Origin::Pairing => None,
    }
}
