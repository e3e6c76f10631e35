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
    while let Some(at) = next_special(rest.as_bytes()) {
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

/// The place of the first byte that cannot stand for itself. Most can, so eight are looked at as one.
fn next_special(text: &[u8]) -> Option<usize> {
    let (eights, rest) = text.as_chunks();
    for (at, eight) in eights.iter().enumerate() {
        if let Some(place) = special(*eight) {
            return Some(8 * at + place);
        }
    }
    let mut last = [b' '; 8];
    last[..rest.len()].copy_from_slice(rest);
    Some(text.len() - rest.len() + special(last)?)
}

/// The place of the first of eight bytes that is a control character, a quote or a backslash. No byte of a character of several is one.
fn special(eight: [u8; 8]) -> Option<usize> {
    const EACH: u64 = u64::from_ne_bytes([1; 8]);
    const HIGHEST: u64 = EACH << 7;
    // A borrow of what is less than it reaches the highest bit of a byte, which bytes of characters of several have. It may go on to the bytes
    // after it: the first is right.
    let less = |eight: u64, than: u64| eight.wrapping_sub(EACH * than) & !eight & HIGHEST;
    let equal = |eight: u64, byte: u8| less(eight ^ (EACH * u64::from(byte)), 1);
    let eight = u64::from_le_bytes(eight);
    let found = less(eight, 0x20) | equal(eight, b'"') | equal(eight, b'\\');
    (found != 0).then(|| found.trailing_zeros() as usize / 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_written_as_serde_json_would_write_it() {
        let control: String = (0..0x80).map(char::from).collect();
        for text in ["", "plain", "\"", "a \"quoted\" \\ word\n", "ends with …", "\n\n…\u{7f}\u{2028}", &control] {
            // At each place in what is looked at as one.
            for place in 0..16 {
                let text = ["-".repeat(place).as_str(), text, "…-plain-again"].concat();
                let mut written = String::new();
                write_text(&text, &mut written);
                assert_eq!(written, serde_json::to_string(&text).unwrap());
            }
        }
    }
}
