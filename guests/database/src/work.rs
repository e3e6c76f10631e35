//! The statements that are missing between what is and what is wanted.

use std::collections::BTreeSet;

use crds::DatabaseSpec;
use dolt::Primary;
use sdk::{Execution, Statement, ident, sql, value};

use crate::observe::Observed;

/// What has to be written, in order; nothing where all is as it should be.
///
/// A database that is not there yet is created and nothing else: the rest is seen once it is there.
pub(crate) fn missing(primary: &Primary, spec: &DatabaseSpec, observed: &Observed, leaving: &BTreeSet<String>) -> Vec<Execution> {
    if observed.database.is_none() {
        return vec![primary.execution(None, vec![create(spec)])];
    }
    let patterns = patterns(spec, observed, leaving);
    let branches = branches(spec, observed);
    // Branches last, so that they begin with the committed patterns.
    [patterns, branches].into_iter().filter(|statements| !statements.is_empty()).map(|s| primary.execution(Some(&spec.name), s)).collect()
}

fn create(spec: &DatabaseSpec) -> Statement {
    let (charset, collation) = (spec.charset.as_str(), spec.collation.as_str());
    match (charset.is_empty(), collation.is_empty()) {
        (false, false) => {
            sql!("CREATE DATABASE IF NOT EXISTS ?? CHARACTER SET = ? COLLATE = ?", ident(&spec.name), value(charset), value(collation))
        }
        (false, true) => sql!("CREATE DATABASE IF NOT EXISTS ?? CHARACTER SET = ?", ident(&spec.name), value(charset)),
        (true, false) => sql!("CREATE DATABASE IF NOT EXISTS ?? COLLATE = ?", ident(&spec.name), value(collation)),
        (true, true) => sql!("CREATE DATABASE IF NOT EXISTS ??", ident(&spec.name)),
    }
}

/// Inserts patterns that are missing and puts those in force that are not, deletes those that leave, then commits the table of patterns alone.
fn patterns(spec: &DatabaseSpec, observed: &Observed, leaving: &BTreeSet<String>) -> Vec<Statement> {
    let wanted: BTreeSet<&String> = spec.dolt_ignore_patterns.iter().collect();
    let inserts = wanted.iter().filter(|pattern| observed.patterns.get(**pattern) != Some(&true)).map(|pattern| {
        sql!(
            "INSERT INTO dolt_ignore (pattern, ignored) VALUES (?, ?) ON DUPLICATE KEY UPDATE ignored = ?",
            value(*pattern),
            value(true),
            value(true)
        )
    });
    let deletes = leaving.iter().map(|pattern| sql!("DELETE FROM dolt_ignore WHERE pattern = ?", value(pattern)));
    let mut statements: Vec<Statement> = inserts.chain(deletes).collect();
    let dirty = !statements.is_empty() || (!wanted.is_empty() && observed.uncommitted_patterns);
    // A commit takes all that is staged: somebody else's half-done work is waited for.
    if dirty && observed.staged_tables.is_empty() {
        statements.push(sql!("CALL DOLT_ADD(?)", value("dolt_ignore")));
        statements.push(sql!("CALL DOLT_COMMIT(?, ?, ?)", value("--skip-empty"), value("-m"), value("Set ignore patterns")));
    }
    statements
}

fn branches(spec: &DatabaseSpec, observed: &Observed) -> Vec<Statement> {
    let wanted: BTreeSet<&String> = spec.system_branches.iter().collect();
    let missing = wanted.into_iter().filter(|branch| !observed.branches.contains(*branch));
    missing.map(|branch| sql!("CALL DOLT_BRANCH(?, ?)", value(branch), value(&observed.default_branch))).collect()
}
