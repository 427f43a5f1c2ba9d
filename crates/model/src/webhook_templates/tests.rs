//! What holds of every template.

use std::collections::{BTreeSet, HashSet};

use serde_json::Value;

use super::*;
use crate::authentication::ProblemCode;
use crate::flow::check::{Context, check};
use crate::senders;

/// Every value of an example.
fn examples(template: &WebhookTemplate) -> Given {
    let parameters = template.parameters.iter();
    parameters
        .map(|one| (one.name.clone(), one.example.clone()))
        .collect()
}

/// The names of the parameters that have a place in a document.
fn places(document: &Value, found: &mut BTreeSet<String>) {
    match document {
        Value::String(text) => {
            let name = text
                .strip_prefix("${parameters.")
                .and_then(|rest| rest.strip_suffix('}'));
            found.extend(name.map(str::to_owned));
        }
        Value::Array(items) => items.iter().for_each(|item| places(item, found)),
        Value::Object(members) => members.values().for_each(|member| places(member, found)),
        _ => {}
    }
}

#[test]
fn every_document_is_complete_and_can_work() {
    assert!(all().is_sorted_by(|a, b| a.name < b.name));
    for template in all() {
        let name = template.name;
        assert_eq!(find(name).map(|found| found.name), Some(name));
        assert!(senders::find(name).is_none(), "{name} is the name of a sender");
        for sentence in template.steps.iter().chain([&template.summary]) {
            assert!(sentence.ends_with('.'), "{name}: {sentence}");
        }
        let mut used = BTreeSet::new();
        places(&Value::Object(template.webhook.clone()), &mut used);
        places(&template.revision, &mut used);
        let parameters: BTreeSet<String> = template.parameters.iter().map(|one| one.name.clone()).collect();
        assert_eq!(used, parameters, "{name}");

        let filled = template.fill(&examples(template)).expect(name);
        let of_kind = |kind| {
            let parameters = template.parameters.iter().filter(move |one| one.kind == kind);
            parameters.map(|one| one.example.clone())
        };
        let destinations: HashSet<_> = of_kind(ParameterKind::Destination)
            .map(|id| id.parse().expect("an id"))
            .collect();
        let collections: HashSet<_> = of_kind(ParameterKind::Collection).collect();
        let context = Context {
            destinations: &destinations,
            collections: &collections,
            secrets: &HashSet::new(),
        };
        assert_eq!(check(&filled.revision, context), [], "{name}");
    }
    assert!(find("nobody").is_none());
}

#[test]
fn what_is_missing_or_wrong_is_told_where_it_is() {
    let template = find("slack-command").expect("a template");
    let told = |changes: &[(&str, Option<&str>)]| {
        let mut given = examples(template);
        for (name, value) in changes {
            match value {
                Some(value) => given.insert((*name).to_owned(), (*value).to_owned()),
                None => given.remove(*name),
            };
        }
        let problems = template.fill(&given).err().unwrap_or_default();
        let told = problems
            .into_iter()
            .map(|problem| (problem.pointer, problem.code));
        told.collect::<Vec<_>>()
    };
    assert_eq!(told(&[]), []);
    assert_eq!(told(&[("sorry", None)]), [], "it has a default");
    let everything = [
        ("secret", None),
        ("destination", Some("dst_1")),
        ("sorry", Some("")),
        ("a/b", Some("x")),
    ];
    assert_eq!(
        told(&everything),
        [
            ("/secret".to_owned(), ProblemCode::Required),
            ("/destination".to_owned(), ProblemCode::Invalid),
            ("/sorry".to_owned(), ProblemCode::Invalid),
            ("/a~1b".to_owned(), ProblemCode::Invalid),
        ]
    );
}

#[test]
fn a_place_in_the_revision_leads_back_to_its_parameter() {
    let template = find("slack-command").expect("a template");
    for (pointer, name) in [
        ("/flow/steps/0/destination", Some("destination")),
        ("/response/on/failed/body/text", Some("sorry")),
        ("/flow/steps/0/body/text", None),
        ("/flow", None),
        ("", None),
        ("/nowhere/at/all", None),
    ] {
        let found = template
            .parameter_at(pointer)
            .map(|parameter| parameter.name.as_str());
        assert_eq!(found, name, "{pointer}");
    }
}
