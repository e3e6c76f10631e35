//! Durations as users write them in manifests: `300ms`, `1m30s`, `1.5h`. The same forms that the field's Go programs take.

use std::time::Duration;

use crate::FieldError;

const UNITS: [(&str, f64); 8] =
    [("ns", 1e-9), ("us", 1e-6), ("µs", 1e-6), ("μs", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];

/// Reads the duration `value` of `field`. A negative one counts as zero: the original took it as "never again", as it took zero.
///
/// # Errors
/// Names the field and the value, and shows what a duration looks like.
pub fn parse_duration(field: &str, value: &str) -> Result<Duration, FieldError> {
    let problem = || FieldError::new(field, value, "must be a duration such as \"30s\", \"1m30s\" or \"1h\"");
    let (negative, mut rest) = match value.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, value.strip_prefix('+').unwrap_or(value)),
    };
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(problem());
    }
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(problem)?;
        let (number, tail) = rest.split_at(digits);
        let unit = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit);
        let number: f64 = number.parse().map_err(|_| problem())?;
        let (_, scale) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(problem)?;
        seconds += number * scale;
        rest = tail;
    }
    let seconds = if negative { 0.0 } else { seconds };
    // Rounded to nanoseconds, so that 0.1s is 100 ms and not one nanosecond less.
    Duration::try_from_secs_f64(seconds).map_err(|_| problem())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("30s", 30_000)]
    #[case("1m", 60_000)]
    #[case("1h15m30.5s", 4_530_500)]
    #[case("300ms", 300)]
    #[case("0.1s", 100)]
    #[case(".5s", 500)]
    #[case("1.s", 1_000)]
    #[case("0", 0)]
    #[case("+0", 0)]
    #[case("0s", 0)]
    #[case("+5s", 5_000)]
    #[case("-5s", 0)]
    fn reads(#[case] text: &str, #[case] millis: u64) {
        assert_eq!(parse_duration("f", text), Ok(Duration::from_millis(millis)));
    }

    #[rstest]
    #[case("")]
    #[case("30")]
    #[case("s")]
    #[case("-")]
    #[case("30 s")]
    #[case("30sec")]
    #[case("1d")]
    #[case("1.2.3s")]
    #[case(".s")]
    #[case("5s3")]
    fn refuses_and_names(#[case] text: &str) {
        let error = parse_duration("spec.requeueInterval", text).unwrap_err();
        assert_eq!(error.field, "spec.requeueInterval");
        assert_eq!(error.value, text);
        assert!(error.to_string().contains("must be a duration such as"), "{error}");
    }
}
