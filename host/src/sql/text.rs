//! The text of a statement: what may stand in it, where its placeholders are, and how the arguments get in. Knows no keyword.
//!
//! The text has no literals, so the few characters that start one, a comment or a second statement are refused outright. Placeholders stand
//! apart from words and from `-`: beside a word a value would become another kind of literal (`x?`, `n?`), and `-?` with a negative number
//! would be the comment `--5`, which some servers take for one without a space behind.

use super::{account::Plain, error::Failure, quote};
use crate::contract::{Argument, Value};

/// A statement's text, checked against its arguments.
pub(super) struct Template<'a> {
    /// What stands before each placeholder, and after the last.
    pieces: Vec<&'a str>,
}

/// SQL with its values, secrets among them: no `Debug`, no `Display`.
pub(super) struct Sealed {
    pub sql: String,
    /// Whether a secret is in it.
    pub secret: bool,
    /// Whether its meaning hangs on backslashes being escapes.
    pub escapes: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Placeholder {
    Value,
    Identifier,
}

impl<'a> Template<'a> {
    /// Checks text and arguments.
    pub(super) fn parse(text: &'a str, arguments: &[Argument]) -> Result<Self, Failure> {
        allowed(text).map_err(Failure::invalid)?;
        let mut pieces = Vec::new();
        let mut placeholders = Vec::new();
        let mut rest = 0;
        while let Some(found) = text[rest..].find('?') {
            let start = rest + found;
            let length = text[start..].bytes().take_while(|b| *b == b'?').count();
            let placeholder = match length {
                1 => Placeholder::Value,
                2 => Placeholder::Identifier,
                _ => return Err(Failure::invalid(format!("the text has {length} question marks in a row at byte {start}"))),
            };
            let before = text[..start].bytes().next_back();
            let after = text[start + length..].bytes().next();
            if !stands_apart(placeholder, before, after) {
                return Err(Failure::invalid(format!("the placeholder at byte {start} does not stand apart from what is beside it")));
            }
            pieces.push(&text[rest..start]);
            placeholders.push(placeholder);
            rest = start + length;
        }
        pieces.push(&text[rest..]);

        if placeholders.len() != arguments.len() {
            return Err(Failure::invalid(format!("the text has {} placeholders for {} arguments", placeholders.len(), arguments.len())));
        }
        for (i, (placeholder, argument)) in placeholders.iter().zip(arguments).enumerate() {
            let message = match (placeholder, argument) {
                (Placeholder::Value, Argument::Identifier(_)) => "an identifier where the text has ? for a value",
                (Placeholder::Identifier, Argument::Value(_)) => "a value where the text has ?? for an identifier",
                _ => continue,
            };
            return Err(Failure::invalid(format!("argument {} is {message}", i + 1)));
        }
        Ok(Self { pieces })
    }

    /// Writes the statement out. `secrets` are the values of the secret arguments, in their order.
    pub(super) fn render(&self, arguments: &[Argument], secrets: Vec<Plain>) -> Result<Sealed, Failure> {
        let mut sealed = Sealed { sql: String::new(), secret: !secrets.is_empty(), escapes: false };
        let mut secrets = secrets.into_iter();
        for (i, piece) in self.pieces.iter().enumerate() {
            sealed.sql.push_str(piece);
            let written = match arguments.get(i) {
                None => Ok(()),
                Some(Argument::Identifier(name)) => quote::identifier(&mut sealed.sql, name),
                Some(Argument::Value(Value::Secret(_))) => match secrets.next() {
                    Some(plain) => {
                        sealed.escapes |= plain.reveal().contains('\\');
                        quote::text(&mut sealed.sql, plain.reveal());
                        Ok(())
                    }
                    None => Err("its secret has no value"),
                },
                Some(Argument::Value(value)) => {
                    sealed.escapes |= matches!(value, Value::Text(text) if text.contains('\\'));
                    quote::value(&mut sealed.sql, value)
                }
            };
            written.map_err(|message| Failure::invalid(format!("argument {}: {message}", i + 1)))?;
        }
        Ok(sealed)
    }
}

/// Literals, comments and second statements cannot begin without one of these.
fn allowed(text: &str) -> Result<(), String> {
    if text.trim().is_empty() {
        return Err("the text is empty".into());
    }
    let refused = |(at, c): (usize, char)| {
        let what = match c {
            '\'' | '"' | '`' => "a quote",
            ';' => "a semicolon",
            '\\' => "a backslash",
            '#' => "a comment",
            '-' if text[at..].starts_with("--") => "a comment",
            '/' if text[at..].starts_with("/*") => "a comment",
            '\t' | '\n' | '\r' | ' '..='~' => return None,
            _ => "a character that is not printable ascii",
        };
        Some(format!("the text has {what} at byte {at}"))
    };
    text.char_indices().find_map(refused).map_or(Ok(()), Err)
}

fn stands_apart(placeholder: Placeholder, before: Option<u8>, after: Option<u8>) -> bool {
    let identifier = placeholder == Placeholder::Identifier;
    let before = before.is_none_or(|b| b.is_ascii_whitespace() || b"(,=<>@".contains(&b) || (identifier && b == b'.'));
    let after = after.is_none_or(|b| b.is_ascii_whitespace() || b"),=<>@".contains(&b) || (identifier && b".(".contains(&b)));
    before && after
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::contract::{SecretRef, SqlErrorKind};

    fn v(value: Value) -> Argument {
        Argument::Value(value)
    }

    fn t(text: &str) -> Argument {
        v(Value::Text(text.into()))
    }

    fn id(name: &str) -> Argument {
        Argument::Identifier(name.into())
    }

    fn message(failure: Failure) -> String {
        let address = crate::sql::Address { host: "db".into(), port: 3306 };
        let error = failure.at(&address);
        assert_eq!(error.kind, SqlErrorKind::Invalid);
        error.message
    }

    #[rstest]
    #[case("SELECT 1", &[], "SELECT 1")]
    #[case("CREATE DATABASE ??", &[id("a`; DROP DATABASE b")], "CREATE DATABASE `a``; DROP DATABASE b`")]
    #[case("SELECT * FROM ??.?? WHERE a=? AND b IN (?,?)", &[id("d"), id("t"), t("'"), v(Value::Signed(-5)), v(Value::Null)],
        "SELECT * FROM `d`.`t` WHERE a='''' AND b IN (-5,NULL)")]
    #[case("CREATE USER ?@? IDENTIFIED BY ?", &[t("u'@'%"), t("%"), t(r"p\'")], r"CREATE USER 'u''@''%'@'%' IDENTIFIED BY 'p\\'''")]
    #[case("CALL ??(?)", &[id("p"), v(Value::Boolean(true))], "CALL `p`(TRUE)")]
    #[case("SELECT ?", &[t("? ?? ?")], "SELECT '? ?? ?'")]
    fn rendered(#[case] text: &str, #[case] arguments: &[Argument], #[case] sql: &str) {
        let sealed = Template::parse(text, arguments).and_then(|template| template.render(arguments, vec![]));
        assert_eq!(sealed.map(|s| s.sql).map_err(message), Ok(sql.into()));
    }

    #[rstest]
    #[case("", &[], "the text is empty")]
    #[case(" \n", &[], "the text is empty")]
    #[case("SELECT 'a'", &[], "a quote at byte 7")]
    #[case("SELECT \"a\"", &[], "a quote at byte 7")]
    #[case("SELECT `a`", &[], "a quote at byte 7")]
    #[case("SELECT 1; DROP DATABASE d", &[], "a semicolon at byte 8")]
    #[case("SELECT 1 -- x", &[], "a comment at byte 9")]
    #[case("SELECT 1 --5", &[], "a comment at byte 9")]
    #[case("SELECT 1 # x", &[], "a comment at byte 9")]
    #[case("SELECT /*! 1 */", &[], "a comment at byte 7")]
    #[case("SELECT \\N", &[], "a backslash at byte 7")]
    #[case("SELECT \u{2019}a\u{2019}", &[], "not printable ascii at byte 7")]
    #[case("SELECT 1\0", &[], "not printable ascii at byte 8")]
    #[case("SELECT ???", &[t("a"), t("b")], "3 question marks in a row at byte 7")]
    #[case("SELECT 1 -?", &[v(Value::Signed(-5))], "the placeholder at byte 10 does not stand apart")]
    #[case("SELECT x?", &[t("00")], "the placeholder at byte 8 does not stand apart")]
    #[case("SELECT ?x", &[t("00")], "the placeholder at byte 7 does not stand apart")]
    #[case("SELECT 1/?", &[t("00")], "the placeholder at byte 9 does not stand apart")]
    #[case("SELECT ?", &[], "1 placeholders for 0 arguments")]
    #[case("SELECT ?", &[t("a"), t("b")], "1 placeholders for 2 arguments")]
    #[case("SELECT ? FROM ??", &[t("a"), t("b")], "argument 2 is a value where the text has ??")]
    #[case("SELECT ?", &[id("a")], "argument 1 is an identifier where the text has ?")]
    #[case("SELECT * FROM ??", &[id("")], "argument 1: an identifier is empty")]
    #[case("SELECT ?", &[v(Value::Double(f64::INFINITY))], "argument 1: a number is infinite or none")]
    fn refused(#[case] text: &str, #[case] arguments: &[Argument], #[case] expected: &str) {
        let failure = Template::parse(text, arguments).and_then(|template| template.render(arguments, vec![])).err();
        let message = message(failure.expect("it is refused"));
        assert!(message.starts_with("db:3306: ") && message.contains(expected), "{message}");
    }

    #[test]
    fn secrets_are_filled_in_where_they_are_named() {
        let secret = v(Value::Secret(SecretRef { namespace: "n".into(), name: "s".into(), key: "k".into() }));
        let arguments = [t("u"), secret.clone(), t("x"), secret];
        let template = Template::parse("A ? B ? C ? D ?", &arguments).map_err(message).expect("a template");
        let sealed = template.render(&arguments, vec![Plain::of("o'ne"), Plain::of("two\\")]).map_err(message).expect("a statement");
        assert_eq!(sealed.sql, r"A 'u' B 'o''ne' C 'x' D 'two\\'");
        assert!(sealed.secret && sealed.escapes);
        assert!(template.render(&arguments, vec![Plain::of("one")]).is_err(), "a secret without a value is no NULL");
    }

    /// Whatever the arguments are, what stands outside of quotes is the text's own.
    #[test]
    fn arguments_stay_inside_their_quotes() {
        let hostile = ["'", "\\", "`", "\\'", "'--", "`;", "*/", "\n#", "??", "\u{2019}", "\0", "'';", "a\\\\'"];
        for (a, b) in hostile.iter().flat_map(|a| hostile.iter().map(move |b| (a, b))) {
            let name = format!("n{a}{b}").replace('\0', "");
            let arguments = [t(&format!("{a}{b}")), id(&name), t(b), v(Value::Bytes(a.as_bytes().to_vec()))];
            let sealed = Template::parse("F ? G ?? H ? I ?", &arguments).and_then(|template| template.render(&arguments, vec![]));
            let sql = sealed.map_err(message).expect("a statement").sql;
            assert_eq!(outside(&sql), "F  G  H  I x", "{sql}");
        }
    }

    fn outside(sql: &str) -> String {
        let mut out = String::new();
        let mut chars = sql.chars().peekable();
        while let Some(c) = chars.next() {
            if c != '\'' && c != '`' {
                out.push(c);
                continue;
            }
            loop {
                match chars.next().expect("every quote is closed") {
                    '\\' if c == '\'' => drop(chars.next()),
                    d if d == c && chars.peek() == Some(&c) => drop(chars.next()),
                    d if d == c => break,
                    _ => {}
                }
            }
        }
        out
    }
}
