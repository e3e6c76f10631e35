//! Scripts in the commands of containers. They are long, and known when this is compiled, and so is how they stand in a manifest: there is
//! nothing left to be done for them but to copy them.
//!
//! It knows nothing of what they do.

use sdk::{Json, With, escape};

/// A script, or a part of one.
#[derive(Clone, Copy)]
pub(super) struct Script {
    /// As a shell gets it.
    pub(super) text: &'static str,
    /// As it stands between the quotes of a manifest, for Kubernetes to put the values of variables in for `$(NAME)` and one `$` for two.
    written: &'static str,
}

/// The script of a constant text.
macro_rules! script {
    ($text:expr) => {
        $crate::build::script::Script::new($text, {
            const WRITTEN: [u8; $crate::build::script::written_len($text)] = $crate::build::script::written($text);
            &WRITTEN
        })
    };
}
pub(super) use script;

impl Script {
    pub(super) const fn new(text: &'static str, written: &'static [u8]) -> Self {
        match std::str::from_utf8(written) {
            Ok(written) => Self { text, written },
            Err(_) => panic!("bytes were put between characters only"),
        }
    }
}

/// A script while it is put together, as it stands in a manifest.
pub(super) struct Text<'a>(&'a mut String);

/// The script that a function puts together.
pub(super) fn text(put_together: impl FnOnce(&mut Text)) -> impl Json {
    With(move |out: &mut String| {
        out.push('"');
        put_together(&mut Text(out));
        out.push('"');
    })
}

impl Text<'_> {
    /// Adds what is known when this is compiled.
    pub(super) fn add(&mut self, script: Script) -> &mut Self {
        self.0.push_str(script.written);
        self
    }

    /// Adds what is not.
    pub(super) fn add_text(&mut self, text: &str) -> &mut Self {
        escape(&text.replace('$', "$$"), self.0);
        self
    }
}

/// What stands for a byte in a manifest, where that is not the byte itself.
const fn pair(byte: u8) -> Option<[u8; 2]> {
    match byte {
        b'$' => Some(*b"$$"),
        b'"' => Some(*b"\\\""),
        b'\\' => Some(*b"\\\\"),
        b'\n' => Some(*b"\\n"),
        0..0x20 => panic!("a script has no other control characters"),
        _ => None,
    }
}

/// How long a script is in a manifest.
pub(super) const fn written_len(text: &str) -> usize {
    let text = text.as_bytes();
    let (mut at, mut len) = (0, 0);
    while at < text.len() {
        len += if pair(text[at]).is_some() { 2 } else { 1 };
        at += 1;
    }
    len
}

/// A script as it stands in a manifest.
pub(super) const fn written<const LEN: usize>(text: &str) -> [u8; LEN] {
    let text = text.as_bytes();
    let mut written = [0; LEN];
    let (mut at, mut to) = (0, 0);
    while at < text.len() {
        if let Some([first, second]) = pair(text[at]) {
            written[to] = first;
            written[to + 1] = second;
            to += 2;
        } else {
            written[to] = text[at];
            to += 1;
        }
        at += 1;
    }
    written
}

/// What is before the first place of a part in a text, and what is after it.
pub(super) const fn around(text: &'static str, part: &str) -> (&'static str, &'static str) {
    let mut at = 0;
    while !begins(text.as_bytes().split_at(at).1, part.as_bytes()) {
        at += 1;
    }
    let (before, rest) = text.split_at(at);
    (before, rest.split_at(part.len()).1)
}

const fn begins(text: &[u8], part: &[u8]) -> bool {
    let mut at = 0;
    while at < part.len() {
        if text[at] != part[at] {
            return false;
        }
        at += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "if [ \"$A\" != '\\' ]; then\n  echo \"… $(B)\"\nfi\n";

    #[test]
    fn a_script_is_in_the_manifest_what_serde_json_would_make_of_it() {
        let written = text(|script| {
            script.add(script!(TEXT)).add_text(TEXT);
        });
        assert_eq!(written.written(), serde_json::to_string(&[TEXT, TEXT].concat().replace('$', "$$")).unwrap());
    }

    #[test]
    fn a_text_is_taken_apart_around_a_part_of_it() {
        const PARTS: (&str, &str) = around(TEXT, "… $");
        assert_eq!([PARTS.0, "… $", PARTS.1].concat(), TEXT);
    }
}
