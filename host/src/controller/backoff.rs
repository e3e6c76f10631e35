//! How long to wait after failures in a row.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use crate::gateway::ObjectKey;

/// The first failure is followed at once by a round that knows of it; later ones by ever longer waits, up to a minute.
/// A part of the wait depends on the object, so that objects that failed together do not come back together.
pub(super) fn backoff(object: &ObjectKey, failures: u32) -> Duration {
    if failures <= 1 {
        return Duration::ZERO;
    }
    let base = 200_u64.saturating_mul(1 << (failures - 2).min(12)).min(60_000);
    let mut hasher = DefaultHasher::new();
    object.hash(&mut hasher);
    Duration::from_millis(base - base * (hasher.finish() % 20) / 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_to_a_minute_and_stays() {
        let object = ObjectKey::new("v1", "Thing", "ns", "x");
        let waits: Vec<Duration> = (1..40).map(|n| backoff(&object, n)).collect();
        assert_eq!(waits[0], Duration::ZERO);
        assert!(waits.is_sorted());
        assert!(waits[1] >= Duration::from_millis(160) && waits[1] <= Duration::from_millis(200));
        assert!(waits[38] >= Duration::from_secs(48) && waits[38] <= Duration::from_secs(60));
    }
}
