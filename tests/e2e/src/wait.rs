//! Waiting for a condition. There is no other kind of waiting in these tests.

use std::{fmt::Display, time::Duration};

use anyhow::{Result, bail, ensure};
use tokio::time::{Instant, sleep};

/// Long enough for whatever should happen within seconds on a busy machine.
pub const MINUTE: Duration = Duration::from_secs(60);

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(200);

/// So many seconds.
#[must_use]
pub const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Looks again and again until the look succeeds, and gives what it saw.
///
/// # Errors
/// With what the last look said, when the time is over.
pub async fn wait_for<T>(what: impl Display, limit: Duration, look: impl AsyncFnMut() -> Result<T>) -> Result<T> {
    looking(what, limit, PAUSE, look).await
}

/// As [`wait_for`], without a pause worth mentioning: for moments that pass.
///
/// # Errors
/// As [`wait_for`].
pub async fn wait_for_at_once<T>(what: impl Display, limit: Duration, look: impl AsyncFnMut() -> Result<T>) -> Result<T> {
    looking(what, limit, Duration::from_millis(5), look).await
}

async fn looking<T>(what: impl Display, limit: Duration, pause: Duration, mut look: impl AsyncFnMut() -> Result<T>) -> Result<T> {
    let start = Instant::now();
    loop {
        match look().await {
            Ok(seen) => return Ok(seen),
            Err(why) if start.elapsed() >= limit => bail!("{what}: not within {} s: {why:#}", limit.as_secs()),
            Err(_) => sleep(pause).await,
        }
    }
}

/// Holds a time against its limit, but not on a machine that is busy with something else: there a time proves nothing.
///
/// # Errors
/// When it took longer.
pub fn in_time(took: Duration, limit: Duration) -> Result<()> {
    let load = std::fs::read_to_string("/proc/loadavg").ok().and_then(|text| text.split(' ').next()?.parse().ok()).unwrap_or(0.0);
    let cores = std::thread::available_parallelism().map_or(1, usize::from) as f64;
    if took >= limit && load > 2.0 * cores {
        crate::say(format_args!("the machine is busy (load {load}): {took:.2?} instead of {limit:.2?} is not held against it"));
        return Ok(());
    }
    ensure!(took < limit, "it took {took:?}, and {limit:?} is the limit");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn gives_what_it_waited_for() {
        let mut looks = 0;
        let seen = wait_for("the third look", MINUTE, async || {
            looks += 1;
            ensure!(looks == 3, "only {looks}");
            Ok("third")
        });
        assert_eq!(seen.await.unwrap(), "third");
    }

    #[tokio::test(start_paused = true)]
    async fn says_what_was_still_missing_at_the_end() {
        let error = wait_for("a sunrise", seconds(2), async || -> Result<()> { bail!("it is night") }).await.unwrap_err();
        assert_eq!(error.to_string(), "a sunrise: not within 2 s: it is night");
    }
}
