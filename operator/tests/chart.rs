//! The chart `charts/doltdb-operator`, rendered by helm: its rules are what the reconcilers need and nothing wider, its settings are what the
//! host reads, its values do what they say, and a wrong one is refused.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::Command,
};

use host::settings::{Grant, Resource, Settings, SignatureMode};
use rstest::rstest;
use sdk::{Description, Permission, Reconciler};
use serde_json::{Value, json};

const NAMESPACE: &str = "operators";

/// What `helm template` prints with these arguments, or its complaint.
fn helm(arguments: &[&str]) -> Result<String, String> {
    let program = std::env::var_os("HELM").unwrap_or_else(|| "helm".into());
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/doltdb-operator");
    let output = Command::new(&program)
        .args(["template", "doltdb-operator"])
        .arg(chart)
        .args(["--namespace", NAMESPACE, "--kube-version", "1.35.0"])
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("cannot run {program:?}: {error}: put helm 3 on PATH or name it in the variable HELM"));
    let text = |bytes| String::from_utf8(bytes).expect("helm prints UTF-8");
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

/// The objects of the chart with these values (`--set` form).
fn render(values: &[&str]) -> Vec<Value> {
    let arguments: Vec<&str> = values.iter().flat_map(|value| ["--set", value]).collect();
    let text = helm(&arguments).unwrap_or_else(|complaint| panic!("{values:?}: {complaint}"));
    let objects = text.split("\n---\n").map(|object| serde_saphyr::from_str(object).unwrap_or_else(|error| panic!("{error}: {object}")));
    objects.filter(|object: &Value| !object.is_null()).collect()
}

fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects.iter().filter(|object| object["kind"] == kind).collect()
}

fn settings(objects: &[Value]) -> Settings {
    let text = of_kind(objects, "Secret")[0]["stringData"]["settings.yaml"].as_str().unwrap();
    serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Rules as sorted lines: `verbs on group/resource`, with the names if they are limited.
fn rules(role: &Value) -> BTreeSet<String> {
    let words =
        |list: &Value, with: &str| list.as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect::<Vec<_>>().join(with);
    let line = |rule: &Value| {
        let names = if rule["resourceNames"].is_null() { String::new() } else { format!(" named {}", words(&rule["resourceNames"], " ")) };
        format!("{}/{}{names}: {}", words(&rule["apiGroups"], ","), words(&rule["resources"], ","), words(&rule["verbs"], " "))
    };
    role["rules"].as_array().unwrap().iter().map(line).collect()
}

#[test]
fn with_defaults_there_are_exactly_these_rules() {
    let objects = render(&[]);
    let mut found = Vec::new();
    for kind in ["ClusterRole", "Role"] {
        for role in of_kind(&objects, kind) {
            found.push(format!("{kind} {} {}", role["metadata"]["name"], role["metadata"]["namespace"]));
            found.extend(rules(role).into_iter().map(|rule| format!("  {rule}")));
        }
    }
    insta::assert_snapshot!(found.join("\n"));
}

#[test]
fn watched_namespaces_have_roles_of_their_own_and_together_they_allow_the_same() {
    let everywhere = render(&[]);
    let objects = render(&["watchNamespaces={blue,green}"]);
    let cluster = rules(of_kind(&objects, "ClusterRole")[0]);
    assert_eq!(
        cluster,
        BTreeSet::from([
            "snapshot.storage.k8s.io/volumesnapshotclasses: get list watch".to_owned(),
            "storage.k8s.io/storageclasses: get list watch".to_owned(),
        ])
    );
    let roles: Vec<_> = of_kind(&objects, "Role").into_iter().filter(|role| role["metadata"]["namespace"] != NAMESPACE).collect();
    assert_eq!(roles.iter().map(|role| &role["metadata"]["namespace"]).collect::<Vec<_>>(), ["blue", "green"]);
    for role in roles {
        let both: BTreeSet<String> = rules(role).union(&cluster).cloned().collect();
        assert_eq!(both, rules(of_kind(&everywhere, "ClusterRole")[0]));
    }
    assert_eq!(settings(&objects).namespaces, ["blue", "green"]);
}

#[test]
fn no_grant_no_rule() {
    let objects = render(&[
        "reconcilers.doltdb=null",
        "reconcilers.user=null",
        "reconcilers.grant=null",
        "reconcilers.snapshot=null",
        "reconcilers.backup=null",
        "reconcilers.backupschedule=null",
        "reconcilers.database.grant=null",
        "leaderElection.enabled=false",
        "digestKey.createRole=false",
        "modules.configMaps.enabled=false",
    ]);
    let expected =
        ["events.k8s.io/events: create", "k8s.dolthub.com/databases/status: patch", "k8s.dolthub.com/databases: get list watch patch"];
    assert_eq!(rules(of_kind(&objects, "ClusterRole")[0]), expected.map(str::to_owned).into());
    assert!(of_kind(&objects, "Role").is_empty());
}

#[rstest]
#[case::read("read", "get list watch")]
#[case::apply("apply", "get list watch create patch")]
#[case::delete("delete", "get list watch delete")]
#[case::label("label", "get list watch patch")]
fn each_grant_becomes_its_verbs(#[case] effect: &str, #[case] verbs: &str) {
    let grant =
        format!("reconcilers.database.grant.{effect}=[{{\"apiVersion\":\"example.com/v1\",\"kind\":\"Widget\",\"resource\":\"widgets\"}}]");
    let text = helm(&["--set-json", &grant]).unwrap();
    assert!(text.contains(&format!("resources: [widgets]\n    verbs: [{}]", verbs.replace(' ', ", "))), "{text}");
}

#[test]
fn generated_secrets_are_created_and_not_read() {
    let objects = render(&[
        "reconcilers.doltdb=null",
        "reconcilers.user=null",
        "reconcilers.grant=null",
        "reconcilers.snapshot=null",
        "reconcilers.backup=null",
        "reconcilers.backupschedule=null",
        "reconcilers.database.grant.secrets=null",
        "reconcilers.database.grant.authorities=null",
        "reconcilers.database.grant.generateSecrets={a-*}",
    ]);
    assert!(rules(of_kind(&objects, "ClusterRole")[0]).contains("/secrets: create"));
}

/// A grant as lines, so that two can be compared. Of the slot's own kind there is none to be read: it may always be.
fn granted(grant: &Grant, own: &Resource) -> BTreeSet<String> {
    let kinds =
        |verb: &'static str, list: &[Resource]| list.iter().map(|r| format!("{verb} {} {}", r.api_version, r.kind)).collect::<Vec<_>>();
    let names = |verb: &'static str, list: &[String]| list.iter().map(|name| format!("{verb} {name}")).collect::<Vec<_>>();
    let lists = [
        kinds("read", &grant.read.iter().filter(|r| r.kind != own.kind).cloned().collect::<Vec<_>>()),
        kinds("apply", &grant.apply),
        kinds("delete", &grant.delete),
        kinds("label", &grant.label),
        names("secret", &grant.secrets),
        names("authority", &grant.authorities),
        names("generate", &grant.generate_secrets),
        names("sql-read", &grant.sql.read),
        names("sql-write", &grant.sql.write),
        names("namespace", &grant.namespaces),
    ];
    lists.into_iter().flatten().collect()
}

/// What a description asks for, in the same form. Its own kind may be read without being granted.
fn wanted(description: &Description) -> BTreeSet<String> {
    let line = |permission: &Permission| match permission {
        Permission::Read(kind) if *kind == description.reconciles => None,
        Permission::Read(kind) => Some(format!("read {} {}", kind.api_version, kind.kind)),
        Permission::Apply(kind) => Some(format!("apply {} {}", kind.api_version, kind.kind)),
        Permission::Delete(kind) => Some(format!("delete {} {}", kind.api_version, kind.kind)),
        Permission::Label(kind) => Some(format!("label {} {}", kind.api_version, kind.kind)),
        Permission::Secret(name) => Some(format!("secret {name}")),
        Permission::Authority(name) => Some(format!("authority {name}")),
        Permission::GenerateSecret(name) => Some(format!("generate {name}")),
        Permission::SqlRead(host) => Some(format!("sql-read {host}")),
        Permission::SqlWrite(host) => Some(format!("sql-write {host}")),
    };
    description.permissions.iter().filter_map(line).collect()
}

#[test]
fn the_reconcilers_are_granted_what_they_describe_and_nothing_else() {
    let described = [
        doltdb::DoltDBReconciler::describe(),
        database::DatabaseReconciler::describe(),
        user::UserReconciler::describe(),
        grant::GrantReconciler::describe(),
        snapshot::SnapshotReconciler::describe(),
        backup::BackupReconciler::describe(),
        backupschedule::BackupScheduleReconciler::describe(),
    ];
    let settings = settings(&render(&[]));
    let slots: Vec<&str> = settings.reconcilers.keys().map(String::as_str).collect();
    assert_eq!(slots.into_iter().collect::<BTreeSet<_>>(), described.iter().map(|d| d.name.as_str()).collect());
    for description in described {
        let slot = &settings.reconcilers[&description.name];
        assert_eq!(
            (&slot.reconciles.api_version, &slot.reconciles.kind),
            (&description.reconciles.api_version, &description.reconciles.kind)
        );
        assert_eq!(granted(&slot.grant, &slot.reconciles), wanted(&description), "reconcilers.{}.grant", description.name);
    }
}

/// Other namespaces are for references to a DoltDB: nothing is written there but by SQL, and no Secret is used but its account.
#[test]
fn other_namespaces_are_reached_for_a_doltdb_and_its_account_only() {
    for (slot, reconciler) in settings(&render(&[])).reconcilers {
        let Grant { apply, delete, label, secrets, namespaces, read, .. } = reconciler.grant;
        assert!([apply, delete, label].into_iter().flatten().all(|resource| resource.namespaces.is_empty()), "{slot}");
        assert!(namespaces.is_empty(), "{slot}");
        assert!(read.iter().all(|r| r.namespaces.is_empty() || r.api_version == "k8s.dolthub.com/v1alpha"), "{slot}");
        assert!(secrets.iter().all(|secret| !secret.contains('/') || secret == "*/*-credentials"), "{slot}: {secrets:?}");
    }
}

#[test]
fn the_settings_file_carries_the_values() {
    let values = [
        "leaderElection.id=other.example.com",
        "leaderElection.namespace=leases",
        "leaderElection.leaseDurationSeconds=60",
        "limits.rows=2000000",
        "settings.clusterDomain=cluster.example",
        "reconcilers.database.settings.resyncSeconds=5",
        "reconcilers.database.workers=9",
        "modules.signatures.mode=required",
        "modules.signatures.keys.release=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "modules.probationSeconds=7",
        "modules.registries.allowed={ghcr.io,*.example:5000}",
        "modules.registries.plainHttp={r.example:5000}",
        "modules.registries.pullSecrets={pull}",
        "reconcilers.database.wasi=true",
        "reconcilers.database.inImage=false",
    ];
    let objects = render(&values);
    let settings = settings(&objects);
    assert_eq!((settings.product.as_str(), settings.domain.as_str()), ("doltdb-operator", "k8s.dolthub.com"));
    let election = settings.leader_election.unwrap();
    assert_eq!((election.name.as_str(), election.namespace.as_str(), election.lease_duration_seconds), ("other.example.com", "leases", 60));
    assert_eq!((settings.limits.rows, settings.limits.reads), (2_000_000, 1_000));
    assert_eq!(settings.reconcilers["database"].settings, json!({"clusterDomain": "cluster.example", "resyncSeconds": 5}));
    assert_eq!(settings.reconcilers["doltdb"].settings, json!({"clusterDomain": "cluster.example", "resyncSeconds": 30}));
    assert_eq!(settings.reconcilers["database"].workers, 9);
    let key = settings.digest_key.unwrap();
    assert_eq!((key.name.as_str(), key.namespace.as_str()), ("doltdb-operator-digest-key", NAMESPACE));
    assert_eq!((settings.modules.signatures.mode, settings.modules.probation_seconds), (SignatureMode::Required, 7));
    assert_eq!(settings.modules.signatures.keys["release"], "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
    assert_eq!(settings.modules.config_maps.unwrap().namespace, NAMESPACE);
    let registries = settings.modules.registries;
    assert_eq!(
        (registries.allowed, registries.plain_http),
        (vec!["ghcr.io".into(), "*.example:5000".into()], vec!["r.example:5000".into()])
    );
    assert_eq!((registries.pull_secrets, registries.certificate_authorities.as_str()), (vec!["pull".to_owned()], ""));
    let database = &settings.reconcilers["database"];
    assert!(database.wasi && !database.in_image && !settings.reconcilers["doltdb"].wasi && settings.reconcilers["doltdb"].in_image);
    let modules = of_kind(&objects, "Role").into_iter().find(|role| role["metadata"]["name"] == "doltdb-operator-modules").unwrap();
    assert!(rules(modules).contains("/secrets named pull: get"), "{:?}", rules(modules));
    let lease = of_kind(&objects, "Role").into_iter().find(|role| role["metadata"]["namespace"] == "leases").unwrap();
    assert!(rules(lease).contains("coordination.k8s.io/leases named other.example.com: get update watch"), "{:?}", rules(lease));
}

/// The pod's specification with defaults passes the Pod Security Standard `restricted`, and nothing but the cache can be written.
#[test]
fn the_pod_is_restricted() {
    let objects = render(&[]);
    let pod = &of_kind(&objects, "Deployment")[0]["spec"]["template"]["spec"];
    assert_eq!(pod["securityContext"], json!({"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}}));
    let expected = json!({"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}});
    assert_eq!(pod["containers"][0]["securityContext"], expected);
    let mounts: BTreeMap<_, _> = pod["containers"][0]["volumeMounts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| (m["mountPath"].as_str().unwrap(), m["readOnly"] == true))
        .collect();
    assert_eq!(mounts, BTreeMap::from([("/etc/doltdb-operator", true), ("/var/cache/doltdb-operator", false)]));
    // The host refuses a folder that others may write, as the volume's own is.
    assert_eq!(settings(&objects).modules.cache.parent(), Some(Path::new("/var/cache/doltdb-operator")));
}

#[test]
fn other_settings_are_another_pod_and_the_same_settings_are_not() {
    let annotations = |values: &[&str]| of_kind(&render(values), "Deployment")[0]["spec"]["template"]["metadata"]["annotations"].clone();
    assert_eq!(annotations(&[]), annotations(&["replicas=3", "metrics.service.enabled=false"]));
    assert_ne!(annotations(&[]), annotations(&["settings.resyncSeconds=31"]));
}

#[test]
fn replicas_have_a_disruption_budget_from_two_on() {
    assert!(of_kind(&render(&["replicas=1"]), "PodDisruptionBudget").is_empty());
    assert_eq!(of_kind(&render(&["replicas=2"]), "PodDisruptionBudget")[0]["spec"]["maxUnavailable"], 1);
    assert!(of_kind(&render(&["replicas=2", "podDisruptionBudget.enabled=false"]), "PodDisruptionBudget").is_empty());
}

/// Who may write ConfigMaps in the operator's namespace may offer modules. What these may do must not be theirs to say.
#[test]
fn grants_and_keys_are_out_of_reach_of_who_writes_config_maps() {
    let objects = render(&["installCrds=true"]);
    assert!(of_kind(&objects, "ConfigMap").is_empty());
    let volumes = &of_kind(&objects, "Deployment")[0]["spec"]["template"]["spec"]["volumes"];
    assert!(volumes.as_array().unwrap().iter().all(|volume| volume["configMap"].is_null()), "{volumes}");
}

/// A value, the object in which it shows, where, and as what. `null` is absence.
#[rstest]
#[case("replicas=3", "Deployment", "/spec/replicas", json!(3))]
#[case("image.repository=r.example:5000/x", "Deployment", "/spec/template/spec/containers/0/image", json!("r.example:5000/x:0.1.0"))]
#[case("image.tag=v9", "Deployment", "/spec/template/spec/containers/0/image", json!("ghcr.io/doltdb-operator/doltdb-operator:v9"))]
#[case("image.pullPolicy=Always", "Deployment", "/spec/template/spec/containers/0/imagePullPolicy", json!("Always"))]
#[case("imagePullSecrets[0].name=s", "Deployment", "/spec/template/spec/imagePullSecrets", json!([{"name": "s"}]))]
#[case("nameOverride=n", "Deployment", "/metadata/labels/app.kubernetes.io~1name", json!("n"))]
#[case("fullnameOverride=on", "Deployment", "/metadata/name", json!("on"))]
#[case("containerArgs={--help}", "Deployment", "/spec/template/spec/containers/0/args/5", json!("--help"))]
#[case("log.format=text", "Deployment", "/spec/template/spec/containers/0/args/3", json!("--log-format=text"))]
#[case("log.level=debug", "Deployment", "/spec/template/spec/containers/0/args/4", json!("--log-level=debug"))]
#[case("leaderElection.enabled=false", "Deployment", "/spec/strategy/type", json!("Recreate"))]
#[case("leaderElection.createRole=false,digestKey.createRole=false,modules.configMaps.enabled=false", "Role", "", json!(null))]
#[case("leaderElection.createRole=false", "Role", "/metadata/name", json!("doltdb-operator-digest-key"))]
#[case("leaderElection.createRole=false,digestKey.name=k", "Role", "/rules/0/resourceNames", json!(["k"]))]
#[case("digestKey.createRole=false,leaderElection.createRole=false,leaderElection.existingRole=r", "RoleBinding", "/roleRef/name", json!("r"))]
#[case("leaderElection.enabled=false,digestKey.createRole=false,modules.configMaps.enabled=false", "RoleBinding", "", json!(null))]
#[case("leaderElection.enabled=false", "Role", "/metadata/namespace", json!(NAMESPACE))]
#[case("serviceAccount.create=false", "ServiceAccount", "", json!(null))]
#[case("serviceAccount.create=false", "ClusterRoleBinding", "/subjects/0/name", json!("default"))]
#[case("serviceAccount.name=a", "ServiceAccount", "/metadata/name", json!("a"))]
#[case("serviceAccount.name=a", "ClusterRoleBinding", "/subjects/0/name", json!("a"))]
#[case("serviceAccount.name=a", "RoleBinding", "/subjects/0/name", json!("a"))]
#[case("serviceAccount.name=a", "Deployment", "/spec/template/spec/serviceAccountName", json!("a"))]
#[case("serviceAccount.annotations.k=v", "ServiceAccount", "/metadata/annotations", json!({"k": "v"}))]
#[case("installClusterRole=false", "ClusterRole", "", json!(null))]
#[case("installClusterRole=false", "ClusterRoleBinding", "", json!(null))]
#[case("existingClusterRole=c", "ClusterRole", "", json!(null))]
#[case("existingClusterRole=c", "ClusterRoleBinding", "/roleRef/name", json!("c"))]
#[case("deploymentAnnotations.k=v", "Deployment", "/metadata/annotations", json!({"k": "v"}))]
#[case("podAnnotations.k=v", "Deployment", "/spec/template/metadata/annotations/k", json!("v"))]
#[case("podLabels.k=v", "Deployment", "/spec/template/metadata/labels/k", json!("v"))]
#[case("podSecurityContext.runAsUser=7", "Deployment", "/spec/template/spec/securityContext/runAsUser", json!(7))]
#[case("securityContext.runAsGroup=7", "Deployment", "/spec/template/spec/containers/0/securityContext/runAsGroup", json!(7))]
#[case("resources.limits.cpu=2", "Deployment", "/spec/template/spec/containers/0/resources/limits/cpu", json!(2))]
#[case("cache.medium=Memory", "Deployment", "/spec/template/spec/volumes/1/emptyDir/medium", json!("Memory"))]
#[case("cache.sizeLimit=1Gi", "Deployment", "/spec/template/spec/volumes/1/emptyDir/sizeLimit", json!("1Gi"))]
#[case("terminationGracePeriodSeconds=7", "Deployment", "/spec/template/spec/terminationGracePeriodSeconds", json!(7))]
#[case("priorityClassName=p", "Deployment", "/spec/template/spec/priorityClassName", json!("p"))]
#[case("nodeSelector.k=v", "Deployment", "/spec/template/spec/nodeSelector", json!({"k": "v"}))]
#[case("tolerations[0].operator=Exists", "Deployment", "/spec/template/spec/tolerations", json!([{"operator": "Exists"}]))]
#[case("affinity.nodeAffinity.a=b", "Deployment", "/spec/template/spec/affinity", json!({"nodeAffinity": {"a": "b"}}))]
#[case("topologySpreadConstraints[0].maxSkew=1", "Deployment", "/spec/template/spec/topologySpreadConstraints/0/maxSkew", json!(1))]
#[case("metrics.service.enabled=false", "Service", "", json!(null))]
#[case("metrics.service.port=9", "Service", "/spec/ports/0/port", json!(9))]
#[case("metrics.service.annotations.k=v", "Service", "/metadata/annotations", json!({"k": "v"}))]
#[case("metrics.serviceMonitor.enabled=true", "ServiceMonitor", "/spec/endpoints/0/interval", json!("30s"))]
#[case("metrics.serviceMonitor.enabled=true,metrics.serviceMonitor.labels.k=v", "ServiceMonitor", "/metadata/labels/k", json!("v"))]
#[case("installCrds=true", "CustomResourceDefinition", "/metadata/annotations", json!({"helm.sh/resource-policy": "keep"}))]
#[case("installCrds=true,keepCrds=false", "CustomResourceDefinition", "/metadata/annotations/helm.sh~1resource-policy", json!(null))]
#[case("installCrds=false", "CustomResourceDefinition", "", json!(null))]
fn each_value_does_what_it_says(#[case] value: &str, #[case] kind: &str, #[case] place: &str, #[case] expected: Value) {
    let objects = render(&[value]);
    let found = of_kind(&objects, kind).first().and_then(|object| object.pointer(place)).cloned().unwrap_or(Value::Null);
    assert_eq!(found, expected, "{value} in {kind} at {place}");
}

/// Every value of the Go operator's chart, as its defaults are.
const FORMER_VALUES: &str = r#"
replicas: 1
image: {repository: ghcr.io/doltdb-operator/doltdb-operator, pullPolicy: IfNotPresent, tag: ""}
containerArgs: ["--leader-elect"]
leaderElection: {id: k8s.dolthub.com, namespace: "", createRole: true, existingRole: ""}
deploymentAnnotations: {sidecar.istio.io/inject: "false"}
imagePullSecrets: []
nameOverride: ""
fullnameOverride: ""
serviceAccount: {create: true, annotations: {}, name: ""}
podAnnotations: {}
podSecurityContext: {}
securityContext: {}
resources: {}
installCrds: false
keepCrds: true
installClusterRole: true
existingClusterRole: ""
"#;

#[test]
fn values_of_the_go_operator_are_accepted_and_its_release_can_be_upgraded() {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("former-values.yaml");
    std::fs::write(&file, FORMER_VALUES).unwrap();
    let text = helm(&["--values", file.to_str().unwrap()]).unwrap_or_else(|complaint| panic!("{complaint}"));
    let former: Vec<Value> = text.split("\n---\n").map(|object| serde_saphyr::from_str(object).unwrap()).collect();
    let former: Vec<Value> = former.into_iter().filter(|object| !object.is_null()).collect();
    let deployment = of_kind(&former, "Deployment")[0];
    let arguments = deployment["spec"]["template"]["spec"]["containers"][0]["args"].to_string();
    assert!(!arguments.contains("leader-elect"), "{arguments}");
    // What no upgrade can change is as it was: the selector, and what the bindings lead to.
    assert_eq!(deployment["metadata"]["name"], "doltdb-operator");
    let selector = json!({"matchLabels": {"app.kubernetes.io/name": "doltdb-operator", "app.kubernetes.io/instance": "doltdb-operator"}});
    assert_eq!(deployment["spec"]["selector"], selector);
    for (kind, name, role) in [
        ("ClusterRoleBinding", "doltdb-operator", "doltdb-operator"),
        ("RoleBinding", "doltdb-operator-leader-election", "doltdb-operator-leader-election"),
    ] {
        let named = of_kind(&former, kind).into_iter().find(|binding| binding["metadata"]["name"] == name);
        assert_eq!(named.unwrap_or_else(|| panic!("there is no {kind} {name}"))["roleRef"]["name"], role);
    }
    // Both stand for the same Lease: of the old operator and the new one only one works at a time.
    let election = settings(&former).leader_election.unwrap();
    assert_eq!((election.name.as_str(), election.namespace.as_str()), ("k8s.dolthub.com", NAMESPACE));
    assert_eq!(settings(&former).predecessors, ["manager"]);
    assert!(settings(&render(&["takeOver.fieldManagers=null"])).predecessors.is_empty());
}

#[rstest]
#[case::image("image.repository=ghcr.io/electronicarts/doltdb-operator", "image.repository and image.tag")]
#[case::namespaces("containerArgs={--watch-namespaces=a}", "its place now: watchNamespaces")]
#[case::workers("containerArgs={--max-doltdb-concurrent-reconciles=3}", "its place now: reconcilers.doltdb.workers")]
#[case::looks("containerArgs={--leader-elect,--requeue-sql=60s}", "its place now: settings.resyncSeconds")]
#[case::two_words("containerArgs={--metrics-bind-address,:8080}", "its place now: metrics.service")]
#[case::one_dash("containerArgs={-zap-log-level=debug}", "its place now: log.level")]
#[case::no_election("containerArgs={--leader-elect=false}", "is leaderElection.enabled now")]
fn a_value_of_the_go_operator_that_would_not_work_names_its_place_now(#[case] value: &str, #[case] expected: &str) {
    let complaint = helm(&["--set", value]).expect_err("refused");
    assert!(complaint.contains(expected), "{complaint}");
}

#[rstest]
#[case("leaderElection.id=Not_A_Name", "at '/leaderElection/id': 'Not_A_Name' does not match pattern")]
#[case("watchNamespaces={a,B}", "at '/watchNamespaces/1': 'B' does not match pattern")]
#[case("replicas=two", "at '/replicas': got string, want integer")]
#[case("image.tag=a:b", "at '/image/tag': 'a:b' does not match pattern")]
#[case("cache.sizeLimit=much", "at '/cache/sizeLimit': 'much' does not match pattern")]
#[case("log.format=xml", "at '/log/format': value must be one of 'json', 'text'")]
#[case("modules.signatures.mode=maybe", "at '/modules/signatures/mode': value must be one of 'required', 'warn', 'off'")]
#[case("modules.signatures.keys.release=short", "at '/modules/signatures/keys/release': 'short' does not match pattern")]
#[case("modules.registries.allowed={https://ghcr.io}", "at '/modules/registries/allowed/0': 'https://ghcr.io' does not match pattern")]
#[case("modules.registries.plainHttp={*}", "at '/modules/registries/plainHttp/0': '*' does not match pattern")]
#[case("modules.registries.certificateAuthorities=x", "at '/modules/registries/certificateAuthorities': 'x' does not match pattern")]
#[case("replica=2", "additional properties 'replica' not allowed")]
#[case("reconcilers.database.grant.write={a}", "at '/reconcilers/database/grant': additional properties 'write' not allowed")]
#[case(
    "reconcilers.database.grant.write={a}",
    "value must be one of 'read', 'apply', 'delete', 'label', 'secrets', 'authorities', 'generateSecrets', 'sql', 'namespaces'"
)]
#[case("reconcilers.database.grant.sql.exec={a}", "value must be one of 'read', 'write'")]
#[case(
    "reconcilers.database.grant.sql.read={a b}",
    "at '/reconcilers/database/grant/sql/read/0': 'a b' does not match pattern '^[-.a-z0-9*]+$'"
)]
#[case("reconcilers.database.grant.namespaces={Blue}", "at '/reconcilers/database/grant/namespaces/0': 'Blue' does not match pattern")]
#[case("limits.taskSeconds=0", "at '/limits/taskSeconds': minimum: got 0, want 1")]
#[case("reconcilers.database.grant.secrets={Secret/x}", "at '/reconcilers/database/grant/secrets/0': 'Secret/x' does not match pattern")]
#[case("reconcilers.database.reconciles.kind=database", "at '/reconcilers/database/reconciles/kind': 'database' does not match pattern")]
#[case("replicas=2,leaderElection.enabled=false", "replicas is 2 but leaderElection.enabled is false")]
#[case(
    "leaderElection.renewDeadlineSeconds=15",
    "retryPeriodSeconds (2) < renewDeadlineSeconds (15) < leaseDurationSeconds (15) must hold"
)]
fn a_wrong_value_is_refused_and_named(#[case] value: &str, #[case] expected: &str) {
    let complaint = helm(&["--set", value]).expect_err("refused");
    assert!(complaint.contains(expected), "{complaint}");
}
