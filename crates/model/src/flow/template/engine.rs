//! MiniJinja as templates use it: its bounds, and how values are written into text.

use std::sync::LazyLock;

use minijinja::value::Value as Variable;
use minijinja::{Environment, ErrorKind, UndefinedBehavior};
use percent_encoding::utf8_percent_encode;

use super::functions::encoding::{RESERVED, print_json};
use super::{Escape, FUEL, functions, stop};

pub(super) static PLAIN: LazyLock<Environment<'static>> = LazyLock::new(|| environment(Escape::None));
pub(super) static URL: LazyLock<Environment<'static>> = LazyLock::new(|| environment(Escape::Url));
/// For conditions: what is absent compares as nothing, so `{{ body.kind == 'x' }}` is false without a `kind`.
pub(super) static LENIENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = environment(Escape::None);
    environment.set_undefined_behavior(UndefinedBehavior::Lenient);
    environment
});

/// Whether there is a filter of this name, a word.
pub(super) fn has_filter(name: &str) -> bool {
    !fails_with(&format!("none | {name}"), ErrorKind::UnknownFilter)
}

/// Whether there is a test of this name, a word.
pub(super) fn has_test(name: &str) -> bool {
    !fails_with(&format!("none is {name}"), ErrorKind::UnknownTest)
}

/// Whether an expression fails in this way. The engine does not list what it has.
fn fails_with(expression: &str, kind: ErrorKind) -> bool {
    let outcome = PLAIN
        .compile_expression(expression)
        .and_then(|compiled| compiled.eval(()));
    outcome.is_err_and(|error| error.kind() == kind)
}

fn environment(escape: Escape) -> Environment<'static> {
    let mut environment = Environment::empty();
    environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(64);
    environment.set_debug(true);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    functions::register(&mut environment);
    environment.set_formatter(move |out, _, value: &Variable| {
        let failed = |_| minijinja::Error::from(ErrorKind::WriteFailure);
        stop::check()?;
        if value.is_undefined() {
            return Err(minijinja::Error::from(ErrorKind::UndefinedError));
        }
        let json;
        let text = match value.as_str() {
            Some(text) => text,
            None => {
                json = print_json(value)?;
                &json
            }
        };
        if escape == Escape::Url && !value.is_safe() {
            utf8_percent_encode(text, RESERVED)
                .try_for_each(|part| out.write_str(part))
                .map_err(failed)
        } else {
            out.write_str(text).map_err(failed)
        }
    });
    environment
}
