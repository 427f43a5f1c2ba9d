//! Templates, from source to text: the template, an empty line, the headers and the body of an event.
#![no_main]

use hookgate_fuzz::{cut, event};
use hookgate_model::flow::compiled::CompiledRevision;
use hookgate_model::flow::definition::RevisionDocument;
use libfuzzer_sys::fuzz_target;
use serde_json::json;

fuzz_target!(|input: &[u8]| {
    let (template, rest) = cut(input);
    let Ok(template) = std::str::from_utf8(template) else {
        return;
    };
    let document = json!({ "response": { "body": { "text": template, "within": format!("-{template}-") } } });
    let Ok(document) = serde_json::from_value::<RevisionDocument>(document) else {
        return;
    };
    if let Ok(revision) = CompiledRevision::compile(&document) {
        let answer = revision.immediate_answer(&event(rest)).encode();
        assert!(answer.len() <= 64 << 20, "{} bytes", answer.len());
    }
});
