//! One field of an expression: which numbers it means. Knows nothing of time.

use crate::ParseError;

/// What a field may hold.
#[derive(Debug)]
pub(crate) struct Range {
    /// How messages call it.
    pub(crate) name: &'static str,
    pub(crate) least: u32,
    pub(crate) most: u32,
    /// Words for the numbers from `least` up.
    pub(crate) words: &'static [&'static str],
}

pub(crate) const RANGES: [Range; 5] = [
    Range { name: "minute", least: 0, most: 59, words: &[] },
    Range { name: "hour", least: 0, most: 23, words: &[] },
    Range { name: "day of month", least: 1, most: 31, words: &[] },
    Range {
        name: "month",
        least: 1,
        most: 12,
        words: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
    },
    // 7 is Sunday as well.
    Range { name: "day of week", least: 0, most: 7, words: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"] },
];

/// The numbers that a field means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Field {
    bits: u64,
    /// Whether it says `*`: any. Of the two fields of days, one that says so leaves the choice to the other.
    pub(crate) any: bool,
}

impl Field {
    /// Reads a field that begins at this position of the expression.
    pub(crate) fn parse(text: &str, position: usize, range: &Range) -> Result<Self, ParseError> {
        let mut field = Self { bits: 0, any: false };
        let mut at = position;
        for item in text.split(',') {
            let (bits, any) = item_bits(item, at, range)?;
            field.bits |= bits;
            field.any |= any;
            at += item.chars().count() + 1;
        }
        if range.most == 7 && field.has(7) {
            field.bits |= 1;
        }
        Ok(field)
    }

    /// Whether it means this number.
    pub(crate) fn has(&self, number: u32) -> bool {
        self.bits >> number & 1 == 1
    }
}

/// One item of a list: `*`, `5`, `1-5`, each with `/step`.
fn item_bits(item: &str, at: usize, range: &Range) -> Result<(u64, bool), ParseError> {
    let (span, step) = match item.split_once('/') {
        Some((span, step)) => (span, Some(step)),
        None => (item, None),
    };
    let star = span == "*" || span == "?";
    let (first, mut last) = if star {
        // `*` of days of the week is 0 to 6: 7 would count Sunday twice in steps.
        (range.least, range.most.min(if range.most == 7 { 6 } else { range.most }))
    } else if let Some((from, to)) = span.split_once('-') {
        let to_at = at + from.chars().count() + 1;
        let (from, to) = (number(from, at, range)?, number(to, to_at, range)?);
        if from > to {
            return Err(wrong(at, format!("the range \"{span}\" of the {} ends before it begins", range.name)));
        }
        (from, to)
    } else {
        let number = number(span, at, range)?;
        (number, number)
    };
    let mut by = 1;
    if let Some(step) = step {
        let step_at = at + span.chars().count() + 1;
        by = step
            .parse()
            .ok()
            .filter(|by| *by > 0)
            .ok_or_else(|| wrong(step_at, format!("\"{step}\" is no step of the {}: it must be a number from 1 up", range.name)))?;
        if !star && !span.contains('-') {
            // `5/15` is from 5 on.
            last = range.most;
        }
    }
    let step = usize::try_from(by).unwrap_or(usize::MAX);
    let bits = (first..=last).step_by(step).fold(0, |bits, number| bits | 1 << number);
    Ok((bits, star && by == 1))
}

fn number(text: &str, at: usize, range: &Range) -> Result<u32, ParseError> {
    let word = range.words.iter().zip(range.least..).find(|(word, _)| word.eq_ignore_ascii_case(text));
    let number = word.map(|(_, number)| number).or_else(|| {
        let digits = !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
        digits.then(|| text.parse().ok()).flatten()
    });
    number.filter(|number| (range.least..=range.most).contains(number)).ok_or_else(|| {
        let words = if range.words.is_empty() { "" } else { " or a name of three letters" };
        let what = if text.is_empty() { "a number is missing".to_owned() } else { format!("\"{text}\" is no {}", range.name) };
        wrong(at, format!("{what}: the {} must be from {} to {}{words}", range.name, range.least, range.most))
    })
}

fn wrong(position: usize, problem: String) -> ParseError {
    ParseError { position, problem }
}
