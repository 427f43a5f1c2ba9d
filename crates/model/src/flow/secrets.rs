//! The secrets of a flow, opened: calls can send them, and nothing else that is made of a run holds them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::step::http::HttpOutcome;
use crate::protection::{Scrubber, Secrets};

/// Secrets by the words that the flow has for them.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(from = "BTreeMap<String, String>", into = "BTreeMap<String, String>")]
pub struct FlowSecrets {
    values: BTreeMap<String, String>,
    scrubber: OnceLock<Arc<Scrubber>>,
}

impl FlowSecrets {
    /// Stands for secrets where nothing is sent.
    pub fn placeholders<'a>(words: impl IntoIterator<Item = &'a String>) -> Self {
        let named = |word: &String| (word.clone(), format!("[secret {word}]"));
        words.into_iter().map(named).collect()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// What templates see under `secrets`.
    pub(super) fn variable(&self) -> Value {
        let values = self.values.iter();
        values
            .map(|(word, value)| (word.clone(), Value::String(value.clone())))
            .collect()
    }

    /// What a call came to, as the flow and the records get it: without the secrets that the destination sent back.
    #[must_use]
    pub fn hide(&self, outcome: HttpOutcome) -> HttpOutcome {
        if self.is_empty() {
            return outcome;
        }
        match outcome {
            HttpOutcome::Response {
                status,
                headers,
                body,
                is_cut,
            } => HttpOutcome::Response {
                status,
                headers: headers
                    .into_iter()
                    .map(|(name, value)| (name, self.hide_text(&value)))
                    .collect(),
                body: self.hide_body(body),
                is_cut,
            },
            HttpOutcome::Failed { failure, detail } => HttpOutcome::Failed {
                failure,
                detail: self.hide_text(&detail),
            },
        }
    }

    /// In JSON a value can be written in more ways than could be looked for, so that is read first.
    fn hide_body(&self, body: Vec<u8>) -> Vec<u8> {
        let body = self.scrubber().bytes(&body).into_owned();
        let Ok(json) = serde_json::from_slice::<Value>(&body) else {
            return body;
        };
        let hidden = self.scrubber().json(json.clone());
        if hidden == json {
            body
        } else {
            hidden.to_string().into_bytes()
        }
    }

    /// A text without the secrets, also where they are percent-encoded.
    pub fn hide_text(&self, text: &str) -> String {
        self.scrubber().text(text)
    }

    fn scrubber(&self) -> &Scrubber {
        self.scrubber.get_or_init(|| {
            let values = self.values.values().cloned().collect();
            Arc::new(Scrubber::new(&Secrets::Values(values)))
        })
    }
}

impl FromIterator<(String, String)> for FlowSecrets {
    fn from_iter<T: IntoIterator<Item = (String, String)>>(values: T) -> Self {
        Self {
            values: values.into_iter().collect(),
            scrubber: OnceLock::new(),
        }
    }
}

impl From<BTreeMap<String, String>> for FlowSecrets {
    fn from(values: BTreeMap<String, String>) -> Self {
        values.into_iter().collect()
    }
}

impl From<FlowSecrets> for BTreeMap<String, String> {
    fn from(secrets: FlowSecrets) -> Self {
        secrets.values
    }
}

impl fmt::Debug for FlowSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets() -> FlowSecrets {
        [("erp".to_owned(), "s3cr3t/key".to_owned())]
            .into_iter()
            .collect()
    }

    #[test]
    fn what_a_destination_sends_back_is_hidden() {
        let sent_back = HttpOutcome::Response {
            status: 200,
            headers: vec![("x-echo".into(), "Bearer s3cr3t/key".into())],
            body: br#"{"key":"s3cr3t/key","url":"/a?k=s3cr3t%2Fkey"}"#.to_vec(),
            is_cut: false,
        };
        let hidden = HttpOutcome::Response {
            status: 200,
            headers: vec![("x-echo".into(), "Bearer [masked]".into())],
            body: br#"{"key":"[masked]","url":"/a?k=[masked]"}"#.to_vec(),
            is_cut: false,
        };
        assert_eq!(secrets().hide(sent_back.clone()), hidden);
        assert_eq!(FlowSecrets::default().hide(sent_back.clone()), sent_back);
    }

    #[test]
    fn escapes_hide_nothing_from_the_search() {
        for body in [r#"{"key":"s3cr3t\/key"}"#, r#"{"key":"\u00733cr3t/key"}"#] {
            let sent_back = HttpOutcome::Response {
                status: 200,
                headers: Vec::new(),
                body: body.into(),
                is_cut: false,
            };
            let HttpOutcome::Response { body, .. } = secrets().hide(sent_back) else {
                panic!("a response")
            };
            assert_eq!(String::from_utf8_lossy(&body), r#"{"key":"[masked]"}"#);
        }
    }

    #[test]
    fn values_are_not_printed_and_read_back() {
        assert_eq!(format!("{:?}", secrets()), "{\"erp\"}");
        let stored = serde_json::to_string(&secrets()).expect("json");
        let read: FlowSecrets = serde_json::from_str(&stored).expect("read");
        assert_eq!(read.variable(), secrets().variable());
    }

    #[test]
    fn placeholders_name_the_words() {
        let placeholders = FlowSecrets::placeholders(&["erp".to_owned()]);
        assert_eq!(
            placeholders.variable(),
            serde_json::json!({ "erp": "[secret erp]" })
        );
    }
}
