//! Regular expressions: of the crate `regex`, whose time grows with the text alone, within bounds for both.

use std::cell::RefCell;
use std::collections::HashMap;

use minijinja::value::Value as Variable;
use minijinja::{Environment, Error};
use regex::{Captures, Regex, RegexBuilder};

use super::{own, room, wrong};
use crate::flow::template::stop;

/// The most bytes that a compiled expression may take. `\w{100}` takes 600 kB with all of Unicode, 5 kB without.
const MAX_PROGRAM: usize = 128 * 1024;
/// The most bytes that matching may take besides.
const MAX_CACHE: usize = 1024 * 1024;
/// How deep an expression may be nested.
const MAX_NESTING: u32 = 50;
/// The most bytes of a text that is searched.
const MAX_TEXT: usize = 256 * 1024;
/// The most matches that are given.
const MAX_MATCHES: usize = 1_000;
/// How many expressions a thread remembers.
const REMEMBERED: usize = 64;

pub(super) fn register(environment: &mut Environment<'static>) {
    environment.add_filter("regex_match", own(is_match));
    environment.add_filter("regex_extract", own(extract));
    environment.add_filter("regex_extract_all", own(extract_all));
    environment.add_filter("regex_replace", own(replace));
}

/// Compiles an expression; what is wrong with it, for the tenant.
pub(in crate::flow::template) fn compile(pattern: &str) -> Result<Regex, String> {
    let compiled = RegexBuilder::new(pattern)
        .size_limit(MAX_PROGRAM)
        .dfa_size_limit(MAX_CACHE)
        .nest_limit(MAX_NESTING)
        .build();
    compiled.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => {
            "the regular expression is too large; fewer repetitions, or `(?-u)` for ASCII alone, make it smaller"
                .to_owned()
        }
        // The first lines show the expression; the last says what is wrong.
        other => {
            let text = other.to_string();
            let detail = text.lines().last().unwrap_or_default();
            format!("this is no regular expression: {}", detail.trim_start_matches("error: "))
        }
    })
}

/// Expressions are compiled once by each thread that uses them.
fn with<T>(pattern: &str, text: &str, work: impl FnOnce(&Regex) -> Result<T, Error>) -> Result<T, Error> {
    thread_local! {
        static COMPILED: RefCell<HashMap<String, Regex>> = RefCell::default();
    }
    if text.len() > MAX_TEXT {
        return Err(wrong(format!(
            "a text of at most {MAX_TEXT} bytes can be searched"
        )));
    }
    let known = COMPILED.with_borrow(|compiled| compiled.get(pattern).cloned());
    let regex = match known {
        Some(known) => known,
        None => {
            let regex = compile(pattern).map_err(wrong)?;
            COMPILED.with_borrow_mut(|compiled| {
                if compiled.len() >= REMEMBERED {
                    compiled.clear();
                }
                compiled.insert(pattern.to_owned(), regex.clone());
            });
            regex
        }
    };
    work(&regex)
}

fn is_match(text: &str, pattern: &str) -> Result<bool, Error> {
    with(pattern, text, |regex| Ok(regex.is_match(text)))
}

/// What a group matched: by default the first one, or all if there is none.
fn group(regex: &Regex, found: &Captures<'_>, wanted: Option<&Variable>) -> Result<Variable, Error> {
    let group = match wanted {
        None => found.get(usize::from(regex.captures_len() > 1)),
        Some(name) => match (name.as_usize(), name.as_str()) {
            (Some(number), _) if number < regex.captures_len() => found.get(number),
            (_, Some(name)) if regex.capture_names().flatten().any(|known| known == name) => found.name(name),
            _ => return Err(wrong(format!("the regular expression has no group {name}"))),
        },
    };
    Ok(group.map_or(Variable::from(()), |group| Variable::from(group.as_str())))
}

fn extract(text: &str, pattern: &str, wanted: Option<Variable>) -> Result<Variable, Error> {
    with(pattern, text, |regex| match regex.captures(text) {
        Some(found) => group(regex, &found, wanted.as_ref()),
        None => Ok(Variable::from(())),
    })
}

fn extract_all(text: &str, pattern: &str, wanted: Option<Variable>) -> Result<Vec<Variable>, Error> {
    with(pattern, text, |regex| {
        let all = regex.captures_iter(text).take(MAX_MATCHES);
        all.map(|found| group(regex, &found, wanted.as_ref())).collect()
    })
}

fn replace(text: &str, pattern: &str, with_what: &str) -> Result<String, Error> {
    with(pattern, text, |regex| {
        let (mut replaced, mut end) = (String::new(), 0);
        for found in regex.captures_iter(text) {
            stop::check()?;
            let Some(whole) = found.get(0) else { continue };
            let between = text.get(end..whole.start()).unwrap_or_default();
            replaced.push_str(between);
            found.expand(with_what, &mut replaced);
            room(replaced.len(), 0)?;
            end = whole.end();
        }
        replaced.push_str(text.get(end..).unwrap_or_default());
        Ok(replaced)
    })
}
