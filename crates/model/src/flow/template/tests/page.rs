//! `docs/templates.md`: its examples give what it says, and it lists everything that there is.

use regex::Regex;
use serde_json::Value;

use crate::flow::template::JsonTemplate;
use crate::flow::variables::{Variables, tests::event};

const PAGE: &str = include_str!("../../../../../../docs/templates.md");

/// The lines of the code blocks in a language.
fn blocks(language: &str) -> Vec<&'static str> {
    let fence = format!("```{language}");
    let mut lines = Vec::new();
    let mut is_inside = false;
    for line in PAGE.lines() {
        match line {
            "```" => is_inside = false,
            line if line == fence => is_inside = true,
            line if is_inside => lines.push(line),
            _ => {}
        }
    }
    lines
}

#[test]
fn every_example_gives_what_the_page_says() {
    let root = Variables::of_request(&event("application/json", &blocks("json").join("\n"))).root();
    let examples = blocks("jinja");
    assert!(examples.len() > 90, "{} examples", examples.len());
    let mut wrong = Vec::new();
    for example in examples {
        let (template, expected) = example.rsplit_once(" → ").expect(example);
        // As in a JSON document, where `\n` is a line feed.
        let template = template.replace("\\n", "\n");
        let expected: Value = serde_json::from_str(expected).expect(example);
        let compiled =
            JsonTemplate::compile(&Value::String(template)).map_err(|errors| errors[0].error.clone());
        let found = compiled.and_then(|template| template.evaluate(&root));
        if found.as_ref() != Ok(&expected) {
            wrong.push(format!("{example}\n  gave {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The code that registers them: MiniJinja does not say what an environment has.
const CODE: [&str; 9] = [
    include_str!("../functions/dates.rs"),
    include_str!("../functions/digests.rs"),
    include_str!("../functions/encoding.rs"),
    include_str!("../functions/identity.rs"),
    include_str!("../functions/lookup.rs"),
    include_str!("../functions/mod.rs"),
    include_str!("../functions/numbers.rs"),
    include_str!("../functions/patterns.rs"),
    include_str!("../functions/texts.rs"),
];

#[test]
fn the_page_lists_everything() {
    let words: Vec<&str> = PAGE
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .collect();
    let named = Regex::new(r#"add_(?:filter|function)\("(\w+)"|"(\w+)" => is_"#).expect("a pattern");
    let listed = Regex::new(r"(?s)builtin!\(add_filter: (.*?)\);").expect("a pattern");
    let code = CODE.concat();
    let mut names: Vec<&str> = named
        .captures_iter(&code)
        .filter_map(|found| Some(found.get(1).or(found.get(2))?.as_str()))
        .collect();
    let builtins = listed.captures(&code).expect("a list").get(1).expect("names");
    names.extend(builtins.as_str().split(',').map(str::trim));
    assert!(names.len() > 80, "{names:?}");
    let missing: Vec<&&str> = names.iter().filter(|name| !words.contains(name)).collect();
    assert_eq!(missing, Vec::<&&str>::new());
}
