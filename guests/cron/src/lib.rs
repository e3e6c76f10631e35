//! Cron expressions as Kubernetes and the Go operator understand them: five fields, descriptors such as `@daily`, `@every 6h`, and a time zone in
//! front. A mistake is told with its position in the text; what comes next is computed from a time, never from a clock.
//!
//! The usual crates understand another language (seconds, years, `L`, `#`) and do not say where a mistake is. What is hard about it, the calendar and
//! the time zones, is jiff's; the zones' data is compiled in, since a component has no files.
//!
//! It knows nothing of what is done at those times.

mod field;
mod next;
mod parse;

use field::Field;

/// What is wrong with an expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at position {position}: {problem}")]
pub struct ParseError {
    /// Where it is, in characters from 1.
    pub position: usize,
    /// What it is, and what would be right.
    pub problem: String,
}

/// The times of an expression.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule(Times);

#[derive(Debug, Clone, PartialEq)]
enum Times {
    /// At certain minutes of the calendar.
    Calendar { zone: jiff::tz::TimeZone, minute: Field, hour: Field, day_of_month: Field, month: Field, day_of_week: Field },
    /// This long after the last time.
    Every(std::time::Duration),
}

impl Schedule {
    /// Reads an expression.
    ///
    /// # Errors
    /// Where it is wrong, and what would be right there.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        parse::expression(text).map(Self)
    }

    /// The first time after `after`, both in milliseconds since 1970; none when there is none in the next years, as for 30 February.
    ///
    /// Where clocks are set forward, a time of day that does not exist is replaced by the one as long after the change, and a field of hours that says
    /// `*` does without. Where they are set back, a time of day that comes twice counts once, and with hours of `*` both times.
    pub fn next(&self, after: u64) -> Option<u64> {
        next::next(&self.0, after)
    }
}
