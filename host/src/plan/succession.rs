//! Fields that another program left on an object become the reconciler's own when the reconciler applies it.
//!
//! Server-side apply takes away what its manager does not want any more, and nothing of anybody else's. What a predecessor wrote by other
//! means (`Update` in `metadata.managedFields`) would therefore stay for good: variables, ports and labels that nobody wants, and fields
//! that contradict new ones. So its entries are made the reconciler's, as clients do that come from client-side apply.
//!
//! It knows the entries and nothing of the API server.

use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::{FieldsV1, ManagedFieldsEntry},
    jiff::Timestamp,
};
use serde_json::Value;

/// For how long after a predecessor's write nothing is written against it: it is still at work.
pub(super) const CONTESTED_SECONDS: i64 = 120;

/// What has to be done before an object is applied.
#[derive(Debug, PartialEq)]
pub(super) enum Succession {
    /// Nothing: there was no predecessor, or its fields have been taken over.
    Settled,
    /// These entries are the object's from now on.
    TakeOver(Vec<ManagedFieldsEntry>),
    /// This predecessor wrote so many seconds ago, after its fields had been taken over.
    Contested(String, i64),
}

/// Decides by the entries of an object what has to be done before `owner` applies it, or its `subresource`.
pub(super) fn succession(
    entries: &[ManagedFieldsEntry],
    predecessors: &[String],
    owner: &str,
    subresource: &str,
    now: Timestamp,
) -> Succession {
    let is = |entry: &ManagedFieldsEntry, operation: &str| {
        entry.subresource.as_deref().unwrap_or_default() == subresource && entry.operation.as_deref() == Some(operation)
    };
    let own = entries.iter().find(|entry| is(entry, "Apply") && entry.manager.as_deref() == Some(owner));
    let is_old = |entry: &&ManagedFieldsEntry| {
        is(entry, "Update")
            && entry.manager.as_ref().is_some_and(|manager| predecessors.contains(manager))
            // Once its fields are taken over, labels and annotations may be somebody else's of that name, which would write them again.
            && (own.is_none() || owns_more_than_metadata(entry))
    };
    let Some(first) = own.or_else(|| entries.iter().find(is_old)) else { return Succession::Settled };
    // Fields of another version of the API cannot be put together with these, and stay whose they are.
    let is_old = |entry: &&ManagedFieldsEntry| is_old(entry) && entry.api_version == first.api_version;
    if !entries.iter().any(|entry| is_old(&entry)) {
        return Succession::Settled;
    }
    if own.is_some() && subresource.is_empty() {
        let ago = |entry: &ManagedFieldsEntry| entry.time.as_ref().map(|time| now.as_second().saturating_sub(time.0.as_second()));
        let writes = entries.iter().filter(is_old).filter_map(|entry| Some((entry.manager.clone()?, ago(entry)?)));
        if let Some((manager, ago)) = writes.min_by_key(|(_, ago)| *ago).filter(|(_, ago)| *ago < CONTESTED_SECONDS) {
            return Succession::Contested(manager, ago.max(0));
        }
    }
    let mut fields = Value::Null;
    for entry in own.into_iter().chain(entries.iter().filter(is_old)) {
        join(&mut fields, entry.fields_v1.as_ref().map_or(&Value::Null, |fields| &fields.0));
    }
    let heir = ManagedFieldsEntry {
        manager: Some(owner.to_owned()),
        operation: Some("Apply".to_owned()),
        fields_v1: Some(FieldsV1(fields)),
        time: None,
        ..first.clone()
    };
    let others = entries.iter().filter(|entry| own != Some(*entry) && !is_old(entry)).cloned();
    Succession::TakeOver(others.chain([heir]).collect())
}

fn owns_more_than_metadata(entry: &ManagedFieldsEntry) -> bool {
    let fields = entry.fields_v1.as_ref().and_then(|fields| fields.0.as_object());
    fields.is_some_and(|fields| fields.keys().any(|field| field != "f:metadata"))
}

/// The union of two trees of fields.
fn join(into: &mut Value, other: &Value) {
    match (into, other) {
        (Value::Object(into), Value::Object(other)) => {
            for (field, below) in other {
                join(into.entry(field).or_insert_with(|| Value::Object(serde_json::Map::new())), below);
            }
        }
        (into @ Value::Null, other) => *into = other.clone(),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    const OWNER: &str = "product-widget";

    fn entry(manager: &str, operation: &str, subresource: &str, fields: Value, second: i64) -> ManagedFieldsEntry {
        ManagedFieldsEntry {
            api_version: Some("v1".to_owned()),
            fields_type: Some("FieldsV1".to_owned()),
            fields_v1: Some(FieldsV1(fields)),
            manager: Some(manager.to_owned()),
            operation: Some(operation.to_owned()),
            subresource: Some(subresource.to_owned()).filter(|name| !name.is_empty()),
            time: Some(Time(Timestamp::from_second(second).unwrap())),
        }
    }

    fn decide(entries: &[ManagedFieldsEntry], subresource: &str) -> Succession {
        succession(entries, &["manager".to_owned(), "older".to_owned()], OWNER, subresource, Timestamp::from_second(1_000).unwrap())
    }

    #[test]
    fn what_predecessors_wrote_becomes_the_owners_and_nobody_elses() {
        let entries = [
            entry("manager", "Update", "", json!({"f:spec": {"f:a": {}, "f:b": {"f:c": {}}}}), 900),
            entry("kubectl-edit", "Update", "", json!({"f:spec": {"f:d": {}}}), 900),
            entry("older", "Update", "", json!({"f:spec": {"f:b": {"f:e": {}}}, "f:metadata": {"f:labels": {}}}), 10),
            entry("manager", "Update", "status", json!({"f:status": {}}), 900),
        ];
        let Succession::TakeOver(after) = decide(&entries, "") else { panic!("nothing is taken over") };
        assert_eq!(after.len(), 3);
        assert_eq!((&after[0], &after[1]), (&entries[1], &entries[3]));
        assert_eq!((after[2].manager.as_deref(), after[2].operation.as_deref(), &after[2].time), (Some(OWNER), Some("Apply"), &None));
        let fields = json!({"f:spec": {"f:a": {}, "f:b": {"f:c": {}, "f:e": {}}}, "f:metadata": {"f:labels": {}}});
        assert_eq!(after[2].fields_v1.as_ref().unwrap().0, fields);
        // Once is enough.
        assert_eq!(decide(&after, ""), Succession::Settled);

        let Succession::TakeOver(after) = decide(&entries, "status") else { panic!("the status is not taken over") };
        let ours: Vec<_> = after.iter().filter(|entry| entry.manager.as_deref() == Some(OWNER)).collect();
        assert_eq!((ours.len(), ours[0].subresource.as_deref()), (1, Some("status")));
        assert_eq!(after.len(), 4);
    }

    #[rstest]
    #[case::its_fields_are_new(json!({"f:spec": {}}), 970, Succession::Contested("manager".to_owned(), 30))]
    #[case::the_clock_of_the_server_is_ahead(json!({"f:data": {}}), 1_007, Succession::Contested("manager".to_owned(), 0))]
    #[case::somebody_else_of_that_name_annotates(json!({"f:metadata": {}}), 999, Succession::Settled)]
    fn a_predecessor_that_still_writes_is_not_written_against(#[case] fields: Value, #[case] second: i64, #[case] expected: Succession) {
        let entries = [entry(OWNER, "Apply", "", json!({}), 950), entry("manager", "Update", "", fields, second)];
        assert_eq!(decide(&entries, ""), expected);
    }

    #[test]
    fn one_that_came_back_for_a_while_is_followed_once_more() {
        let entries = [
            entry(OWNER, "Apply", "", json!({"f:spec": {"f:a": {}}}), 700),
            entry("manager", "Update", "", json!({"f:spec": {"f:b": {}}}), 800),
            entry("manager", "Update", "status", json!({"f:status": {}}), 800),
        ];
        let Succession::TakeOver(after) = decide(&entries, "") else { panic!("nothing is taken over") };
        assert_eq!((after.len(), &after[0]), (2, &entries[2]));
        assert_eq!(after[1].fields_v1.as_ref().unwrap().0, json!({"f:spec": {"f:a": {}, "f:b": {}}}));
    }

    #[test]
    fn without_a_predecessor_nothing_changes() {
        let entries = [entry("kubectl-edit", "Update", "", json!({"f:spec": {}}), 999), entry("manager", "Apply", "", json!({}), 999)];
        assert_eq!(decide(&entries, ""), Succession::Settled);
        assert_eq!(decide(&[], ""), Succession::Settled);
    }
}
