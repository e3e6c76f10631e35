//! Mistakes in the spec that the API server lets through, or that were stored before it knew better.

use crds::{FieldError, GrantSpec};
use dolt::Account;

use crate::{holding::Place, privilege::parse};

pub(crate) fn mistakes(spec: &GrantSpec) -> Vec<FieldError> {
    let mut found = Account::new(&spec.username, spec.host()).mistakes("spec.username", "spec.host");
    for (field, name) in [("spec.database", &spec.database), ("spec.table", &spec.table)] {
        if name.is_empty() || name.contains('`') || name.contains(char::is_control) {
            found.push(FieldError::new(field, name, "must be a name without backticks, or * for all"));
        }
    }
    if spec.database == "*" && spec.table != "*" {
        found.push(FieldError::new("spec.table", &spec.table, "needs a database: name it in spec.database, or leave the table out"));
    }
    let level = Place::new(&spec.database, &spec.table).level();
    for entry in &spec.privileges {
        found.extend(parse(entry, level).err().map(|problem| FieldError::new("spec.privileges", entry, problem)));
    }
    found.extend(spec.sql.requeue_interval().err());
    found.extend(spec.sql.retry_interval().err());
    found
}
