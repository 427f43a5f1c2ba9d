//! Texts: replacing, joining, cutting.

use minijinja::value::{Kwargs, Value as Variable};
use minijinja::{Environment, Error, State, filters};

use super::{own, room, wrong};
use crate::flow::template::functions::encoding::print;
use crate::flow::template::stop;

pub(super) fn register(environment: &mut Environment<'static>) {
    environment.add_filter("replace", own(replace));
    environment.add_filter("join", own(join));
    environment.add_filter("truncate", own(truncate));
    environment.add_filter("sum", own(sum));
}

fn replace(text: &str, from: &str, to: &str) -> Result<String, Error> {
    if from.is_empty() {
        return Err(wrong("there is no empty text to replace"));
    }
    let mut replaced = String::new();
    let mut parts = text.split(from);
    replaced.push_str(parts.next().unwrap_or_default());
    for part in parts {
        room(replaced.len(), to.len() + part.len())?;
        replaced.push_str(to);
        replaced.push_str(part);
    }
    Ok(replaced)
}

fn join(list: &Variable, separator: Option<&str>, options: Kwargs) -> Result<String, Error> {
    let attribute: Option<&str> = options.get("attribute")?;
    options.assert_all_used()?;
    let separator = separator.unwrap_or_default();
    let mut joined = String::new();
    for (index, item) in list.try_iter()?.checked().enumerate() {
        stop::check()?;
        let mut item = item?;
        if let Some(attribute) = attribute {
            item = item.get_attr(attribute)?;
        }
        let text = print(&item)?;
        room(joined.len(), separator.len() + text.len())?;
        if index > 0 {
            joined.push_str(separator);
        }
        joined.push_str(&text);
    }
    Ok(joined)
}

/// At most so many characters, the end included if there is something to cut.
fn truncate(text: &str, characters: usize, end: Option<&str>) -> String {
    let end = end.unwrap_or("…");
    if text.char_indices().nth(characters).is_none() {
        return text.to_owned();
    }
    let kept = characters.saturating_sub(end.chars().count());
    text.chars()
        .take(kept)
        .chain(end.chars().take(characters))
        .collect()
}

/// Of numbers; MiniJinja's own would join texts, slowly, with another `start`.
fn sum(
    state: &State<'_, '_>,
    list: Variable,
    attribute: Option<&str>,
    options: Kwargs,
) -> Result<Variable, Error> {
    let attribute = match attribute {
        Some(attribute) => Some(attribute),
        None => options.get("attribute")?,
    };
    options.assert_all_used()?;
    filters::sum(
        state,
        list,
        attribute,
        None,
        std::iter::empty::<(&str, Variable)>().collect(),
    )
}
