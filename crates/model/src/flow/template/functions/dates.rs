//! Times: RFC 3339 in UTC, as text, wherever one filter gives it to another.

use chrono::format::{Item, StrftimeItems};
use chrono::{
    DateTime, FixedOffset, Months, NaiveDate, NaiveDateTime, NaiveTime, SecondsFormat, TimeDelta, Utc,
};
use minijinja::value::{Kwargs, Value as Variable};
use minijinja::{Environment, Error};

use super::{own, wrong};

pub(super) fn register(environment: &mut Environment<'static>) {
    environment.add_filter("date", own(date));
    environment.add_filter("date_format", own(date_format));
    environment.add_filter("date_add", own(date_add));
    environment.add_filter(
        "date_unix",
        own(|value: Variable| read(&value).map(|time| time.timestamp())),
    );
}

/// As times are written everywhere in Hookgate: milliseconds if there are any.
pub(super) fn write(time: DateTime<Utc>) -> String {
    let form = if time.timestamp_subsec_millis() == 0 {
        SecondsFormat::Secs
    } else {
        SecondsFormat::Millis
    };
    time.to_rfc3339_opts(form, true)
}

/// Reads RFC 3339, RFC 2822, a date alone, a date and a time without a zone (taken as UTC), and Unix seconds.
fn read(value: &Variable) -> Result<DateTime<Utc>, Error> {
    let refused = || {
        let shown = value
            .as_str()
            .unwrap_or("this")
            .chars()
            .take(40)
            .collect::<String>();
        wrong(format!(
            "{shown} is no time of a known form; `date('%d.%m.%Y')` says which form it has"
        ))
    };
    if value.is_number() {
        let seconds = f64::try_from(value.clone()).map_err(|_| refused())?;
        // Some senders count milliseconds: as seconds they would be tens of thousands of years away.
        let millis = if seconds.abs() >= 1e11 {
            seconds
        } else {
            seconds * 1e3
        };
        return DateTime::from_timestamp_millis(millis as i64).ok_or_else(refused);
    }
    let text = value.as_str().ok_or_else(refused)?.trim();
    if let Ok(time) = DateTime::parse_from_rfc3339(text).or_else(|_| DateTime::parse_from_rfc2822(text)) {
        return Ok(time.with_timezone(&Utc));
    }
    let without_zone = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"];
    let local = without_zone
        .iter()
        .find_map(|form| NaiveDateTime::parse_from_str(text, form).ok());
    let local = local.or_else(|| Some(text.parse::<NaiveDate>().ok()?.and_time(NaiveTime::MIN)));
    local.map(|time| time.and_utc()).ok_or_else(refused)
}

/// The time as RFC 3339 in UTC, read in the form that is given, or any known one.
fn date(value: Variable, form: Option<&str>) -> Result<String, Error> {
    let Some(form) = form else {
        return read(&value).map(write);
    };
    check(form)?;
    let text = value
        .as_str()
        .ok_or_else(|| wrong("a time of this form is a text"))?
        .trim();
    let refused = |error: chrono::ParseError| wrong(format!("{text} is not of the form {form}: {error}"));
    if let Ok(time) = DateTime::parse_from_str(text, form) {
        return Ok(write(time.with_timezone(&Utc)));
    }
    let local = NaiveDateTime::parse_from_str(text, form);
    let local = local.or_else(|error| {
        let date = NaiveDate::parse_from_str(text, form).map_err(|_| refused(error))?;
        Ok::<_, Error>(date.and_time(NaiveTime::MIN))
    })?;
    Ok(write(local.and_utc()))
}

fn check(form: &str) -> Result<(), Error> {
    if StrftimeItems::new(form).any(|item| item == Item::Error) {
        return Err(wrong(format!(
            "{form} is no form of a time; `%Y-%m-%d %H:%M:%S` is one"
        )));
    }
    Ok(())
}

fn date_format(value: Variable, form: &str, options: Kwargs) -> Result<String, Error> {
    let offset = options.get::<Option<&str>>("offset")?;
    options.assert_all_used()?;
    check(form)?;
    let offset = match offset {
        None => FixedOffset::east_opt(0),
        Some(offset) => offset.parse().ok(),
    };
    let offset = offset.ok_or_else(|| wrong("an offset from UTC looks like `+02:00`"))?;
    Ok(read(&value)?.with_timezone(&offset).format(form).to_string())
}

fn date_add(value: Variable, options: Kwargs) -> Result<String, Error> {
    let time = read(&value)?;
    let amount = |name: &str| Ok::<_, Error>(options.get::<Option<i64>>(name)?.unwrap_or(0));
    let units = [
        ("seconds", 1),
        ("minutes", 60),
        ("hours", 3_600),
        ("days", 86_400),
        ("weeks", 604_800),
    ];
    let mut seconds: i64 = 0;
    let far = || wrong("this is too far away");
    for (name, unit) in units {
        let more = amount(name)?.checked_mul(unit).ok_or_else(far)?;
        seconds = seconds.checked_add(more).ok_or_else(far)?;
    }
    let months = amount("months")?;
    options.assert_all_used()?;
    let count = Months::new(u32::try_from(months.unsigned_abs()).map_err(|_| far())?);
    let moved = if months < 0 {
        time.checked_sub_months(count)
    } else {
        time.checked_add_months(count)
    };
    let seconds = TimeDelta::try_seconds(seconds).ok_or_else(far)?;
    let moved = moved.and_then(|time| time.checked_add_signed(seconds));
    moved.map(write).ok_or_else(far)
}
