//! Numbers that people write: with separators, in a currency.

use minijinja::value::{Kwargs, Value as Variable};
use minijinja::{Environment, Error};

use super::{own, wrong};

/// The most digits after the decimal sign.
const MAX_DIGITS: usize = 20;

pub(super) fn register(environment: &mut Environment<'static>) {
    environment.add_filter("number", own(parse));
    environment.add_filter("format_number", own(format_number));
}

struct Signs<'a> {
    decimal: &'a str,
    thousands: &'a str,
}

impl<'a> Signs<'a> {
    fn read(options: &'a Kwargs) -> Result<Self, Error> {
        let signs = Self {
            decimal: options.get::<Option<&str>>("decimal")?.unwrap_or("."),
            thousands: options.get::<Option<&str>>("thousands")?.unwrap_or(","),
        };
        if signs.decimal.is_empty() || signs.decimal == signs.thousands {
            return Err(wrong("`decimal` and `thousands` must be different signs"));
        }
        Ok(signs)
    }
}

/// `"1,234.50"` is 1234.5: an integer if it is one and fits into 64 bits.
fn parse(value: Variable, options: Kwargs) -> Result<Variable, Error> {
    let signs = Signs::read(&options)?;
    options.assert_all_used()?;
    if value.is_number() {
        return Ok(value);
    }
    let refused = || wrong(format!("{} is no number", value.as_str().unwrap_or("this")));
    let text = value.as_str().ok_or_else(refused)?.trim();
    let plain = match signs.thousands {
        "" => text.to_owned(),
        thousands => text.replace(thousands, ""),
    };
    let plain = plain.replace(signs.decimal, ".");
    let is_plain = plain
        .bytes()
        .all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    if let Ok(integer) = plain.parse::<i64>() {
        return Ok(Variable::from(integer));
    }
    let number: f64 = plain.parse().map_err(|_| refused())?;
    if !is_plain || !number.is_finite() {
        return Err(refused());
    }
    Ok(Variable::from(number))
}

/// `1234.5` is `1,234.50`.
fn format_number(number: Variable, digits: Option<usize>, options: Kwargs) -> Result<String, Error> {
    let signs = Signs::read(&options)?;
    options.assert_all_used()?;
    let digits = digits.unwrap_or(2);
    if digits > MAX_DIGITS {
        return Err(wrong(format!(
            "a number has at most {MAX_DIGITS} digits after its decimal sign"
        )));
    }
    let written = match number.as_i64() {
        // Every digit of a large integer counts, of which a float keeps sixteen.
        Some(integer) if digits == 0 => integer.to_string(),
        Some(integer) => format!("{integer}.{}", "0".repeat(digits)),
        None => {
            let number = f64::try_from(number)
                .map_err(|_| wrong("this is no number; `| number` makes one of a text"))?;
            if !number.is_finite() {
                return Err(wrong("this number is infinite"));
            }
            format!("{number:.digits$}")
        }
    };
    let (sign, written) = match written.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", written.as_str()),
    };
    let (whole, fraction) = written.split_once('.').unwrap_or((written, ""));
    let mut formatted = sign.to_owned();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            formatted.push_str(signs.thousands);
        }
        formatted.push(digit);
    }
    if !fraction.is_empty() {
        formatted.push_str(signs.decimal);
        formatted.push_str(fraction);
    }
    Ok(formatted)
}
