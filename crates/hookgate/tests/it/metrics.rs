//! The metrics: those of the code, of the page that explains them, and of the dashboard and the alerts are the same.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

const PAGE: &str = include_str!("../../../../docs/metrics.md");
const ALERTS: &str = include_str!("../../../../deploy/prometheus/alerts.yml");
const DASHBOARD: &str = include_str!("../../../../deploy/grafana/hookgate.json");

/// Every name of a metric in a text.
fn names(text: &str) -> BTreeSet<String> {
    let is_of_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    text.split(|c| !is_of_name(c))
        .filter(|word| word.starts_with("hookgate_") && word.len() > "hookgate_".len())
        .map(str::to_owned)
        .collect()
}

/// The names of a page's tables, with their types.
fn documented() -> BTreeSet<(String, String)> {
    let rows = PAGE.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.map(|row| {
        let (name, rest) = row.split_once("` | ").unwrap();
        (name.to_owned(), rest.split(' ').next().unwrap().to_owned())
    })
    .collect()
}

/// The names in calls of the `metrics` macros, with their types.
fn made(directory: &Path, found: &mut BTreeSet<(String, String)>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            made(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let source = std::fs::read_to_string(&path).unwrap();
            for kind in ["counter", "gauge", "histogram"] {
                for call in source.split(&format!("metrics::{kind}!(")).skip(1) {
                    let name = call.trim_start().trim_start_matches('"');
                    let (name, _) = name.split_once('"').unwrap();
                    found.insert((name.to_owned(), kind.to_owned()));
                }
            }
        }
    }
}

#[test]
fn every_metric_is_explained_and_no_other() {
    let mut found = BTreeSet::new();
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for name in ["domain", "egress", "ingress", "management", "worker", "hookgate"] {
        made(&crates.join(name).join("src"), &mut found);
    }
    assert!(found.len() > 30);
    assert_eq!(found, documented());
}

/// A name as it is exposed without what a histogram adds to it.
fn base(name: &str, documented: &BTreeSet<(String, String)>) -> String {
    let is_histogram = |name: &str| documented.contains(&(name.to_owned(), "histogram".to_owned()));
    let ends = ["_bucket", "_count", "_sum"];
    let stripped = ends
        .iter()
        .find_map(|end| name.strip_suffix(end))
        .filter(|name| is_histogram(name));
    stripped.unwrap_or(name).to_owned()
}

#[test]
fn dashboard_and_alerts_ask_for_metrics_that_there_are() {
    let documented = documented();
    let known: BTreeSet<String> = documented.iter().map(|(name, _)| name.clone()).collect();
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut shown = BTreeSet::new();
    for target in panels
        .iter()
        .filter_map(|panel| panel["targets"].as_array())
        .flatten()
    {
        let asked = names(target["expr"].as_str().unwrap());
        assert!(!asked.is_empty(), "{target}");
        shown.extend(asked.iter().map(|name| base(name, &documented)));
    }
    let expressions: String = ALERTS
        .lines()
        .filter(|line| !line.contains("action:") && !line.trim_start().starts_with('#'))
        .collect();
    let alarming: BTreeSet<String> = names(&expressions)
        .iter()
        .map(|name| base(name, &documented))
        .collect();
    assert!(shown.len() > 20 && alarming.len() > 8, "{shown:?} {alarming:?}");
    assert_eq!(shown.difference(&known).next(), None);
    assert_eq!(alarming.difference(&known).next(), None);
}

/// That everything that a process exposes is explained.
pub fn assert_explained(exposed: &str) {
    let documented = documented();
    let types = exposed.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    for (name, kind) in types.map(|line| line.split_once(' ').unwrap()) {
        let known = documented.contains(&(name.to_owned(), kind.to_owned()));
        assert!(known, "{name} ({kind}) is not in docs/metrics.md");
    }
}
