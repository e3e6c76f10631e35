//! Strings in the servers' configuration, written as a configuration that is already there has them: a byte of difference would make all
//! servers restart. Plain where that reads back as the same string, in quotes otherwise.

use std::fmt::Write;

/// A string as a YAML scalar.
pub(super) fn scalar(text: &str) -> String {
    if text.chars().any(char::is_control) {
        return double_quoted(text);
    }
    if is_another_type(text) {
        return format!("\"{text}\"");
    }
    if is_plain(text) { text.to_owned() } else { format!("'{}'", text.replace('\'', "''")) }
}

/// Whether a plain scalar would be read as something else than a string.
fn is_another_type(text: &str) -> bool {
    const WORDS: [&str; 9] = ["null", "true", "false", "y", "n", "yes", "no", "on", "off"];
    const SPECIAL: [&str; 10] = ["", "~", "<<", "=", ".inf", "-.inf", "+.inf", ".nan", ".NaN", ".NAN"];
    // Written in small letters, in capitals, or with a capital first.
    let has_capitals = |text: &str| text.contains(|c: char| c.is_ascii_uppercase());
    let one_case = || !has_capitals(text.get(1..).unwrap_or_default()) || text == text.to_ascii_uppercase();
    let word = WORDS.iter().any(|word| text.eq_ignore_ascii_case(word)) && one_case();
    word || SPECIAL.contains(&text) || is_number(text) || is_date(text)
}

fn is_number(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') || !unsigned.contains(|c: char| c.is_ascii_digit()) {
        return false;
    }
    let digits = unsigned.replace('_', "");
    let radix = |prefix: &str, radix: u32| {
        digits.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty() && rest.chars().all(|c| c.is_digit(radix)))
    };
    let sexagesimal =
        digits.contains(':') && digits.split(':').all(|part| !part.is_empty() && part.chars().all(|c| c.is_ascii_digit() || c == '.'));
    digits.parse::<f64>().is_ok() || radix("0x", 16) || radix("0o", 8) || radix("0b", 2) || sexagesimal
}

/// `2026-01-31`, with or without a time after it.
fn is_date(text: &str) -> bool {
    let mut parts = text.splitn(3, '-');
    let number = |part: Option<&str>, lengths: &[usize]| {
        part.is_some_and(|part| lengths.contains(&part.len()) && part.chars().all(|c| c.is_ascii_digit()))
    };
    let (year, month, rest) = (parts.next(), parts.next(), parts.next());
    let day = rest.map(|rest| rest.split(['T', 't', ' ']).next().unwrap_or_default());
    number(year, &[4]) && number(month, &[1, 2]) && number(day, &[1, 2])
}

fn is_plain(text: &str) -> bool {
    let mut chars = text.chars();
    let first = chars.next().unwrap_or(' ');
    let second = chars.next();
    let indicator = match first {
        '-' | '?' | ':' => second.is_none_or(|c| c == ' '),
        _ => ",[]{}#&*!|>'\"%@`".contains(first),
    };
    let has = |pair: &[u8; 2]| text.as_bytes().array_windows().any(|there| there == pair);
    !indicator && !text.starts_with("---") && text.trim() == text && !has(b": ") && !text.ends_with(':') && !has(b" #")
}

fn double_quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                quoted.push('\\');
                quoted.push(c);
            }
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            c if c.is_control() => {
                // Writing to a string cannot fail.
                let _ = write!(quoted, "\\u{:04X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("trace", "trace")]
    #[case("0.0.0.0", "0.0.0.0")]
    #[case("${DOLT_MCP_USER}", "${DOLT_MCP_USER}")]
    #[case("http://a-1.a-internal.ns:50051/{database}", "http://a-1.a-internal.ns:50051/{database}")]
    #[case("true", "\"true\"")]
    #[case("True", "\"True\"")]
    #[case("tRUE", "tRUE")]
    #[case("y", "\"y\"")]
    #[case("Off", "\"Off\"")]
    #[case("", "\"\"")]
    #[case("1", "\"1\"")]
    #[case("1_000", "\"1_000\"")]
    #[case("0x1F", "\"0x1F\"")]
    #[case("1.5e3", "\"1.5e3\"")]
    #[case("12:30", "\"12:30\"")]
    #[case("2026-01-31", "\"2026-01-31\"")]
    #[case("::", "'::'")]
    #[case(": a", "': a'")]
    #[case("a: b", "'a: b'")]
    #[case("a #b", "'a #b'")]
    #[case("it's", "it's")]
    #[case("'quoted'", "'''quoted'''")]
    #[case("{a}", "'{a}'")]
    #[case("- a", "'- a'")]
    #[case("-a", "-a")]
    #[case("a\nb", "\"a\\nb\"")]
    fn a_string_reads_back_as_itself(#[case] text: &str, #[case] written: &str) {
        assert_eq!(scalar(text), written);
    }
}
