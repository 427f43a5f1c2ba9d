//! Stored headers: any bytes are read, and what is written is read back.
#![no_main]

use hookgate_fuzz::stored;
use hookgate_model::headers;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let count = headers::read(input).count();
    assert!(count <= input.len());
    let _ = headers::find(input, "content-type");
    // Names are ASCII and hold no colon; no value ends a line.
    let written = stored(input);
    let mut again = Vec::new();
    for (name, value) in headers::read(&written) {
        headers::write(&mut again, name.as_bytes(), value);
    }
    assert_eq!(headers::read(&again).count(), headers::read(&written).count());
});
