//! Several objects about one thing on a server: the oldest one rules it. The others say so, write nothing, and take over when it goes.
//!
//! They are found by a label that each gets from its reconciler before anything else, so that a thousand objects do not read each other all the
//! time. Only an object that is deleted looks at all of them: somebody else's may have no label yet, and what is dropped is gone.

use crds::{DatabaseSpec, DoltDB, DoltDBRef, Kind, Object, UserSpec, names};
use sdk::{Failure, Header, Plan, Selector, Typed, World};
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::{Account, CREATED, Claim, Obstacle, claims, is_about, is_older, name_for};

/// A kind whose objects rule things on a server, one object each.
pub trait Exclusive: Kind + DeserializeOwned {
    /// The label by which objects about one thing are found.
    const LABEL: &'static str;
    /// The fields that say what an object is about.
    const FIELDS: &'static [&'static str];

    /// Where it is.
    fn doltdb(&self) -> &DoltDBRef;

    /// What it is, in parts that hold no zero byte. The same for everything that a server takes for the same.
    fn subject(&self) -> Vec<String>;
}

impl Exclusive for UserSpec {
    const LABEL: &'static str = names::LABEL_ACCOUNT;
    const FIELDS: &'static [&'static str] = &["/spec/doltDBRef", "/spec/name", "/spec/host", CREATED];

    fn doltdb(&self) -> &DoltDBRef {
        &self.dolt_db_ref
    }

    fn subject(&self) -> Vec<String> {
        Account::of(self).subject()
    }
}

impl Exclusive for DatabaseSpec {
    const LABEL: &'static str = names::LABEL_DATABASE;
    const FIELDS: &'static [&'static str] = &["/spec/doltDBRef", "/spec/name", CREATED];

    fn doltdb(&self) -> &DoltDBRef {
        &self.dolt_db_ref
    }

    fn subject(&self) -> Vec<String> {
        vec![self.name.to_lowercase()]
    }
}

/// The value of the label of objects about one thing on a DoltDB of this name.
pub(crate) fn label(doltdb: &str, subject: &[String]) -> String {
    let mut hasher = Sha256::new();
    for part in std::iter::once(doltdb).chain(subject.iter().map(String::as_str)) {
        hasher.update(part);
        hasher.update([0]);
    }
    hex::encode(&hasher.finalize()[..16])
}

/// Gives an object its label, if it has not got it. That comes before anything else, so that whoever comes to look for others finds this one.
pub fn mark<K: Exclusive>(header: &Header, spec: &K) -> Option<Plan> {
    let label = label(&spec.doltdb().name, &spec.subject());
    if header.label(K::LABEL) == Some(&label) {
        return None;
    }
    let mut plan = Plan::new();
    plan.label(header, &[(K::LABEL, Some(&label))]);
    Some(plan)
}

/// An older object about the same thing, which is called `what`, as what stands in the way.
///
/// # Errors
/// When the host cannot answer.
pub fn conflict<K: Exclusive>(
    world: &dyn World,
    target: &Typed<DoltDB>,
    own: &Typed<Object<K>>,
    what: &str,
) -> Result<Option<Obstacle>, Failure> {
    let label = label(&own.body.spec.doltdb().name, &own.body.spec.subject());
    let created = own.body.metadata.creation_timestamp.as_deref().unwrap_or_default();
    let others = others(world, target, own, |selector| selector.label(K::LABEL, &label))?;
    let older = others.into_iter().find(|other| is_older(other, (&own.header, created)));
    Ok(older.map(|older| {
        let name = name_for(&own.header.namespace, &older.header);
        Obstacle::new("Conflict", format!("{} \"{name}\" is about {what} too, and is older: delete one of the two", K::KIND))
    }))
}

/// Another object that is about the same thing and stays, for which it has to stay too.
///
/// # Errors
/// When the host cannot answer.
pub fn heir<K: Exclusive>(world: &dyn World, target: &Typed<DoltDB>, own: &Typed<Object<K>>) -> Result<Option<String>, Failure> {
    let heir = others(world, target, own, |selector| selector)?.into_iter().next();
    Ok(heir.map(|heir| format!("{} \"{}\"", K::KIND, name_for(&own.header.namespace, &heir.header))))
}

fn others<K: Exclusive>(
    world: &dyn World,
    target: &Typed<DoltDB>,
    own: &Typed<Object<K>>,
    narrow: impl FnOnce(Selector) -> Selector,
) -> Result<Vec<Typed<Claim<K>>>, Failure> {
    let subject = own.body.spec.subject();
    let mut others = claims::<Claim<K>>(world, target, K::KIND, |objects| narrow(objects).fields(K::FIELDS))?;
    // Anybody can write a label.
    others.retain(|other| {
        let spec = &other.body.spec;
        let concerned = is_about(target, &other.header.namespace, spec.doltdb()) && spec.subject() == subject;
        other.header.uid != own.header.uid && !other.header.deleting && concerned
    });
    Ok(others)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upper_and_lower_case_make_no_other_database() {
        let named = |name: &str| DatabaseSpec { name: name.to_owned(), ..DatabaseSpec::default() }.subject();
        assert_eq!(named("Shop"), named("sHOP"));
        assert_ne!(label("demo", &named("shop")), label("demo", &named("shop2")));
        assert_ne!(label("demo", &named("shop")), label("other", &named("shop")));
    }
}
