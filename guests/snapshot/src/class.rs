//! Which VolumeSnapshotClass takes the snapshots of a volume: one of the driver that made the volume.

use std::collections::BTreeMap;

use dolt::Obstacle;
use sdk::{Failure, Selector, World, reference};
use serde::Deserialize;

use crate::observe::{Claim, SNAPSHOT_API};

const DEFAULT: &str = "snapshot.storage.kubernetes.io/is-default-class";
/// On a claim: the driver that made its volume.
const PROVISIONER: [&str; 2] = ["volume.kubernetes.io/storage-provisioner", "volume.beta.kubernetes.io/storage-provisioner"];

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Class {
    metadata: Metadata,
    driver: String,
    provisioner: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Metadata {
    annotations: BTreeMap<String, String>,
}

/// A VolumeSnapshotClass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SnapshotClass {
    pub(crate) name: String,
    pub(crate) driver: String,
    pub(crate) default: bool,
}

/// All VolumeSnapshotClasses.
pub(crate) fn classes(world: &dyn World) -> Result<Vec<SnapshotClass>, Failure> {
    let selector = Selector::new(SNAPSHOT_API, "VolumeSnapshotClass", "").fields(&["/metadata/annotations", "/driver"]);
    let classes = world.select_as::<Class>(&selector)?;
    let class = |class: sdk::Typed<Class>| SnapshotClass {
        name: class.header.name,
        driver: class.body.driver,
        default: class.body.metadata.annotations.get(DEFAULT).is_some_and(|value| value == "true"),
    };
    Ok(classes.into_iter().map(class).collect())
}

/// The driver of a claim's volume; none where nobody says it.
pub(crate) fn driver(world: &dyn World, claim: &Claim) -> Result<Option<String>, Failure> {
    let class = claim.spec.storage_class_name.as_deref().filter(|name| !name.is_empty());
    if let Some(class) = class {
        let class = reference("storage.k8s.io/v1", "StorageClass", "", class);
        if let Some(class) = world.get_as::<Class>(&class, &["/provisioner"])? {
            return Ok(Some(class.body.provisioner));
        }
    }
    Ok(PROVISIONER.iter().find_map(|key| claim.metadata.annotations.get(*key).cloned()))
}

/// Chooses the class for a volume of this driver and this StorageClass.
pub(crate) fn choose(
    classes: &[SnapshotClass],
    wanted: Option<&str>,
    driver: &str,
    storage_class: Option<&str>,
) -> Result<String, Obstacle> {
    let field = "spec.volumeSnapshotClassName";
    if let Some(wanted) = wanted.filter(|name| !name.is_empty()) {
        let Some(class) = classes.iter().find(|class| class.name == wanted) else {
            let message =
                format!("{field}: there is no VolumeSnapshotClass \"{wanted}\" ({}): create it, or name another one", listed(classes));
            return Err(Obstacle::new("NoSnapshotClass", message));
        };
        if class.driver != driver {
            let message =
                format!("{field}: \"{wanted}\" is of the driver \"{}\", the volumes are of \"{driver}\": name another one", class.driver);
            return Err(Obstacle::new("NoSnapshotClass", message));
        }
        return Ok(class.name.clone());
    }
    let fitting: Vec<&SnapshotClass> = classes.iter().filter(|class| class.driver == driver).collect();
    let defaults: Vec<&SnapshotClass> = fitting.iter().copied().filter(|class| class.default).collect();
    // The Go operator took the class that is called like the StorageClass: whoever has such a one keeps it.
    if let Some(class) = fitting.iter().find(|class| Some(class.name.as_str()) == storage_class) {
        return Ok(class.name.clone());
    }
    match (defaults.as_slice(), fitting.as_slice()) {
        ([class], _) | ([], [class]) => Ok(class.name.clone()),
        (_, []) => {
            let message = format!("there is no VolumeSnapshotClass of the volumes' driver \"{driver}\" ({}): create one", listed(classes));
            Err(Obstacle::new("NoSnapshotClass", message))
        }
        _ => {
            let names: Vec<&str> = fitting.iter().map(|class| class.name.as_str()).collect();
            let message = format!("{field}: the driver \"{driver}\" has the VolumeSnapshotClasses {}: name one here", names.join(", "));
            Err(Obstacle::new("SeveralSnapshotClasses", message))
        }
    }
}

fn listed(classes: &[SnapshotClass]) -> String {
    if classes.is_empty() {
        return "there are none".to_owned();
    }
    let classes: Vec<String> = classes.iter().map(|class| format!("{} of {}", class.name, class.driver)).collect();
    format!("there are: {}", classes.join(", "))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn class(name: &str, driver: &str, default: bool) -> SnapshotClass {
        SnapshotClass { name: name.to_owned(), driver: driver.to_owned(), default }
    }

    #[rstest]
    #[case::the_only_one_of_the_driver(&[("a", "d", false), ("b", "e", true)], None, Ok("a"))]
    #[case::the_default_of_several(&[("a", "d", false), ("b", "d", true)], None, Ok("b"))]
    #[case::called_like_the_storage_class(&[("a", "d", true), ("fast", "d", false)], None, Ok("fast"))]
    #[case::called_like_it_but_of_another_driver(&[("a", "d", false), ("fast", "e", false)], None, Ok("a"))]
    #[case::the_named_one(&[("a", "d", true), ("b", "d", false)], Some("b"), Ok("b"))]
    #[case::none_of_the_driver(&[("b", "e", true)], None, Err("no VolumeSnapshotClass of the volumes' driver \"d\" (there are: b of e)"))]
    #[case::several_without_a_default(&[("a", "d", false), ("b", "d", false)], None, Err("VolumeSnapshotClasses a, b: name one"))]
    #[case::several_defaults(&[("a", "d", true), ("b", "d", true)], None, Err("VolumeSnapshotClasses a, b: name one"))]
    #[case::a_named_one_that_is_missing(&[], Some("b"), Err("there is no VolumeSnapshotClass \"b\" (there are none)"))]
    #[case::a_named_one_of_another_driver(&[("b", "e", true)], Some("b"), Err("\"b\" is of the driver \"e\""))]
    fn the_class_is_one_of_the_driver(
        #[case] classes: &[(&str, &str, bool)],
        #[case] wanted: Option<&str>,
        #[case] expected: Result<&str, &str>,
    ) {
        let classes: Vec<SnapshotClass> = classes.iter().map(|(name, driver, default)| class(name, driver, *default)).collect();
        match (choose(&classes, wanted, "d", Some("fast")), expected) {
            (Ok(chosen), Ok(expected)) => assert_eq!(chosen, expected),
            (Err(obstacle), Err(words)) => assert!(obstacle.message.contains(words), "{}", obstacle.message),
            (chosen, _) => panic!("{chosen:?}"),
        }
    }
}
