//! Suffixes and the paths that match them: a suffix, an empty line, a path.
#![no_main]

use hookgate_fuzz::cut;
use hookgate_model::suffix::UrlSuffix;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let (suffix, path) = cut(input);
    let (Ok(text), Ok(path)) = (std::str::from_utf8(suffix), std::str::from_utf8(path)) else {
        return;
    };
    assert!(UrlSuffix::parse(UrlSuffix::from_name(text).as_str()).is_ok());
    let Ok(suffix) = UrlSuffix::parse(text) else {
        return;
    };
    assert_eq!(suffix.as_str(), text);
    let parameters = suffix.parameters(path);
    assert_eq!(suffix.matches(path), parameters.is_some());
    if let Some(parameters) = parameters {
        assert_eq!(parameters.len(), suffix.parameter_names().count());
        assert!(!path.split('/').any(|segment| segment == ".."));
    }
});
