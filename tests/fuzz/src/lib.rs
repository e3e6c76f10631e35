//! Inputs at random: changed objects, and a world that answers anything. What they are put into, and what must hold then, is in `tests/`.
//!
//! A target gets the same inputs each time, so that the gate is red for a change and never for bad luck. With `FUZZ_SECONDS` it gets others
//! for so long. Either way the seed of one that fails is printed, and `ARBTEST_SEED` plays it again.

mod change;
mod chart;
mod world;

pub use change::{change, text};
pub use chart::slot;
pub use world::Anything;

use std::{env, time::Duration};

use arbtest::{
    arbitrary::{Result, Unstructured},
    arbtest,
};

/// Random bytes of an input, at least and at most. Long ones are more of the same.
const SIZES: (u32, u32) = (32, 8_192);

/// Tries a property with so many inputs.
///
/// # Panics
/// When the property does, or `FUZZ_SECONDS` is no number.
pub fn inputs(count: u32, mut property: impl FnMut(&mut Unstructured<'_>) -> Result<()>) {
    // An input that runs out of random bytes has been tried as far as it goes.
    let mut property = |u: &mut Unstructured<'_>| property(u).or(Ok(()));
    if env::var_os("ARBTEST_SEED").is_some() {
        return arbtest(property).run();
    }
    if let Ok(seconds) = env::var("FUZZ_SECONDS") {
        let seconds = seconds.parse().expect("FUZZ_SECONDS is a number of seconds");
        return arbtest(property).size_min(SIZES.0).size_max(SIZES.1).budget(Duration::from_secs(seconds)).run();
    }
    for number in 0..count {
        let size = SIZES.0 + number * (SIZES.1 - SIZES.0) / count;
        // The lower half of a seed is how many bytes it becomes.
        arbtest(&mut property).seed(u64::from(number) << 32 | u64::from(size)).run();
    }
}
