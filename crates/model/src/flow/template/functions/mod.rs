//! The filters, tests and functions of templates: what `docs/templates.md` lists, and nothing else.
//!
//! Each looks whether the evaluation is to end, and none gives more than [`MAX_OUTPUT_BYTES`] of text. Nothing is random and
//! nothing reads a clock, so a template gives the same for the same event, also when the event is run again.

mod dates;
mod digests;
pub(super) mod encoding;
mod identity;
mod lookup;
mod numbers;
pub(super) mod patterns;
mod texts;

use minijinja::value::{FunctionResult, Rest, Value as Variable, ValueOrKwargs};
use minijinja::{Environment, Error, ErrorKind, State, filters, functions, tests};

use super::{MAX_OUTPUT_BYTES, stop};

/// The most items of a `range`.
const MAX_RANGE: usize = 10_000;

/// Adds everything.
pub(super) fn register(environment: &mut Environment<'static>) {
    macro_rules! builtin {
        ($add:ident: $($name:ident),*) => {$(
            environment.$add(stringify!($name), watched(Variable::from_function(filters::$name)));
        )*};
    }
    builtin!(add_filter: abs, bool, capitalize, dictsort, first, float, groupby, int, items, last, length, lines,
        list, lower, map, max, min, reject, rejectattr, reverse, round, select, selectattr, sort, split, string, title,
        trim, unique, upper, zip);
    // These two look at how they were called, and do little.
    environment.add_filter("default", filters::default);
    environment.add_filter("safe", filters::safe);
    environment.add_filter("escape", watched(Variable::from_function(filters::escape)));
    macro_rules! test {
        ($($name:literal => $test:ident),*) => {$(
            environment.add_test($name, watched(Variable::from_function(tests::$test)));
        )*};
    }
    test!("boolean" => is_boolean, "defined" => is_defined, "divisibleby" => is_divisibleby, "endingwith" => is_endingwith,
        "even" => is_even, "float" => is_float, "in" => is_in, "integer" => is_integer, "iterable" => is_iterable,
        "mapping" => is_mapping, "none" => is_none, "number" => is_number, "odd" => is_odd, "sequence" => is_sequence,
        "startingwith" => is_startingwith, "string" => is_string, "undefined" => is_undefined, "eq" => is_eq,
        "equalto" => is_eq, "ne" => is_ne, "lt" => is_lt, "le" => is_le, "gt" => is_gt, "ge" => is_ge);
    environment.add_function("dict", functions::dict);
    environment.add_function("range", range);
    texts::register(environment);
    encoding::register(environment);
    digests::register(environment);
    patterns::register(environment);
    numbers::register(environment);
    dates::register(environment);
    lookup::register(environment);
    identity::register(environment);
}

/// The same function, which ends with the evaluation, and gives no longer text than a template may.
fn watched(
    function: Variable,
) -> impl Fn(&mut State<'_, '_>, Rest<ValueOrKwargs>) -> Result<Variable, Error> + Send + Sync + 'static {
    move |state, arguments| {
        stop::check()?;
        let result = function.call(state, &arguments.into_values())?;
        if result.as_str().is_some_and(|text| text.len() > MAX_OUTPUT_BYTES) {
            return Err(too_large());
        }
        Ok(result)
    }
}

/// A function of the form that MiniJinja takes, [`watched`].
fn own<F, Rv, Args>(
    function: F,
) -> impl Fn(&mut State<'_, '_>, Rest<ValueOrKwargs>) -> Result<Variable, Error> + Send + Sync + 'static
where
    F: minijinja::functions::Function<Rv, Args>,
    Rv: FunctionResult,
    Args: for<'a> minijinja::value::FunctionArgs<'a>,
{
    watched(Variable::from_function(function))
}

fn wrong(detail: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, detail.into())
}

fn too_large() -> Error {
    wrong(super::too_large())
}

/// Takes so many bytes of the room that a text has.
fn room(length: usize, more: usize) -> Result<(), Error> {
    match length.checked_add(more) {
        Some(length) if length <= MAX_OUTPUT_BYTES => Ok(()),
        _ => Err(too_large()),
    }
}

fn range(lower: isize, upper: Option<isize>, step: Option<isize>) -> Result<Variable, Error> {
    let range = functions::range(lower, upper, step)?;
    if range.len().is_some_and(|length| length > MAX_RANGE) || range.try_iter()?.nth(MAX_RANGE).is_some() {
        return Err(wrong(format!("a range has at most {MAX_RANGE} items")));
    }
    Ok(range)
}
