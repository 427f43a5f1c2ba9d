//! Finding what may not be there.

use minijinja::value::{Rest, Value as Variable};
use minijinja::{Environment, Error};

use super::{own, wrong};
use crate::flow::template::stop;

/// The most parts of a path.
const MAX_PARTS: usize = 64;
/// The most values that a path with `[*]` may find.
const MAX_FOUND: usize = 10_000;

pub(super) fn register(environment: &mut Environment<'static>) {
    environment.add_filter("get", own(get));
    environment.add_function("coalesce", own(coalesce));
}

/// The first value that is there and not null.
fn coalesce(values: Rest<Variable>) -> Variable {
    let found = values
        .iter()
        .find(|value| !value.is_undefined() && !value.is_none());
    found.cloned().unwrap_or(Variable::from(()))
}

enum Part<'a> {
    Name(&'a str),
    Index(i64),
    All,
}

/// `order.lines[0].sku`, `lines[-1]`, `lines[*].sku`, `['a name']`, all optionally after `$`.
fn parts(path: &str) -> Result<Vec<Part<'_>>, Error> {
    let refused = || wrong(format!("{path} is no path; `order.lines[0].sku` is one"));
    let mut rest = path.strip_prefix('$').unwrap_or(path);
    let mut parts = Vec::new();
    while !rest.is_empty() {
        if parts.len() == MAX_PARTS {
            return Err(wrong(format!("a path has at most {MAX_PARTS} parts")));
        }
        if let Some(inner) = rest.strip_prefix('[') {
            let quote = inner.chars().next().filter(|sign| matches!(sign, '\'' | '"'));
            let (part, after) = match quote {
                Some(quote) => {
                    let (name, after) = inner[1..].split_once(quote).ok_or_else(refused)?;
                    (Part::Name(name), after.strip_prefix(']').ok_or_else(refused)?)
                }
                None => match inner.split_once(']').ok_or_else(refused)? {
                    ("*", after) => (Part::All, after),
                    (index, after) => (Part::Index(index.parse().map_err(|_| refused())?), after),
                },
            };
            parts.push(part);
            rest = after;
        } else {
            let name = rest.strip_prefix('.').unwrap_or(rest);
            let end = name.find(['.', '[']).unwrap_or(name.len());
            if end == 0 {
                return Err(refused());
            }
            parts.push(if &name[..end] == "*" {
                Part::All
            } else {
                Part::Name(&name[..end])
            });
            rest = &name[end..];
        }
    }
    Ok(parts)
}

/// What a path leads to; the default, or null, when it leads nowhere. One with `[*]` finds a list.
fn get(value: Variable, path: &str, default: Option<Variable>) -> Result<Variable, Error> {
    let parts = parts(path)?;
    let finds_many = parts.iter().any(|part| matches!(part, Part::All));
    let mut found = vec![value];
    for part in parts {
        let mut next = Vec::new();
        for value in found {
            stop::check()?;
            match part {
                Part::Name(name) => next.extend(there(value.get_attr(name))),
                Part::Index(index) => next.extend(there(value.get_item(&Variable::from(index)))),
                Part::All => {
                    // Of an object the values; of a list the items.
                    let keyed = value.kind() == minijinja::value::ValueKind::Map;
                    for item in value.try_iter().into_iter().flatten() {
                        next.extend(if keyed {
                            there(value.get_item(&item))
                        } else {
                            Some(item)
                        });
                    }
                }
            }
            if next.len() > MAX_FOUND {
                return Err(wrong(format!("a path finds at most {MAX_FOUND} values")));
            }
        }
        found = next;
    }
    if finds_many {
        return Ok(Variable::from(found));
    }
    Ok(found.pop().or(default).unwrap_or(Variable::from(())))
}

fn there(value: Result<Variable, Error>) -> Option<Variable> {
    value.ok().filter(|value| !value.is_undefined())
}
