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
