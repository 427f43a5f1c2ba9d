//! Verification: an `authentication` document, an empty line, a request.
#![no_main]

use hookgate_fuzz::{cut, with_request};
use hookgate_model::authentication::{Authentication, Material, NoKeys, Trace, Verdict, Verifier};
use libfuzzer_sys::fuzz_target;
use zeroize::Zeroizing;

fuzz_target!(|input: &[u8]| {
    let (document, request) = cut(input);
    let Ok(authentication) = serde_json::from_slice::<Authentication>(document) else {
        return;
    };
    let _ = authentication.problems();
    let mut material = Material::default();
    for id in authentication.secret_ids() {
        material.secrets.insert(
            id,
            Zeroizing::new(b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_vec()),
        );
    }
    let Ok(verifier) = Verifier::compile(&authentication, &material) else {
        return;
    };
    with_request(request, |request| {
        let quiet = verifier.verify(request, &NoKeys, &mut Trace::off());
        let mut trace = Trace::on();
        let traced = verifier.verify(request, &NoKeys, &mut trace);
        let _ = trace.into_steps();
        let accepts = |verdict: &Verdict| matches!(verdict, Verdict::Accepted(_));
        assert_eq!(accepts(&quiet), accepts(&traced));
        // What the head decides, the body does not change.
        if let Some(early) = verifier.verify_head(request, &NoKeys, &mut Trace::off()) {
            assert_eq!(accepts(&early), accepts(&quiet));
        }
    });
});
