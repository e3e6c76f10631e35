//! What guests say, in the host's log: cut to a length, and to an amount for each call. It keeps the last words for the case of a panic.

use std::fmt::Write;

use crate::contract::log::Level;

/// Full lines that one call may log; shorter ones are more.
const LINES: usize = 32;

/// What a line costs at least, so that empty lines come to an end too.
const LINE_AT_LEAST: usize = 64;

/// The log of one call.
pub(super) struct Log {
    reconciler: String,
    object: String,
    line: usize,
    left: usize,
    silenced: bool,
    last_error: Option<String>,
}

impl Log {
    /// For lines of at most `line` bytes.
    pub(super) fn new(reconciler: &str, object: String, line: u32) -> Self {
        let line = line as usize;
        Self { reconciler: reconciler.into(), object, line, left: line.saturating_mul(LINES), silenced: false, last_error: None }
    }

    /// The last line, if it was an error.
    pub(super) fn last_error(&self) -> Option<&str> {
        self.last_error.as_deref()
    }

    /// Writes a line, as far as the call's share allows.
    pub(super) fn write(&mut self, level: Level, message: &str, fields: &[(String, String)]) {
        let message = cut(message, self.line);
        let fields = cut(&joined(fields, self.line), self.line);
        // Also when the share is used up: the reason of a panic must not be lost to what was said before.
        self.last_error = matches!(level, Level::Error).then(|| message.clone());
        let cost = (message.len() + fields.len()).max(LINE_AT_LEAST);
        if cost > self.left {
            if !std::mem::replace(&mut self.silenced, true) {
                self.left = 0;
                tracing::warn!(target: "reconciler", reconciler = self.reconciler, object = self.object, "it says more than a call may log: the rest is left out");
            }
            return;
        }
        self.left -= cost;
        // A level is part of a log statement's identity, so each needs its own.
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(target: "reconciler", reconciler = self.reconciler, object = self.object, fields, "{message}")
            };
        }
        match level {
            Level::Debug => line!(debug),
            Level::Info => line!(info),
            Level::Warn => line!(warn),
            Level::Error => line!(error),
        }
    }
}

/// `key=value key=value`, and not much longer than `limit` however many there are.
fn joined(fields: &[(String, String)], limit: usize) -> String {
    let mut text = String::new();
    for (key, value) in fields {
        if text.len() > limit {
            break;
        }
        let space = if text.is_empty() { "" } else { " " };
        let (key, value) = (&key[..key.floor_char_boundary(limit)], &value[..value.floor_char_boundary(limit)]);
        let _ = write!(text, "{space}{key}={value}");
    }
    text
}

/// The first `limit` bytes, and a word on what is missing.
fn cut(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    format!("{} [cut: {} bytes in all]", &text[..text.floor_char_boundary(limit)], text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_is_cut_between_characters_and_says_so() {
        assert_eq!(cut("short", 5), "short");
        assert_eq!(cut("aäöü", 4), "aä [cut: 7 bytes in all]");
    }

    #[test]
    fn many_fields_are_no_way_around_the_limit() {
        let fields = vec![("k".repeat(1_000), "v".repeat(1_000)); 1_000];
        assert!(joined(&fields, 100).len() < 500);
    }

    #[test]
    fn the_last_words_survive_a_call_that_has_used_up_its_share() {
        let mut log = Log::new("r", "o".into(), 100);
        for _ in 0..1_000 {
            log.write(Level::Info, &"x".repeat(1_000), &[]);
        }
        assert_eq!((log.left, log.silenced, log.last_error()), (0, true, None));
        log.write(Level::Error, "panicked at src/lib.rs:1", &[]);
        assert_eq!(log.last_error(), Some("panicked at src/lib.rs:1"));
        log.write(Level::Info, "went on", &[]);
        assert_eq!(log.last_error(), None, "it went on, so it was no panic");
    }
}
