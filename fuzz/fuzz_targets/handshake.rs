//! Senders' handshakes: a `handshake` document, an empty line, a request.
#![no_main]

use hookgate_fuzz::{cut, with_request};
use hookgate_model::senders::{Handshake, Handshaker};
use libfuzzer_sys::fuzz_target;
use zeroize::Zeroizing;

fuzz_target!(|input: &[u8]| {
    let (document, request) = cut(input);
    let Ok(handshake) = serde_json::from_slice::<Handshake>(document) else {
        return;
    };
    if !handshake.problems().is_empty() {
        return;
    }
    let secrets = handshake.secret_ids().iter();
    let secrets = secrets
        .map(|id| (*id, Zeroizing::new(b"a secret".to_vec())))
        .collect();
    let handshaker = Handshaker::new(handshake, &secrets);
    with_request(request, |request| {
        let _ = handshaker.answer_head(request);
        let _ = handshaker.answer_body(request);
        if handshaker.offer(request).is_some() {
            assert!(handshaker.may_offer(request));
        }
    });
});
