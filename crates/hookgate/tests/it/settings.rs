//! `deploy/hookgate.example.toml` shows every setting with its default.

use crate::process::run;

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/hookgate.example.toml");

#[test]
fn the_example_file_is_the_defaults() {
    let defaults = run(["settings"], &[]);
    let with_example = run(["--config", EXAMPLE, "settings"], &[]);
    assert!(
        with_example.status.success(),
        "{}",
        String::from_utf8_lossy(&with_example.stderr)
    );
    let (defaults, shown) = (lines(&defaults.stdout), lines(&with_example.stdout));
    let differing: Vec<_> = defaults
        .iter()
        .zip(&shown)
        .filter(|(default, shown)| default != shown)
        .collect();
    assert!(
        differing.is_empty(),
        "the defaults, and deploy/hookgate.example.toml: {differing:#?}"
    );
    assert_eq!(defaults.len(), shown.len());
}

/// The settings that the example file shows, also those that it leaves out, and whether each has a comment before it.
pub fn example_settings() -> Vec<(String, bool)> {
    let example = std::fs::read_to_string(EXAMPLE).unwrap();
    let mut section = String::new();
    let mut shown = Vec::new();
    let mut explained = false;
    for line in example.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = format!("{name}.");
        } else if let Some((name, _)) = line
            .trim_start_matches("# ")
            .split_once(" = ")
            .filter(|(name, _)| is_name(name))
        {
            shown.push((format!("{section}{name}"), explained));
        }
        explained = line.starts_with("# ");
    }
    shown
}

fn lines(output: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(output)
        .lines()
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_example_file_has_every_setting_with_an_explanation() {
    let defaults = run(["settings"], &[]);
    let defaults: toml::Table = toml::from_str(&String::from_utf8(defaults.stdout).unwrap()).unwrap();
    let shown: Vec<String> = example_settings()
        .into_iter()
        .map(|(name, is_explained)| {
            assert!(is_explained, "{name} has no comment before it");
            name
        })
        .collect();
    for (name, value) in &defaults {
        let names = match value {
            toml::Value::Table(table) => table.keys().map(|key| format!("{name}.{key}")).collect(),
            _ => vec![name.clone()],
        };
        for name in names {
            assert!(
                shown.contains(&name),
                "{name} is not in deploy/hookgate.example.toml"
            );
        }
    }
}

#[test]
fn the_file_of_the_kubernetes_manifests_is_understood() {
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../deploy/kubernetes/hookgate.toml"
    );
    let output = run(["--config", file, "settings"], &[]);
    let problem = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{problem}");
    let settings = String::from_utf8(output.stdout).unwrap();
    assert!(settings.contains("drain_seconds = 10"), "{settings}");
}

#[test]
fn the_page_of_limits_names_settings_with_their_defaults() {
    const PAGE: &str = include_str!("../../../../docs/limits.md");
    let defaults = run(["settings"], &[]);
    let defaults: toml::Table = toml::from_str(&String::from_utf8(defaults.stdout).unwrap()).unwrap();
    let mut named = 0;
    for row in PAGE.lines().filter_map(|line| line.strip_prefix("| `")) {
        // Fields of the API are named with what they are of.
        let (name, rest) = row.split_once('`').unwrap();
        let Some(rest) = rest.strip_prefix(" |") else {
            continue;
        };
        let (section, key) = name.split_once('.').unwrap();
        let Some(section) = defaults.get(section).and_then(toml::Value::as_table) else {
            panic!("{name} is in no section");
        };
        let value = section.get(key).unwrap_or_else(|| panic!("{name} is no setting"));
        let shown = rest.trim_start().split([' ', '|']).next().unwrap();
        assert_eq!(shown.replace(',', ""), value.to_string(), "{name}");
        named += 1;
    }
    assert!(named > 25, "{named} settings");
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}
