//! When the next time comes.

use jiff::{
    SignedDuration, Timestamp, ToSpan,
    civil::{Date, DateTime},
    tz::{AmbiguousOffset, TimeZone},
};

use crate::{Times, field::Field};

/// 29 February may be eight years away.
const YEARS: i32 = 9;
/// No clock is set forward or back by more.
const SHIFT: SignedDuration = SignedDuration::from_hours(3);

pub(crate) fn next(times: &Times, after: u64) -> Option<u64> {
    match times {
        Times::Every(duration) => {
            let seconds = after.checked_div(1_000)?.checked_add(duration.as_secs())?;
            seconds.checked_mul(1_000)
        }
        Times::Calendar { zone, minute, hour, day_of_month, month, day_of_week } => {
            let days = Days { day_of_month, month, day_of_week };
            let after = Timestamp::from_millisecond(i64::try_from(after).ok()?).ok()?;
            let found = calendar(zone, minute, hour, &days, after)?;
            u64::try_from(found.as_millisecond()).ok()
        }
    }
}

struct Days<'a> {
    day_of_month: &'a Field,
    month: &'a Field,
    day_of_week: &'a Field,
}

impl Days<'_> {
    fn has(&self, date: Date) -> bool {
        let number = |n: i8| u32::try_from(n).unwrap_or_default();
        let of_month = self.day_of_month.has(number(date.day()));
        let of_week = self.day_of_week.has(number(date.weekday().to_sunday_zero_offset()));
        // Where both are restricted, either is enough: that is cron's oldest habit.
        let day = if self.day_of_month.any || self.day_of_week.any { of_month && of_week } else { of_month || of_week };
        day && self.month.has(number(date.month()))
    }
}

/// The earliest time after `after`. Times of day are gone through as a clock on the wall shows them, from before the last possible change of the clocks
/// until after the next one, since the order of instants is another one around it.
fn calendar(zone: &TimeZone, minute: &Field, hour: &Field, days: &Days<'_>, after: Timestamp) -> Option<Timestamp> {
    let from = zone.to_datetime(after).checked_sub(SHIFT).ok()?;
    let last_year = i32::from(from.year()) + YEARS;
    let mut best: Option<Timestamp> = None;
    let mut date = from.date();
    while i32::from(date.year()) <= last_year {
        if days.has(date) {
            for time in times_of_day(date, minute, hour).filter(|time| *time >= from) {
                if best.is_some_and(|best| time > zone.to_datetime(best).saturating_add(SHIFT)) {
                    return best;
                }
                let later = instants(zone, time, hour.any).into_iter().flatten().filter(|instant| *instant > after);
                best = best.into_iter().chain(later).min();
            }
        }
        if best.is_some_and(|best| date > zone.to_datetime(best).saturating_add(SHIFT).date()) {
            return best;
        }
        date = date.checked_add(1.day()).ok()?;
    }
    best
}

fn times_of_day(date: Date, minute: &Field, hour: &Field) -> impl Iterator<Item = DateTime> {
    let numbers = |field: &Field, end: i8| {
        let field = *field;
        (0..end).filter(move |n| field.has(u32::try_from(*n).unwrap_or_default()))
    };
    let minutes: Vec<i8> = numbers(minute, 60).collect();
    numbers(hour, 24).flat_map(move |hour| minutes.clone().into_iter().map(move |minute| date.at(hour, minute, 0, 0)))
}

/// The instants at which a clock on the wall shows this time; for a time that is left out, the one as long after the change.
fn instants(zone: &TimeZone, time: DateTime, any_hour: bool) -> [Option<Timestamp>; 2] {
    let ambiguous = zone.to_ambiguous_timestamp(time);
    match ambiguous.offset() {
        AmbiguousOffset::Unambiguous { .. } => [ambiguous.compatible().ok(), None],
        AmbiguousOffset::Gap { .. } => [if any_hour { None } else { ambiguous.compatible().ok() }, None],
        AmbiguousOffset::Fold { .. } => {
            let again = if any_hour { ambiguous.later().ok() } else { None };
            [ambiguous.earlier().ok(), again]
        }
    }
}
