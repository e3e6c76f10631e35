//! Everything that is read of the cluster and of the servers, before anything is decided.

use std::{
    cell::OnceCell,
    collections::{BTreeMap, BTreeSet},
};

use crds::names;
use sdk::{Failure, Header, Owner, Owners, Selector, Typed, World, reference};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    form::{Form, form},
    pod::{self, Pods},
    restore::Restore,
    server::{self, Server},
    target::Target,
    volumes::{self, Claims},
};

/// What is there.
#[derive(Debug)]
pub(crate) struct Observed {
    /// Keys of the credentials Secret that are missing; none where the Secret itself is.
    pub(crate) missing_credentials: Option<Vec<&'static str>>,
    /// The names of the storage classes that exist, where the wanted one does not.
    pub(crate) other_storage_classes: Option<Vec<String>>,
    /// The StatefulSet.
    pub(crate) stateful_set: Option<Typed<StatefulSet>>,
    /// The data of the ConfigMap.
    pub(crate) config: Option<BTreeMap<String, String>>,
    /// The hashes of the first of its files, of the first two and so on, once somebody has asked for them.
    pub(crate) config_hashes: OnceCell<Vec<OnceCell<String>>>,
    /// Whether the pods' ServiceAccount is somebody else's.
    pub(crate) foreign_service_account: bool,
    /// Children that the spec no longer wants.
    pub(crate) superfluous: Vec<Header>,
    /// Whether the StatefulSet was taken away to be made anew around its pods.
    pub(crate) released: bool,
    /// From what the volumes are filled.
    pub(crate) restore: Restore,
    /// The claims, where they have to grow.
    pub(crate) claims: Claims,
    /// The pods that are to be replaced, once it is known from which template pods are made now ([`stale`](crate::update::stale)).
    pub(crate) stale: Option<Vec<i32>>,
    /// The StatefulSet's pods by ordinal.
    pub(crate) pods: Pods,
    /// What the servers in the started pods say, or why they don't.
    pub(crate) servers: BTreeMap<i32, Result<Server, String>>,
    /// Servers that live and don't let the operator in.
    pub(crate) refusing: BTreeSet<i32>,
    /// Who knows the password that the account had before; none where the Secret holds no such password.
    pub(crate) former_password: Option<Former>,
}

/// The password that the administrator's account had before.
#[derive(Debug)]
pub(crate) struct Former {
    /// Servers that know this one only.
    pub(crate) known_by: BTreeSet<i32>,
    /// Whether all servers were asked, and let the operator in by one or the other.
    pub(crate) all_answer: bool,
}

/// The parts of a StatefulSet that are of concern.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct StatefulSet {
    pub(crate) metadata: Owned,
    pub(crate) spec: StatefulSetSpec,
    pub(crate) status: StatefulSetStatus,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct StatefulSetSpec {
    pub(crate) replicas: Option<i32>,
    pub(crate) service_name: Option<Box<RawValue>>,
    pub(crate) pod_management_policy: Option<Box<RawValue>>,
    pub(crate) selector: Option<Box<RawValue>>,
    pub(crate) volume_claim_templates: Option<Box<RawValue>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct StatefulSetStatus {
    pub(crate) observed_generation: u64,
    pub(crate) replicas: i32,
    pub(crate) ready_replicas: i32,
    pub(crate) update_revision: String,
}

/// An object of which only its owners and annotations are of concern.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Owned {
    pub(crate) owner_references: Owners,
    annotations: Annotations,
}

/// The annotations of a StatefulSet.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Annotations {
    #[serde(rename = "k8s.dolthub.com/replication")]
    replication: Option<String>,
    #[serde(rename = "k8s.dolthub.com/pod-template")]
    pod_template: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Child {
    metadata: Owned,
}

const OWNERS: &[&str] = &["/metadata/ownerReferences"];

impl Observed {
    /// Gives the target on its way to what is wanted, which depends on what runs, and all that is there.
    pub(crate) fn of(world: &dyn World, target: Target) -> Result<(Target, Self), Failure> {
        let (namespace, name) = (target.namespace(), target.name());
        let stateful_set: Option<Typed<StatefulSet>> = world.get_as(
            &reference("apps/v1", "StatefulSet", namespace, &names::stateful_set(name)),
            &[
                "/metadata/ownerReferences",
                "/metadata/annotations",
                "/spec/replicas",
                "/spec/serviceName",
                "/spec/podManagementPolicy",
                "/spec/selector",
                "/spec/volumeClaimTemplates",
                "/status/observedGeneration",
                "/status/replicas",
                "/status/readyReplicas",
                "/status/updateRevision",
            ],
        )?;
        let released = volumes::is_released(&target) && stateful_set.as_ref().is_none_or(|set| set.header.deleting);
        let pods = match &stateful_set {
            Some(stateful_set) => pod::pods(world, &target, &stateful_set.header.uid, released)?,
            None if released => pod::pods(world, &target, "", released)?,
            None => BTreeMap::new(),
        };
        let form = form(&target, stateful_set.as_ref(), &pods);
        let target = target.with_pods(&pods).on_its_way(form, stateful_set.as_ref().and_then(|set| set.body.spec.replicas));
        let templates = stateful_set.as_ref().and_then(|set| set.body.spec.volume_claim_templates.as_deref());
        let claims = Claims::of(world, &target, templates)?;
        let (missing_credentials, previous) = credentials(world, &target)?;
        let observed = Self {
            missing_credentials,
            // The class counts when a volume is made: a StatefulSet that runs does not need it.
            other_storage_classes: if stateful_set.is_none() && !released { other_storage_classes(world, &target)? } else { None },
            config: config(world, &target)?,
            config_hashes: OnceCell::new(),
            foreign_service_account: foreign_service_account(world, &target)?,
            superfluous: superfluous(world, &target)?,
            restore: Restore::of(world, &target, stateful_set.is_none() && !released)?,
            released,
            claims,
            stale: None,
            servers: BTreeMap::new(),
            refusing: BTreeSet::new(),
            former_password: None,
            stateful_set,
            pods,
        };
        let observed = observed.with_answers(world, &target, previous);
        Ok((target, observed))
    }
}

impl Observed {
    /// Adds what the servers say. Without replication there is no role to be asked for, only whether the password is the one that it should be.
    fn with_answers(mut self, world: &dyn World, target: &Target, previous: bool) -> Self {
        if target.replication.enabled || previous {
            let answers = server::servers(world, target, &self.pods, previous);
            self.refusing = answers.refusing;
            let all_answer = (0..target.replicas).all(|ordinal| answers.servers.get(&ordinal).is_some_and(Result::is_ok));
            self.former_password = previous.then_some(Former { known_by: answers.by_previous_password, all_answer });
            if target.replication.enabled {
                self.servers = answers.servers;
            }
        }
        self
    }

    /// A server that answers.
    pub(crate) fn server(&self, ordinal: i32) -> Option<&Server> {
        self.servers.get(&ordinal)?.as_ref().ok()
    }

    /// Whether a server answers, on another volume than when it last led, or had the primary's data: it has lost them.
    pub(crate) fn has_lost_its_volume(&self, target: &Target, ordinal: i32) -> bool {
        let remembered = target.status.volumes.get(&target.pod(ordinal));
        self.server(ordinal).is_some_and(|server| remembered.is_some_and(|remembered| server.volume.as_ref() != Some(remembered)))
    }

    /// Whether the StatefulSet is this DoltDB's and has the form that the spec wants: with replication or without.
    pub(crate) fn is_as_specified(&self, target: &Target) -> bool {
        self.stateful_set.as_ref().is_some_and(|set| {
            let metadata = &set.body.metadata;
            metadata.controller().is_none_or(|owner| owner.uid == target.header.uid)
                && metadata.replicates().is_none_or(|replicates| replicates == target.replication.enabled)
        })
    }
}

impl Owned {
    /// Whether the object belongs to a DoltDB with replication, if it says so.
    pub(crate) fn replicates(&self) -> Option<bool> {
        self.annotations.replication.as_ref().map(|value| value == "true")
    }

    /// What it says of the template of its pods, if it does.
    pub(crate) fn pod_template(&self) -> Option<&str> {
        self.annotations.pod_template.as_deref()
    }

    /// The owner that controls the object.
    pub(crate) fn controller(&self) -> Option<&Owner> {
        self.owner_references.controller()
    }
}

/// The keys of the credentials that are missing, and whether there is a password that the account had before.
fn credentials(world: &dyn World, target: &Target) -> Result<(Option<Vec<&'static str>>, bool), Failure> {
    let Some(keys) = world.secret(target.namespace(), &names::credentials_secret(target.name()))? else { return Ok((None, false)) };
    let wanted = [names::ADMIN_USER_KEY, names::ADMIN_PASSWORD_KEY];
    let previous = keys.iter().any(|digest| digest.key == names::ADMIN_PREVIOUS_PASSWORD_KEY && !digest.digest.is_empty());
    Ok((Some(wanted.into_iter().filter(|key| !keys.iter().any(|digest| digest.key == *key)).collect()), previous))
}

fn other_storage_classes(world: &dyn World, target: &Target) -> Result<Option<Vec<String>>, Failure> {
    let wanted = target.spec.storage.storage_class_name.as_deref().filter(|name| !name.is_empty());
    let Some(wanted) = wanted else { return Ok(None) };
    let classes = world.select_all(&Selector::new("storage.k8s.io/v1", "StorageClass", "").fields(&["/metadata/name"]))?;
    let names: Vec<String> = classes.into_iter().map(|class| class.header.name).collect();
    Ok(if names.iter().any(|name| name == wanted) { None } else { Some(names) })
}

fn config(world: &dyn World, target: &Target) -> Result<Option<BTreeMap<String, String>>, Failure> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct ConfigMap {
        data: BTreeMap<String, String>,
    }
    let object = reference("v1", "ConfigMap", target.namespace(), &names::config_map(target.name()));
    Ok(world.get_as::<ConfigMap>(&object, &["/data"])?.map(|config| config.body.data))
}

fn foreign_service_account(world: &dyn World, target: &Target) -> Result<bool, Failure> {
    let object = reference("v1", "ServiceAccount", target.namespace(), target.spec.service_account(target.name()));
    let found = world.get_as::<Child>(&object, OWNERS)?;
    Ok(found.is_some_and(|account| !is_ours(&account.body.metadata, target)))
}

/// Services of the other form, and the disruption budget of a single server, as far as they are ours.
fn superfluous(world: &dyn World, target: &Target) -> Result<Vec<Header>, Failure> {
    let name = target.name();
    let mut unwanted = if target.form == Form::TurningOn {
        Vec::new()
    } else if target.replication.enabled {
        vec![("v1", "Service", names::standalone_service(name))]
    } else {
        vec![("v1", "Service", names::primary_service(name)), ("v1", "Service", names::reader_service(name))]
    };
    if target.replicas == 1 {
        unwanted.push(("policy/v1", "PodDisruptionBudget", names::pod_disruption_budget(name)));
    }
    let mut found = Vec::new();
    for (api_version, kind, name) in unwanted {
        let child = world.get_as::<Child>(&reference(api_version, kind, target.namespace(), &name), OWNERS)?;
        found.extend(child.filter(|child| is_ours(&child.body.metadata, target) && !child.header.deleting).map(|child| child.header));
    }
    Ok(found)
}

fn is_ours(child: &Owned, target: &Target) -> bool {
    child.controller().is_some_and(|owner| owner.uid == target.header.uid)
}
