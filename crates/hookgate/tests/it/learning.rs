//! Real input: what is learnt from one half of GitHub's published examples is checked against the other half.

use std::collections::BTreeMap;
use std::sync::Arc;

use hookgate_domain::clock;
use hookgate_model::expected_data::{
    Matcher, Violation, ViolationCode, from_json_schema, infer, to_json_schema,
};
use hookgate_model::flow::variables::{EventInput, Request};
use hookgate_model::webhook::Environment;
use serde_json::Value;

use crate::github::{Payload, payloads};
use crate::node::node_packages;

/// How often the payloads are divided anew.
const DIVISIONS: u64 = 10;

/// How a payload differs from those that were learnt from, by what really differs in the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    /// It lacks a field that all of those had.
    Absent,
    /// A field is null that never was.
    Null,
    /// A text is empty that looked like an address, a time or the like.
    Empty,
    /// A text is none of the few that were seen often.
    OtherValue,
    /// A text looks otherwise than all that were seen.
    OtherFormat,
    /// A value is of another type than all that were seen.
    OtherType,
}

fn request(payload: &Payload) -> Arc<Request> {
    Request::new(EventInput {
        id: clock::new_id(),
        received_at: clock::now(),
        method: "POST".to_owned(),
        address: None,
        environment: Environment::Test,
        suffix: "github".to_owned(),
        path: "github".to_owned(),
        query: String::new(),
        headers: b"content-type: application/json\r\n".to_vec(),
        body: payload.bytes.clone().into(),
        event_type: None,
        delivery_id: None,
    })
}

/// The payloads by event type, each with what it says.
fn by_type(payloads: &[Payload]) -> BTreeMap<&str, Vec<(Arc<Request>, Value)>> {
    let mut types: BTreeMap<&str, Vec<_>> = BTreeMap::new();
    for payload in payloads {
        let json = serde_json::from_slice(&payload.bytes).unwrap();
        types
            .entry(&payload.event)
            .or_default()
            .push((request(payload), json));
    }
    types
}

/// Puts a list into an order that the seed decides (Fisher and Yates, with splitmix64).
fn shuffle<T>(list: &mut [T], seed: u64) {
    let mut state = seed;
    for last in (1..list.len()).rev() {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let other = (mixed ^ (mixed >> 31)) % (last as u64 + 1);
        list.swap(last, usize::try_from(other).unwrap());
    }
}

/// The value at the path of a violation, such as `commits[2].author.name`.
fn at<'a>(json: &'a Value, path: &str) -> Option<&'a Value> {
    let mut value = json;
    for name in path.split(['.', '[']).filter(|name| !name.is_empty()) {
        value = match name.strip_suffix(']') {
            Some(index) => value.get(index.parse::<usize>().unwrap())?,
            None => value.get(name)?,
        };
    }
    Some(value)
}

fn class_of(violation: &Violation, payload: &Value) -> Class {
    let value = at(payload, &violation.path);
    match (violation.code, value) {
        (ViolationCode::Missing, None) => Class::Absent,
        (ViolationCode::WrongType, Some(Value::Null)) => Class::Null,
        (ViolationCode::WrongType, Some(Value::String(text))) if text.is_empty() => Class::Empty,
        (ViolationCode::WrongValue, Some(Value::String(_))) => Class::OtherValue,
        (ViolationCode::WrongType, Some(Value::String(_))) if violation.msg != "must be an integer" => {
            Class::OtherFormat
        }
        (ViolationCode::WrongType, Some(_)) => Class::OtherType,
        _ => panic!("{violation:?} of {value:?} says something untrue"),
    }
}

#[test]
fn what_is_learnt_from_half_of_githubs_payloads_accepts_the_other_half_but_for_what_really_differs() {
    let payloads = payloads(&node_packages());
    let types = by_type(&payloads);
    // Checked and accepted, by how many were learnt from.
    let mut counts: BTreeMap<usize, (u32, u32)> = BTreeMap::new();
    let mut classes: BTreeMap<Class, BTreeMap<String, u32>> = BTreeMap::new();
    let mut rejected: BTreeMap<Class, u32> = BTreeMap::new();
    for division in 0..DIVISIONS {
        for (event, samples) in &types {
            let mut samples: Vec<_> = samples.iter().collect();
            shuffle(&mut samples, division);
            let (learnt_from, others) = samples.split_at(samples.len().div_ceil(2));
            let requests: Vec<_> = learnt_from
                .iter()
                .map(|(request, _)| Arc::clone(request))
                .collect();
            let matcher = Matcher::compile(&infer(&requests));
            for (request, _) in learnt_from {
                assert_eq!(
                    matcher.check(request),
                    [],
                    "{event} does not accept what it was learnt from"
                );
            }
            for (request, payload) in others {
                let violations = matcher.check(request);
                let (checked, accepted) = counts.entry(learnt_from.len().min(6)).or_default();
                *checked += 1;
                *accepted += u32::from(violations.is_empty());
                let mut found: Vec<Class> = Vec::new();
                for violation in violations {
                    let class = class_of(&violation, payload);
                    let place = format!("{event}: {}", violation.path_in_structure());
                    *classes.entry(class).or_default().entry(place).or_default() += 1;
                    found.push(class);
                }
                found.sort_unstable();
                found.dedup();
                for class in found {
                    *rejected.entry(class).or_default() += 1;
                }
            }
        }
    }
    let share = |(checked, accepted): (u32, u32)| f64::from(accepted) / f64::from(checked) * 100.0;
    let all = counts
        .values()
        .fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1));
    println!(
        "{} checks in {DIVISIONS} divisions, {:.1} % accepted",
        all.0,
        share(all)
    );
    for (learnt_from, counts) in &counts {
        println!(
            "learnt from {learnt_from} (6: or more): {} checks, {:.1} % accepted",
            counts.0,
            share(*counts)
        );
    }
    for (class, places) in &classes {
        let mut most: Vec<_> = places.iter().collect();
        most.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let shown: Vec<_> = most
            .iter()
            .take(8)
            .map(|(place, count)| format!("{place} ({count})"))
            .collect();
        println!(
            "{class:?}: {} payloads, {} fields, such as {}",
            rejected[class],
            places.len(),
            shown.join(", ")
        );
    }
    // A field that is there in some only, or empty in some only, is what really differs. All else is told here.
    let fields = |class| -> Vec<&str> {
        let places = classes.get(&class).into_iter().flatten();
        places.map(|(place, _)| place.as_str()).collect()
    };
    assert_eq!(
        fields(Class::OtherFormat),
        [
            // GitHub writes these with and without the T.
            "check_run: check_run.app.created_at",
            "check_run: check_run.app.updated_at",
            "check_run: check_run.check_suite.app.created_at",
            "check_run: check_run.check_suite.app.updated_at",
        ]
    );
    // A text in some, an object in others.
    assert_eq!(
        fields(Class::OtherType),
        ["package: package.package_version.body"]
    );
    assert_eq!(fields(Class::OtherValue), [""; 0]);
    assert!(share(all) > 70.0, "{}", share(all));
}

#[test]
fn the_structures_of_githubs_payloads_are_the_same_after_a_way_through_json_schema() {
    let payloads = payloads(&node_packages());
    for (event, samples) in by_type(&payloads) {
        let requests: Vec<_> = samples.into_iter().map(|(request, _)| request).collect();
        let mut learnt = infer(&requests);
        let mut read = from_json_schema(&to_json_schema(&learnt)).unwrap();
        for fields in [
            &mut learnt.headers,
            &mut learnt.body,
            &mut read.headers,
            &mut read.body,
        ] {
            fields.iter_mut().for_each(|field| field.inferred = false);
            fields.sort_by(|a, b| a.path.cmp(&b.path));
        }
        assert_eq!(read, learnt, "{event}");
    }
}
