//! The header of the PROXY protocol, version 2.
#![no_main]

use hookgate_model::proxy_protocol::{PREAMBLE, Preamble};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((preamble, rest)) = input.split_first_chunk::<PREAMBLE>() else {
        return;
    };
    if let Ok(preamble) = Preamble::read(preamble) {
        let _ = preamble.source(rest);
        if let Some(rest) = rest.get(..preamble.rest) {
            let _ = preamble.source(rest);
        }
    }
});
