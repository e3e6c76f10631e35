//! Whether a module does worse than the one before it. It knows nothing of what follows from that.

use crate::module::Tally;

/// Failures more than expected that are no sign of anything: servers restart, connections are lost.
const TOLERATED: u64 = 4;

/// Why a module should not go on, where it should not: more faults than the share that the former one had, or clearly more failures. Where
/// the former one had no fault, one is enough.
pub(super) fn verdict(now: Tally, former: Tally, last_fault: Option<&str>) -> Option<String> {
    let expected = |of: u64| match former.rounds {
        0 => 0,
        rounds => (now.rounds.saturating_mul(of)).div_ceil(rounds),
    };
    if now.faults > expected(former.faults) {
        let what = last_fault.unwrap_or("for a reason unknown");
        return Some(format!(
            "{} of its {} rounds ended by its own fault ({} of {} before); the last: {what}",
            now.faults, now.rounds, former.faults, former.rounds
        ));
    }
    if now.failures > expected(former.failures) + TOLERATED {
        return Some(format!("{} of its {} rounds failed ({} of {} before)", now.failures, now.rounds, former.failures, former.rounds));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(rounds: u64, failures: u64, faults: u64) -> Tally {
        Tally { rounds, failures, faults }
    }

    #[rstest::rstest]
    #[case::well(tally(100, 0, 0), tally(100, 0, 0), false)]
    #[case::first_fault(tally(1, 0, 1), tally(100, 0, 0), true)]
    #[case::first_fault_after_nobody(tally(1, 0, 1), tally(0, 0, 0), true)]
    #[case::no_more_faults_than_before(tally(10, 0, 1), tally(100, 0, 10), false)]
    #[case::more_faults_than_before(tally(10, 0, 3), tally(100, 0, 10), true)]
    #[case::some_failures(tally(10, 4, 0), tally(100, 0, 0), false)]
    #[case::many_failures(tally(10, 5, 0), tally(100, 0, 0), true)]
    #[case::as_many_failures_as_before(tally(10, 9, 0), tally(10, 9, 0), false)]
    #[case::clearly_more_failures(tally(20, 16, 0), tally(20, 10, 0), true)]
    fn it_is_compared_with_the_one_before(#[case] now: Tally, #[case] former: Tally, #[case] back: bool) {
        assert_eq!(verdict(now, former, Some("x")).is_some(), back);
    }

    #[test]
    fn the_verdict_says_what_happened() {
        let verdict = verdict(tally(3, 0, 1), tally(7, 2, 0), Some("its call for Thing ns/x was ended")).unwrap();
        assert_eq!(verdict, "1 of its 3 rounds ended by its own fault (0 of 7 before); the last: its call for Thing ns/x was ended");
    }
}
