//! What expressions mean, and what is said of those that mean nothing.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

use cron::Schedule;
use rstest::rstest;

fn millis(text: &str) -> u64 {
    let time: jiff::Timestamp = text.parse().unwrap();
    u64::try_from(time.as_millisecond()).unwrap()
}

#[rstest]
#[case("* * * * *", "2026-03-04T05:06:07Z", "2026-03-04T05:07:00Z")]
#[case("* * * * *", "2026-03-04T05:06:00Z", "2026-03-04T05:07:00Z")]
#[case("1 * * * *", "2026-03-04T05:06:00Z", "2026-03-04T06:01:00Z")]
#[case("0 2 * * *", "2026-03-04T05:06:00Z", "2026-03-05T02:00:00Z")]
#[case("  0   2 * * ?  ", "2026-12-31T05:06:00Z", "2027-01-01T02:00:00Z")]
#[case("*/15 9-17 * * mon-FRI", "2026-03-06T17:50:00Z", "2026-03-09T09:00:00Z")]
#[case("5/20 * * * *", "2026-03-04T05:06:00Z", "2026-03-04T05:25:00Z")]
#[case("0 0 29 feb *", "2096-03-01T00:00:00Z", "2104-02-29T00:00:00Z")]
#[case("0 0 13 * 5", "2026-03-01T00:00:00Z", "2026-03-06T00:00:00Z")]
#[case("0 0 13 * 7", "2026-03-09T00:00:00Z", "2026-03-13T00:00:00Z")]
#[case("0 0 */2 * 1", "2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z")]
#[case("0 0 * * 7", "2026-03-09T00:00:00Z", "2026-03-15T00:00:00Z")]
#[case("@hourly", "2026-03-04T05:00:00Z", "2026-03-04T06:00:00Z")]
#[case("@daily", "2026-03-04T05:00:00Z", "2026-03-05T00:00:00Z")]
#[case("@weekly", "2026-03-04T05:00:00Z", "2026-03-08T00:00:00Z")]
#[case("@Yearly", "2026-03-04T05:00:00Z", "2027-01-01T00:00:00Z")]
#[case("@every 1h30m", "2026-03-04T05:00:00.700Z", "2026-03-04T06:30:00Z")]
#[case("@every 1ms", "2026-03-04T05:00:00Z", "2026-03-04T05:00:01Z")]
#[case("CRON_TZ=Asia/Tokyo 0 2 * * *", "2026-03-04T05:00:00Z", "2026-03-04T17:00:00Z")]
#[case("TZ=Europe/Berlin @daily", "2026-07-04T05:00:00Z", "2026-07-04T22:00:00Z")]
// Clocks are set forward at 2:00 on 29 March 2026: 2:30 is 3:30 on that day.
#[case("TZ=Europe/Berlin 30 2 * * *", "2026-03-28T12:00:00Z", "2026-03-29T01:30:00Z")]
#[case("TZ=Europe/Berlin 30 2 * * *", "2026-03-29T01:30:00Z", "2026-03-30T00:30:00Z")]
#[case("TZ=Europe/Berlin 30 * * * *", "2026-03-29T00:30:00Z", "2026-03-29T01:30:00Z")]
// Clocks are set back at 3:00 on 25 October 2026: 2:30 comes twice and counts once, every hour counts.
#[case("TZ=Europe/Berlin 30 2 * * *", "2026-10-25T00:00:00Z", "2026-10-25T00:30:00Z")]
#[case("TZ=Europe/Berlin 30 2 * * *", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z")]
#[case("TZ=Europe/Berlin 30 * * * *", "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z")]
#[case("TZ=Europe/Berlin 30 * * * *", "2026-10-25T01:30:00Z", "2026-10-25T02:30:00Z")]
#[case("TZ=Europe/Berlin 0,30 * * * *", "2026-10-25T00:59:00Z", "2026-10-25T01:00:00Z")]
fn the_next_time(#[case] text: &str, #[case] after: &str, #[case] expected: &str) {
    let next = Schedule::parse(text).unwrap().next(millis(after));
    assert_eq!(next, Some(millis(expected)), "{text}");
}

#[test]
fn a_day_that_never_comes_has_no_next_time() {
    assert_eq!(Schedule::parse("0 0 30 2 *").unwrap().next(millis("2026-03-04T05:00:00Z")), None);
}

#[test]
fn every_minute_of_two_days_around_a_change_of_the_clocks_comes_once_and_in_order() {
    for day in ["2026-03-28T00:00:00Z", "2026-10-24T00:00:00Z"] {
        let schedule = Schedule::parse("CRON_TZ=America/New_York * * * * *").unwrap();
        let mut time = millis(day);
        for _ in 0..2 * 24 * 60 {
            assert_eq!(schedule.next(time), Some(time + 60_000));
            time += 60_000;
        }
    }
}

#[rstest]
#[case("", 1, "five fields are missing")]
#[case("* * * *", 8, "\"day of week\" is missing")]
#[case("* * * * * *", 11, "a sixth field")]
#[case("60 * * * *", 1, "\"60\" is no minute: the minute must be from 0 to 59")]
#[case("0 24 * * *", 3, "\"24\" is no hour")]
#[case("0  0 0 * *", 6, "\"0\" is no day of month: the day of month must be from 1 to 31")]
#[case("0 0 1 jam *", 7, "\"jam\" is no month: the month must be from 1 to 12 or a name of three letters")]
#[case("0 0 * * 8", 9, "\"8\" is no day of week")]
#[case("0 1,2,x * * *", 7, "\"x\" is no hour")]
#[case("0 5-2 * * *", 3, "ends before it begins")]
#[case("0 5-25 * * *", 5, "\"25\" is no hour")]
#[case("*/0 * * * *", 3, "\"0\" is no step")]
#[case("*/ * * * *", 3, "\"\" is no step")]
#[case("1,,2 * * * *", 3, "a number is missing")]
#[case("-5 * * * *", 1, "a number is missing")]
#[case("@reboot", 1, "\"@reboot\" is no descriptor")]
#[case("@daily 5", 8, "nothing may follow @daily")]
#[case("@every", 7, "a duration is missing")]
#[case("@every soon", 8, "\"soon\" must be a duration")]
#[case("TZ=Mars/Base * * * * *", 4, "\"Mars/Base\" is no time zone that is known")]
#[case("CRON_TZ= * * * * *", 9, "is no time zone")]
#[case("TZ=Europe/Berlin", 17, "five fields are missing")]
#[case("ü * * * *", 1, "\"ü\" is no minute")]
fn a_mistake_is_told_with_its_position(#[case] text: &str, #[case] position: usize, #[case] words: &str) {
    let error = Schedule::parse(text).unwrap_err();
    assert_eq!(error.position, position, "{error}");
    assert!(error.problem.contains(words), "{error}");
}
