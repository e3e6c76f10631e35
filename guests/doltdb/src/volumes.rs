//! Volumes that grow: first their claims ask for more, then the StatefulSet is made anew around its running pods, since nobody can change its template
//! of claims; then the storage driver is waited for.
//!
//! Each step is seen from what is there: claims that ask for less than is wanted, a template that does, a StatefulSet that is missing. That it was
//! taken away for this, and not by somebody else, stands in the condition `StorageResized` before it goes.

use crds::{ConditionStatus, Quantity, UpdateStrategy, names};
use sdk::{Failure, Header, Selector, Typed, Verdict, World, reference};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use crate::{observe::Observed, status::Update, target::Target};

/// The condition.
pub(crate) const STORAGE_RESIZED: &str = "StorageResized";
/// Claims are changed, or the StatefulSet is made anew.
const RESIZING: &str = "ResizingStorage";
/// Only the storage driver has something left to do.
const WAITING: &str = "WaitStorageResize";

/// What there is to do for the volumes, and to say of them.
#[derive(Debug, Default)]
pub(crate) struct Growth {
    /// The condition `StorageResized`, where there is something to say.
    pub(crate) verdict: Option<Verdict>,
    /// Whether the user has to do something.
    pub(crate) refused: bool,
    /// Whether the DoltDB counts as ready only when it is done.
    pub(crate) awaited: bool,
    /// Claims that have to ask for more: uid and manifest.
    pub(crate) claims: Vec<(String, Value)>,
    /// The StatefulSet that has to go, without its pods.
    pub(crate) release: Option<Header>,
}

/// The parts of a PersistentVolumeClaim that are of concern.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Claim {
    spec: ClaimSpec,
    status: ClaimStatus,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ClaimSpec {
    storage_class_name: Option<String>,
    resources: Resources,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Resources {
    requests: Storage,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Storage {
    storage: Option<Quantity>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ClaimStatus {
    capacity: Storage,
    conditions: Vec<ClaimCondition>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ClaimCondition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
    message: String,
}

/// What the template of the StatefulSet asks for, compared with the spec.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Template {
    /// There is no StatefulSet, or it has no such template.
    Missing,
    /// As much as is wanted.
    Equal,
    /// Less.
    Smaller,
    /// More, and no volume can shrink.
    Larger,
}

/// The claims of a DoltDB whose volumes have to grow, and those of their StorageClasses that do not allow it.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    list: Vec<Typed<Claim>>,
    fixed: Option<String>,
    /// What the template of the StatefulSet asks for.
    asked: Option<Quantity>,
}

impl Claims {
    /// Looks at the claims, where their sizes are of concern: as long as all is as it should be nothing is read.
    pub(crate) fn of(world: &dyn World, target: &Target, templates: Option<&RawValue>) -> Result<Self, Failure> {
        let asked = size(templates);
        let concern = template(target, asked.as_ref()) == Template::Smaller || is_growing(target);
        if !concern || !target.spec.storage.resize_in_use_volumes {
            return Ok(Self { asked, ..Self::default() });
        }
        let selector = Selector::new("v1", "PersistentVolumeClaim", target.namespace()).label(names::LABEL_NAME, target.name()).fields(&[
            "/spec/storageClassName",
            "/spec/resources/requests/storage",
            "/status/capacity/storage",
            "/status/conditions/type",
            "/status/conditions/status",
            "/status/conditions/message",
        ]);
        let ours: Vec<String> = (0..target.spec.replicas()).map(|ordinal| names::data_claim(target.name(), ordinal)).collect();
        let mut list = world.select_as::<Claim>(&selector)?;
        list.retain(|claim| ours.contains(&claim.header.name) && !claim.header.deleting);
        let mut fixed = None;
        for claim in list.iter().filter(|claim| is_less(claim.body.spec.resources.requests.storage.as_ref(), target)) {
            let class = claim.body.spec.storage_class_name.as_deref().unwrap_or_default();
            if !grows(world, class)? {
                fixed = Some(class.to_owned());
            }
        }
        Ok(Self { list, fixed, asked })
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct StorageClass {
    allow_volume_expansion: bool,
}

fn grows(world: &dyn World, class: &str) -> Result<bool, Failure> {
    let class = reference("storage.k8s.io/v1", "StorageClass", "", class);
    Ok(world.get_as::<StorageClass>(&class, &["/allowVolumeExpansion"])?.is_some_and(|class| class.body.allow_volume_expansion))
}

/// Whether growing is under way, as the status says.
fn is_growing(target: &Target) -> bool {
    reason(target).is_some_and(|reason| reason == RESIZING || reason == WAITING)
}

/// Whether the StatefulSet, if it is missing, was taken away to be made anew.
pub(crate) fn is_released(target: &Target) -> bool {
    reason(target) == Some(RESIZING)
}

fn reason(target: &Target) -> Option<&str> {
    let condition = target.status.conditions.iter().find(|condition| condition.type_ == STORAGE_RESIZED)?;
    (condition.status == ConditionStatus::False).then_some(condition.reason.as_str())
}

fn is_less(size: Option<&Quantity>, target: &Target) -> bool {
    let bytes = |size: &Quantity| size.bytes("size").ok();
    let (Some(is), Some(wanted)) = (size.and_then(bytes), bytes(&target.spec.storage.size)) else { return size.is_none() };
    is < wanted
}

fn size(templates: Option<&RawValue>) -> Option<Quantity> {
    let templates: Vec<Claim> = serde_json::from_str(templates?.get()).ok()?;
    templates.into_iter().next()?.spec.resources.requests.storage
}

fn template(target: &Target, asked: Option<&Quantity>) -> Template {
    let bytes = |size: &Quantity| size.bytes("size").ok();
    let (Some(is), Some(wanted)) = (asked.and_then(bytes), bytes(&target.spec.storage.size)) else {
        return Template::Missing;
    };
    match is.cmp(&wanted) {
        std::cmp::Ordering::Less => Template::Smaller,
        std::cmp::Ordering::Equal => Template::Equal,
        std::cmp::Ordering::Greater => Template::Larger,
    }
}

/// What comes next for the volumes. `calm` says that nothing else is being done about the pods.
pub(crate) fn growth(target: &Target, observed: &Observed, calm: bool) -> Growth {
    let asked = observed.claims.asked.as_ref();
    let template = template(target, asked);
    let said = target.status.conditions.iter().any(|condition| condition.type_ == STORAGE_RESIZED);
    let size = &target.spec.storage.size;
    if template == Template::Larger {
        let is = asked.map_or_else(String::new, ToString::to_string);
        let message = format!("spec.storage.size: cannot decrease storage size from '{is}' to '{size}': set it back to {is}");
        return Growth { verdict: Some(Verdict::no("ShrinkRefused", message)), refused: true, ..Growth::default() };
    }
    if template != Template::Smaller && !is_growing(target) {
        let verdict = said.then(|| Verdict::yes(STORAGE_RESIZED, "Storage resized"));
        return Growth { verdict, ..Growth::default() };
    }
    let awaited = target.spec.storage.wait_for_volume_resize;
    if let Some(class) = &observed.claims.fixed {
        let message = format!(
            "spec.storage.size: the volumes are of StorageClass \"{class}\", which does not let them grow to {size}: set its \
             allowVolumeExpansion to true, or set spec.storage.resizeInUseVolumes to false, so that only new volumes have that size"
        );
        return Growth { verdict: Some(Verdict::no("ResizeRefused", message)), refused: true, ..Growth::default() };
    }
    let resizing = |why: &str| {
        let message = if why.is_empty() { "Resizing storage".to_owned() } else { format!("Resizing storage: {why}") };
        Growth { verdict: Some(Verdict::no(RESIZING, message)), awaited, ..Growth::default() }
    };
    let small: Vec<&Typed<Claim>> =
        observed.claims.list.iter().filter(|claim| is_less(claim.body.spec.resources.requests.storage.as_ref(), target)).collect();
    if !small.is_empty() {
        let claims = small.iter().map(|claim| (claim.header.uid.clone(), asking(target, &claim.header))).collect();
        return Growth { claims, ..resizing(&format!("{} volumes are to have {size}", small.len())) };
    }
    match (template, &observed.stateful_set) {
        (Template::Smaller, Some(set)) if set.header.deleting => resizing("the StatefulSet is made anew around its pods"),
        (Template::Smaller, Some(_)) if !calm => resizing("the StatefulSet is made anew once all pods are as they should be"),
        (Template::Smaller, Some(set)) => {
            Growth { release: Some(set.header.clone()), ..resizing("the StatefulSet is made anew around its pods") }
        }
        (_, None) => resizing("the StatefulSet is made anew around its pods"),
        _ => waiting(target, observed, awaited),
    }
}

/// Everything is asked for: what is left is up to the storage driver and the kubelet.
fn waiting(target: &Target, observed: &Observed, awaited: bool) -> Growth {
    let lagging = observed.claims.list.iter().find(|claim| is_less(claim.body.status.capacity.storage.as_ref(), target));
    let Some(claim) = lagging.filter(|_| awaited) else {
        return Growth { verdict: Some(Verdict::yes(STORAGE_RESIZED, "Storage resized")), ..Growth::default() };
    };
    let has = claim.body.status.capacity.storage.as_ref().map_or_else(|| "no capacity".to_owned(), ToString::to_string);
    let size = &target.spec.storage.size;
    let mut message = format!("Waiting for storage resize: PersistentVolumeClaim \"{}\" has {has} of {size}", claim.header.name);
    for condition in claim.body.status.conditions.iter().filter(|condition| condition.status == "True") {
        message.push_str(&format!("; {}", condition.kind));
        if !condition.message.is_empty() {
            message.push_str(&format!(": {}", condition.message));
        }
    }
    Growth { verdict: Some(Verdict::no(WAITING, message)), awaited, ..Growth::default() }
}

/// Whether the StatefulSet can be made anew without anybody noticing: it has all the pods that are wanted, each of its newest revision.
pub(crate) fn is_calm(target: &Target, observed: &Observed) -> bool {
    let Some(set) = &observed.stateful_set else { return false };
    let seen = set.body.status.observed_generation >= set.header.generation;
    // Where the pods are replaced by somebody else, whenever that pleases, waiting for it would be waiting for ever.
    let updated = Update::of(target, observed) == Some(Update::Done)
        || matches!(target.spec.update_strategy, UpdateStrategy::OnDelete | UpdateStrategy::Never);
    seen && updated && set.body.spec.replicas == Some(target.spec.replicas()) && set.body.status.replicas == target.spec.replicas()
}

/// A claim that asks for more. Nothing else of it is ours to say.
fn asking(target: &Target, claim: &Header) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": { "name": claim.name, "namespace": claim.namespace },
        "spec": { "resources": { "requests": { "storage": target.spec.storage.size } } },
    })
}
