//! Texts as JSON. It knows nothing of what they stand in.

use std::fmt::Write;

/// Writes a text in its quotes.
pub(crate) fn write_text(text: &str, out: &mut String) {
    out.push('"');
    escape(text, out);
    out.push('"');
}

/// Writes a text as it stands between quotes, for one that is put together of pieces.
pub fn escape(text: &str, out: &mut String) {
    let mut rest = text;
    while let Some(at) = rest.bytes().position(is_special) {
        let (plain, special) = rest.split_at(at);
        out.push_str(plain);
        match special.as_bytes()[0] {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            0x08 => out.push_str("\\b"),
            0x0c => out.push_str("\\f"),
            control => {
                // Writing to a string cannot fail.
                let _ = write!(out, "\\u{control:04x}");
            }
        }
        rest = &special[1..];
    }
    out.push_str(rest);
}

/// Whether a byte cannot stand for itself. No byte of a character of several can be one.
fn is_special(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_written_as_serde_json_would_write_it() {
        let control: String = (0..0x80).map(char::from).collect();
        for text in ["", "plain", "\"", "a \"quoted\" \\ word\n", "ends with …", "\n\n…\u{7f}\u{2028}", &control] {
            let mut written = String::new();
            write_text(text, &mut written);
            assert_eq!(written, serde_json::to_string(text).unwrap());
        }
    }
}
