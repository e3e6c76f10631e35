//! Mistakes in the spec that the API server lets through, or that were stored before it knew better.

use crds::{DatabaseSpec, FieldError};

/// Databases that belong to the server.
const RESERVED: [&str; 3] = ["information_schema", "mysql", "dolt_cluster"];

pub(crate) fn mistakes(spec: &DatabaseSpec) -> Vec<FieldError> {
    let mut found = Vec::new();
    let word = !spec.name.is_empty() && spec.name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !word {
        found.push(FieldError::new("spec.name", &spec.name, "must be letters, digits and underscores, at least one"));
    }
    if RESERVED.contains(&spec.name.to_lowercase().as_str()) {
        found.push(FieldError::new("spec.name", &spec.name, "is a database of the server itself: choose another name"));
    }
    // A name with a dash in front would be taken as an option of the procedure that makes the branch.
    for branch in spec.system_branches.iter().filter(|branch| branch.is_empty() || branch.starts_with('-')) {
        found.push(FieldError::new(
            "spec.systemBranches",
            branch,
            "must be the name of a branch, which is not empty and does not begin with a dash",
        ));
    }
    for pattern in spec.dolt_ignore_patterns.iter().filter(|pattern| pattern.is_empty()) {
        found.push(FieldError::new("spec.doltIgnorePatterns", pattern, "must not hold an empty pattern"));
    }
    found.extend(spec.sql.requeue_interval().err());
    found.extend(spec.sql.retry_interval().err());
    found
}
