//! What holds of every known sender.

mod signed;

use super::*;
use crate::methods::MethodSet;

#[test]
fn every_document_is_complete() {
    assert!(all().is_sorted_by(|a, b| a.name < b.name));
    for preset in all() {
        let name = preset.name;
        assert_eq!(find(name).map(|found| found.name), Some(name));
        for text in [&preset.title, &preset.summary, &preset.documentation_url] {
            assert!(!text.trim().is_empty(), "{name}");
        }
        assert!(preset.documentation_url.starts_with("https://"), "{name}");
        assert!(preset.summary.ends_with('.'), "{name}");
        assert!(!preset.steps.is_empty(), "{name}");
        for sentence in preset.steps.iter().chain(&preset.limits) {
            assert!(sentence.ends_with(['.', '?']), "{name}: {sentence}");
        }
        MethodSet::parse(&preset.methods).unwrap_or_else(|error| panic!("{name}: {error}"));
        let identity = [&preset.event_type, &preset.delivery_id];
        for template in identity.into_iter().flatten() {
            Identity::compile(Some(template), None, false).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        assert!(
            preset.delivery_id.is_some() || !preset.delivery_id_is_signed,
            "{name}"
        );
    }
    assert!(find("nobody").is_none() && find("").is_none());
}
