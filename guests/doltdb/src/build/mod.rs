//! The children of a DoltDB, as manifests. Each file builds one kind, out of the target and what was observed; none of them reads anything.

mod config;
mod env;
mod fence;
mod files;
mod form;
mod parts;
mod pdb;
mod pod;
mod probes;
mod script;
mod service_account;
mod services;
mod stateful_set;
mod yaml;

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use crds::{IntOrString, names};
use sdk::{Json, ObjectRef, Plan, With, Written, list, object, reference};

pub(crate) use parts::BOOTSTRAP_EPOCH;
pub(crate) use probes::REFUSED;

use crate::{observe::Observed, roles::Leadership, target::Target, update, validate::Gate};

/// How the servers should run: their files, and the template of their pods.
pub(crate) struct Servers {
    config: BTreeMap<String, String>,
    template: form::Template,
}

impl Servers {
    pub(crate) fn of(target: &Target, observed: &Observed, leadership: &Leadership) -> Self {
        let config = config::config(target, observed, update::configured(target, observed, leadership));
        let template = stateful_set::template(target, observed, &config);
        Self { config, template }
    }

    /// Whether the StatefulSet that is there makes pods from this template.
    pub(crate) fn are_specified(&self) -> bool {
        self.template.is_there
    }
}

/// Plans all children as far as the gate allows.
///
/// `settled` is whether no change of the primary is under way: one takes all servers that there are.
pub(crate) fn children(
    target: &Target,
    observed: &Observed,
    gate: &Gate,
    leadership: &Leadership,
    settled: bool,
    servers: &Servers,
    plan: &mut Plan,
) {
    if matches!(gate, Gate::Closed(_)) {
        return;
    }
    // Where connections go comes first: clients wait for it.
    for service in services::services(target, leadership) {
        plan.apply(service);
    }
    if !observed.foreign_service_account {
        plan.apply(service_account::service_account(target));
    }
    plan.apply(config::config_map(target, observed, &servers.config));
    if target.replicas > 1 {
        plan.apply(pdb::pod_disruption_budget(target));
    }
    // A StatefulSet that is there already goes on being looked after, whatever is missing for another. One that is going is not written to.
    let going = observed.stateful_set.as_ref().is_some_and(|set| set.header.deleting);
    if !going && (*gate == Gate::Open || observed.stateful_set.is_some() || observed.released) {
        let replicas = update::replicas(target, observed, leadership, settled);
        plan.apply(stateful_set::stateful_set(target, observed, replicas, &servers.template));
    }
    for child in &observed.superfluous {
        plan.delete(child);
    }
}

/// Whether the servers' configuration is already what the spec wants.
pub(crate) fn config_is_there(target: &Target, observed: &Observed) -> bool {
    config::is_there(observed, &config::config(target, observed, target.replicas))
}

/// How many servers have a file in the configuration that is there.
pub(crate) fn configured_before(target: &Target, observed: &Observed) -> i32 {
    config::count(target, observed)
}

/// The pods that a server's file names as the others, if the files with this hash are those that are there.
pub(crate) fn peers_by<'a>(hash: &str, target: &Target, observed: &'a Observed, ordinal: i32) -> Option<BTreeSet<&'a str>> {
    let file = observed.config.as_ref()?.get(&names::config_key(target.name(), ordinal))?;
    config::may_have(hash, target, observed).then(|| config::peers(file).collect())
}

/// Domains whose labels and annotations are the business of the tool that put them on the DoltDB: on a child they would say something wrong.
const TOOLS: [&str; 5] = ["kubectl.kubernetes.io", "helm.sh", "argoproj.io", "fluxcd.io", "k14s.io"];

/// Labels or annotations by their names.
type Texts<'a> = BTreeMap<&'a str, Cow<'a, str>>;

/// A child by its name.
fn child(target: &Target, api_version: &str, kind: &str, name: &str) -> ObjectRef {
    reference(api_version, kind, target.namespace(), name)
}

/// The metadata of a child: the labels and annotations that the user gave the DoltDB, then the child's own.
fn metadata<'a>(target: &'a Target, name: &'a str, labels: Texts<'a>, annotations: Texts<'a>) -> impl Json {
    let with_inherited = |inherited: &'a BTreeMap<String, String>, own: Texts<'a>| {
        let mut all = own;
        for (key, text) in texts(inherited).filter(|(key, _)| is_inherited(key)) {
            all.entry(key).or_insert(text);
        }
        (!all.is_empty()).then_some(all)
    };
    let labels = with_inherited(&target.metadata.labels, labels);
    let annotations = with_inherited(&target.metadata.annotations, annotations);
    object! {
        "annotations": annotations.as_ref(),
        "labels": labels.as_ref(),
        "name": name,
        "namespace": target.namespace(),
        "ownerReferences": list![Written(&target.owner_reference)],
    }
}

fn is_inherited(key: &str) -> bool {
    let domain = key.split_once('/').map_or("", |(domain, _)| domain);
    let tool = TOOLS.iter().any(|tool| domain == *tool || domain.strip_suffix(tool).is_some_and(|rest| rest.ends_with('.')));
    !tool && key != names::LABEL_MANAGED_BY
}

/// The labels by which Services and the StatefulSet find the pods.
fn selector(target: &Target) -> Texts<'_> {
    Texts::from([(names::LABEL_NAME, target.name().into())])
}

/// The same with the version, for StatefulSet and pods.
fn versioned(target: &Target) -> Texts<'_> {
    let mut labels = selector(target);
    if !target.spec.engine_version.is_empty() {
        labels.insert(names::LABEL_VERSION, (&target.spec.engine_version).into());
    }
    labels
}

/// The annotations of StatefulSet, pods and volumes.
fn annotations(target: &Target) -> Texts<'_> {
    Texts::from([
        (names::ANNOTATION_DOLTDB, target.name().into()),
        (names::ANNOTATION_REPLICATION, truth(target.replication.enabled).into()),
    ])
}

/// Labels or annotations that are somebody else's.
fn texts(texts: &BTreeMap<String, String>) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
    texts.iter().map(|(key, text)| (key.as_str(), text.into()))
}

/// A truth value where there has to be a text.
fn truth(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}

/// A number, or a text that says one.
fn amount(amount: &IntOrString) -> impl Json {
    With(move |out: &mut String| match amount {
        IntOrString::Int(number) => number.write(out),
        IntOrString::String(text) => text.write(out),
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("team", true)]
    #[case("example.com/cost", true)]
    #[case("app.kubernetes.io/instance", true)]
    #[case("app.kubernetes.io/managed-by", false)]
    #[case("kubectl.kubernetes.io/last-applied-configuration", false)]
    #[case("meta.helm.sh/release-name", false)]
    #[case("helm.sh/chart", false)]
    #[case("argocd.argoproj.io/tracking-id", false)]
    #[case("nohelm.sh/chart", true)]
    fn what_a_tool_says_of_the_doltdb_is_not_said_of_its_children(#[case] key: &str, #[case] inherited: bool) {
        assert_eq!(is_inherited(key), inherited);
    }
}
