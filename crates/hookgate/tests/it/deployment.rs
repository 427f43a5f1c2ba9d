//! The Kubernetes manifests, the compose file and the units, as far as the program can be wrong about them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::settings::example_settings;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn files(directory: &Path, found: &mut Vec<(PathBuf, String)>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else {
            let text = fs::read_to_string(&path).unwrap();
            found.push((path, text));
        }
    }
}

/// Every object of the manifests that has a template for pods: its file, its text.
fn workloads() -> Vec<(PathBuf, String)> {
    let mut manifests = Vec::new();
    files(&repository().join("deploy/kubernetes"), &mut manifests);
    let mut found = Vec::new();
    for (path, text) in manifests {
        let objects = text
            .split("\n---\n")
            .filter(|object| object.contains("\n  template:\n"));
        found.extend(objects.map(|object| (path.clone(), object.to_owned())));
    }
    assert!(found.len() > 4, "{} workloads", found.len());
    found
}

/// Without it the kubelet sets `HOOKGATE_INGRESS_PORT` and the like for each service, which are no settings.
#[test]
fn pods_get_no_variables_but_their_own_and_no_rights_that_they_do_not_need() {
    let of_pod = ["enableServiceLinks: false", "automountServiceAccountToken: false"];
    let of_container = ["readOnlyRootFilesystem: true", "allowPrivilegeEscalation: false"];
    for (path, workload) in workloads() {
        let has = |indent: usize, line: &str| {
            workload
                .lines()
                .any(|other| other == format!("{}{line}", " ".repeat(indent)))
        };
        for line in of_pod {
            assert!(has(6, line), "{}: {line} is missing", path.display());
        }
        for line in of_container {
            assert!(has(12, line), "{}: {line} is missing", path.display());
        }
    }
}

#[test]
fn a_deployment_has_an_autoscaler_or_a_number_of_its_own_and_not_both() {
    let mut scaled = 0;
    for (path, workload) in workloads() {
        if !workload.contains("kind: Deployment\n") {
            continue;
        }
        let file = fs::read_to_string(&path).unwrap();
        let is_scaled = file.contains("kind: HorizontalPodAutoscaler\n");
        scaled += usize::from(is_scaled);
        assert_ne!(
            is_scaled,
            workload.contains("\n  replicas:"),
            "{}",
            path.display()
        );
    }
    assert_eq!(scaled, 3);
}

/// `HOOKGATE_INGRESS__LISTEN` is `ingress.listen`.
#[test]
fn variables_are_settings() {
    let mut texts = Vec::new();
    files(&repository().join("deploy"), &mut texts);
    for name in ["docker-compose.yml", "docs/deploy.md", "docs/operators.md"] {
        let path = repository().join(name);
        let text = fs::read_to_string(&path).unwrap();
        texts.push((path, text));
    }
    let known: BTreeSet<String> = example_settings()
        .into_iter()
        .map(|(name, _)| name.to_uppercase().replace('.', "__"))
        .collect();
    let mut seen = BTreeSet::new();
    for (path, text) in texts {
        let is_of_name = |c: char| c.is_ascii_uppercase() || c == '_';
        let words = text.split(|c| !is_of_name(c));
        for name in words.filter_map(|word| word.strip_prefix("HOOKGATE_")) {
            // `HOOKGATE_*`, and `HOOKGATE_ and the name in capitals`.
            assert!(
                name.is_empty() || known.contains(name),
                "{}: HOOKGATE_{name} is no setting",
                path.display()
            );
            seen.insert(name.to_owned());
        }
    }
    assert!(seen.len() > 12, "{seen:?}");
}

/// An ingress that does not know what the public URLs begin with refuses what senders sign with them.
#[test]
fn the_compose_file_tells_both_services_where_the_public_urls_are() {
    let text = fs::read_to_string(repository().join("docker-compose.yml")).unwrap();
    for name in ["HOOKGATE_INGRESS__PUBLIC_URL", "HOOKGATE_MANAGEMENT__PUBLIC_URL"] {
        assert!(text.contains(&format!("\n      {name}: ")), "{name}");
    }
}
