//! Revisions as JSON: what compiles also answers. A document, an empty line, the headers and the body of an event.
#![no_main]

use hookgate_fuzz::{cut, event};
use hookgate_model::flow::compiled::CompiledRevision;
use hookgate_model::flow::definition::RevisionDocument;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let (document, rest) = cut(input);
    let Ok(document) = serde_json::from_slice::<RevisionDocument>(document) else {
        return;
    };
    let shown = serde_json::to_vec(&document).expect("it is written");
    serde_json::from_slice::<RevisionDocument>(&shown).expect("it is read again");
    if let Ok(revision) = CompiledRevision::compile(&document) {
        let event = event(rest);
        let _ = revision.immediate_answer(&event).encode();
        let _ = revision.timed_out_answer(&event, Some("https://hooks.example.com/status/x")).encode();
        let _ = revision.filtered_answer(&event).encode();
    }
});
