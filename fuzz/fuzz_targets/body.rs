//! Bodies of all kinds, charsets and encodings: headers, an empty line, the body.
#![no_main]

use bytes::Bytes;
use hookgate_fuzz::{cut, stored};
use hookgate_model::body::{Body, most_memory};
use hookgate_model::headers;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let (head, sent) = cut(input);
    let head = stored(head);
    let body = Body::new(&head, Bytes::copy_from_slice(sent));
    assert!(most_memory(&head, sent.len()) < 1 << 30);
    if let Ok(decoded) = body.decoded() {
        if headers::find(&head, "content-encoding").is_none() {
            assert_eq!(decoded, sent);
        }
        assert!(decoded.len() <= (sent.len() * 100).clamp(1 << 20, 26 << 20).max(sent.len()));
    }
    let _ = (body.kind(), body.document(), body.error());
    if let Some(text) = body.text() {
        assert!(text.len() <= 100 << 20);
    }
    for file in body.files() {
        assert!(body.content_of(file).len() <= 26 << 20);
        let _ = body.sha256_of(file);
    }
});
