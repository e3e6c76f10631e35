//! Which statements read: by their first word, and by the words that they must not have. The same for every MySQL-compatible server.
//!
//! The texts have no quotes and no comments, so words are words. Names of one's own go in as identifier arguments and are not looked at.

use super::error::Failure;
use crate::contract::{Argument, Statement, Value};

const FIRST: [&str; 6] = ["SELECT", "SHOW", "WITH", "EXPLAIN", "DESCRIBE", "DESC"];

/// Words by which such a statement writes, locks or reads the server's files after all: INTO OUTFILE and INTO a variable; WITH … UPDATE,
/// DELETE; FOR UPDATE, FOR SHARE, LOCK IN SHARE MODE; functions that hold locks beyond the statement.
const NOT: [&str; 15] = [
    "INTO",
    "OUTFILE",
    "DUMPFILE",
    "INSERT",
    "UPDATE",
    "DELETE",
    "CALL",
    "LOCK",
    "SHARE",
    "GET_LOCK",
    "RELEASE_LOCK",
    "RELEASE_ALL_LOCKS",
    "LOAD_FILE",
    "SETVAL",
    "NEXTVAL",
];

/// Whether the statement does nothing but read, and asks for nothing that only the server should know.
pub(super) fn reads(statement: &Statement) -> Result<(), Failure> {
    let text = statement.text.as_str();
    if statement.arguments.iter().any(|argument| matches!(argument, Argument::Value(Value::Secret(_)))) {
        return Err(Failure::invalid("a secret stands in a query, whose answer would show it"));
    }
    let mut words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '$').filter(|word| !word.is_empty());
    let is = |word: &str, list: &[&str]| list.iter().any(|w| w.eq_ignore_ascii_case(word));
    // The first word has to stand at the very beginning: `(`, `{` or `@` before it would be another statement.
    let first = words.next().filter(|word| text.trim_ascii_start().starts_with(word)).unwrap_or_default();
    if !is(first, &FIRST) {
        return Err(Failure::invalid("a query begins with SELECT, SHOW, WITH, EXPLAIN or DESCRIBE"));
    }
    if text.contains(":=") {
        return Err(Failure::invalid("a query assigns no variables"));
    }
    match words.find(|word| is(word, &NOT)) {
        Some(word) => Err(Failure::invalid(format!("a query holds no {}", word.to_ascii_uppercase()))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::contract::SecretRef;

    #[rstest]
    #[case("SELECT a, last_update FROM ??", true)]
    #[case("\n  select 1", true)]
    #[case("SELECT(1)", true)]
    #[case("SHOW GRANTS FOR ?@?", true)]
    #[case("WITH x AS (SELECT 1) SELECT * FROM x", true)]
    #[case("EXPLAIN SELECT 1", true)]
    #[case("DESC ??", true)]
    #[case("SELECT REPLACE(a, ?, ?) FROM ??", true)]
    #[case("", false)]
    #[case("(SELECT 1)", false)]
    #[case("{SELECT 1", false)]
    #[case("INSERT INTO t VALUES (1)", false)]
    #[case("CREATE DATABASE ??", false)]
    #[case("CREATE USER ?@?", false)]
    #[case("CALL p(?)", false)]
    #[case("SET GLOBAL a = 1", false)]
    #[case("KILL 1", false)]
    #[case("USE ??", false)]
    #[case("COMMIT", false)]
    #[case("DO SLEEP(1)", false)]
    #[case("SELECTED 1", false)]
    #[case("SELECT 1 INTO OUTFILE ?", false)]
    #[case("SELECT 1 into @a", false)]
    #[case("SELECT @a := 1", false)]
    #[case("SELECT a FROM t FOR UPDATE", false)]
    #[case("SELECT a FROM t FOR SHARE", false)]
    #[case("SELECT a FROM t LOCK IN SHARE MODE", false)]
    #[case("WITH x AS (SELECT 1) DELETE FROM t", false)]
    #[case("WITH x AS (SELECT 1)UPDATE t SET a=1", false)]
    #[case("EXPLAIN ANALYZE DELETE FROM t", false)]
    #[case("SELECT GET_LOCK(?, 1)", false)]
    #[case("SELECT Load_File(?)", false)]
    fn shapes(#[case] text: &str, #[case] ok: bool) {
        assert_eq!(reads(&Statement { text: text.into(), arguments: vec![] }).is_ok(), ok);
    }

    #[test]
    fn secrets_are_not_for_reading() {
        let secret = Value::Secret(SecretRef { namespace: "n".into(), name: "s".into(), key: "k".into() });
        let statement = Statement { text: "SELECT ?".into(), arguments: vec![Argument::Value(secret)] };
        assert!(reads(&statement).is_err());
    }
}
