//! The layers of the crates, held against what Cargo says: `model ← domain ← ingress | management | worker ← hookgate`.

#![allow(clippy::expect_used, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};

/// Which of the workspace's crates each may use, outside its tests.
const LAYERS: [(&str, &[&str]); 11] = [
    ("hookgate-model", &[]),
    ("hookgate-domain", &["hookgate-model"]),
    ("hookgate-egress", &["hookgate-model"]),
    ("hookgate-tls", &[]),
    (
        "hookgate-ingress",
        &[
            "hookgate-model",
            "hookgate-domain",
            "hookgate-egress",
            "hookgate-tls",
        ],
    ),
    (
        "hookgate-management",
        &[
            "hookgate-model",
            "hookgate-domain",
            "hookgate-egress",
            "hookgate-tls",
        ],
    ),
    (
        "hookgate-worker",
        &["hookgate-model", "hookgate-domain", "hookgate-egress"],
    ),
    ("hookgate-devservers", &[]),
    (
        "hookgate-testkit",
        &["hookgate-model", "hookgate-domain", "hookgate-devservers"],
    ),
    (
        "hookgate",
        &[
            "hookgate-model",
            "hookgate-domain",
            "hookgate-egress",
            "hookgate-ingress",
            "hookgate-management",
            "hookgate-worker",
            "hookgate-devservers",
        ],
    ),
    (
        "hookgate-bench",
        &[
            "hookgate-model",
            "hookgate-domain",
            "hookgate-egress",
            "hookgate-ingress",
            "hookgate-management",
            "hookgate-worker",
            "hookgate-devservers",
            "hookgate-testkit",
        ],
    ),
];

/// Which crates may use a library (by the beginning of its name), outside their tests. The bench measures bare forms.
const LIBRARIES: [(&str, &[&str]); 9] = [
    (
        "actix",
        &["hookgate-ingress", "hookgate-management", "hookgate-bench"],
    ),
    ("utoipa-actix", &["hookgate-management"]),
    ("utoipa-swagger", &["hookgate-management"]),
    (
        "diesel",
        &["hookgate-domain", "hookgate-testkit", "hookgate-bench"],
    ),
    ("r2d2", &["hookgate-domain", "hookgate-bench"]),
    ("pq-sys", &["hookgate-domain"]),
    (
        "redis",
        &["hookgate-domain", "hookgate-testkit", "hookgate-bench"],
    ),
    ("figment", &["hookgate"]),
    (
        "reqwest",
        &[
            "hookgate-egress",
            "hookgate-worker",
            "hookgate-testkit",
            "hookgate",
            "hookgate-bench",
        ],
    ),
];

/// What does I/O, reads a clock, or makes randomness has no place in the model.
const NOT_IN_MODEL: [&str; 9] = [
    "tokio",
    "reqwest",
    "rand",
    "getrandom",
    "tracing",
    "metrics",
    "moka",
    "hickory-resolver",
    "rustls",
];

fn metadata() -> Metadata {
    MetadataCommand::new().no_deps().exec().expect("cargo metadata")
}

fn uses(package: &Package) -> BTreeSet<&str> {
    let outside_tests = package
        .dependencies
        .iter()
        .filter(|one| one.kind != DependencyKind::Development);
    outside_tests.map(|dependency| dependency.name.as_str()).collect()
}

#[test]
fn each_crate_uses_only_the_layers_below_it() {
    let layers = BTreeMap::from(LAYERS);
    for package in &metadata().packages {
        let name = package.name.as_str();
        let allowed = layers.get(name).unwrap_or_else(|| panic!("add {name} to LAYERS"));
        for used in uses(package)
            .into_iter()
            .filter(|used| used.starts_with("hookgate"))
        {
            assert!(allowed.contains(&used), "{name} may not use {used}");
        }
    }
}

#[test]
fn tests_use_testkit_and_no_service_but_their_own() {
    for package in &metadata().packages {
        let development = package
            .dependencies
            .iter()
            .filter(|one| one.kind == DependencyKind::Development);
        for used in development
            .map(|one| one.name.as_str())
            .filter(|used| used.starts_with("hookgate"))
        {
            let fine = [
                "hookgate-testkit",
                "hookgate-domain",
                "hookgate-model",
                "hookgate-devservers",
            ]
            .contains(&used);
            // What is left of masked data is known only once a flow has had it.
            let fine = fine || (package.name == "hookgate-ingress" && used == "hookgate-worker");
            // With the points at which tests kill it, in the program too.
            let is_killed = ["hookgate", "hookgate-worker"].contains(&package.name.as_str());
            let fine = fine || (is_killed && used == "hookgate-worker");
            assert!(fine, "the tests of {} may not use {used}", package.name);
            assert!(
                package.name != "hookgate-model",
                "the model's tests need no storage, but use {used}"
            );
        }
    }
}

#[test]
fn libraries_stay_where_they_belong() {
    for package in &metadata().packages {
        let name = package.name.as_str();
        for used in uses(package) {
            for (library, users) in LIBRARIES {
                assert!(
                    !used.starts_with(library) || users.contains(&name),
                    "{name} may not use {used}"
                );
            }
            let pure = name == "hookgate-model" && NOT_IN_MODEL.contains(&used);
            assert!(!pure, "the model does no I/O and reads no clock, but uses {used}");
        }
    }
}

#[test]
fn every_crate_takes_its_versions_and_lints_from_the_workspace() {
    for package in &metadata().packages {
        let manifest = std::fs::read_to_string(&package.manifest_path).expect("a manifest");
        let own = |line: &&str| line.contains("version = \"") || line.contains(" = \"");
        let found: Vec<&str> = manifest
            .lines()
            .filter(|line| !line.starts_with("name"))
            .filter(own)
            .collect();
        let versions = found
            .iter()
            .filter(|line| line.chars().any(|c| c.is_ascii_digit()))
            .count();
        assert_eq!(
            versions, 0,
            "{}: {found:?} belongs in workspace.dependencies",
            package.manifest_path
        );
        assert!(
            manifest.contains("[lints]\nworkspace = true"),
            "{} inherits no lints",
            package.manifest_path
        );
    }
}
