//! Every name that the operator gives or expects: labels, annotations, finalizers, children, DNS. Changing one orphans
//! what runs under the old one. `n` is always the DoltDB's name. Knows nothing of what the objects hold.
//!
//! They are made in every round: putting texts together takes a fraction of the time that formatting them does.

/// The one selector label; its value is the DoltDB's name.
pub const LABEL_NAME: &str = "app.kubernetes.io/name";
/// Engine version; left out when it is empty.
pub const LABEL_VERSION: &str = "app.kubernetes.io/version";
/// Role of a pod: [`ROLE_PRIMARY`] or [`ROLE_STANDBY`].
pub const LABEL_CLUSTER_ROLE: &str = "k8s.dolthub.com/cluster-role";
/// Pod name, set by the StatefulSet controller; the primary Service selects by it.
pub const LABEL_POD_NAME: &str = "statefulset.kubernetes.io/pod-name";
/// Purpose of a PersistentVolumeClaim, [`PVC_ROLE_DATA`].
pub const LABEL_PVC_ROLE: &str = "pvc.k8s.dolthub.com/role";
/// A Secret with this label, whatever its value, is watched for changes.
pub const LABEL_WATCH: &str = "k8s.dolthub.com/watch";
/// On a Backup: the BackupSchedule that made it.
pub const LABEL_BACKUP_SCHEDULE: &str = "k8s.dolthub.com/backup-schedule";
/// On a Backup of a BackupSchedule that keeps several copies: which of them it makes, from 1.
pub const LABEL_BACKUP_COPY: &str = "k8s.dolthub.com/backup-copy";
/// On a User: which account of which DoltDB it is about, as a digest. Users of one account have the same.
pub const LABEL_ACCOUNT: &str = "k8s.dolthub.com/account";
/// On a Database: which database of which DoltDB it is about, as a digest. Databases about one have the same.
pub const LABEL_DATABASE: &str = "k8s.dolthub.com/database";
/// On a VolumeSnapshot, and on the CronJobs that the original made: the DoltDB.
pub const LABEL_PART_OF: &str = "app.kubernetes.io/part-of";
/// On a VolumeSnapshot, and on the CronJobs that the original made: the Snapshot.
pub const LABEL_MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// On a VolumeSnapshot: the set that it belongs to, by the seconds since 1970 at which it was taken. The role of the volume's server then is in
/// [`LABEL_CLUSTER_ROLE`].
pub const LABEL_SNAPSHOT_SET: &str = "k8s.dolthub.com/snapshot-set";

/// Value of [`LABEL_CLUSTER_ROLE`] on the pod that takes writes.
pub const ROLE_PRIMARY: &str = "primary";
/// Value of [`LABEL_CLUSTER_ROLE`] on the others.
pub const ROLE_STANDBY: &str = "standby";
/// Value of [`LABEL_PVC_ROLE`], and name of the claim template.
pub const PVC_ROLE_DATA: &str = "dolt-data";

/// The container with the server.
pub const SERVER_CONTAINER: &str = "dolt";

/// On pods and StatefulSet: the DoltDB they belong to.
pub const ANNOTATION_DOLTDB: &str = "k8s.dolthub.com/doltdb";
/// On pods and StatefulSet: `"true"` or `"false"`.
pub const ANNOTATION_REPLICATION: &str = "k8s.dolthub.com/replication";
/// On the pod template: digest of the configuration, so that a change of it restarts pods.
pub const ANNOTATION_CONFIG_HASH: &str = "k8s.dolthub.com/configmap-hash";
/// On the StatefulSet: in which form the template of its pods was made, and a digest of it.
pub const ANNOTATION_POD_TEMPLATE: &str = "k8s.dolthub.com/pod-template";
/// On a pod: its server ends itself when it is primary and cut off, at the latest after this time.
pub const ANNOTATION_SELF_FENCING: &str = "k8s.dolthub.com/self-fencing";
/// Of a pod: the Secret by which its server offers clients TLS, and `required` after it where it takes nothing else.
pub const ANNOTATION_LISTENER_TLS: &str = "k8s.dolthub.com/listener-tls";

/// On a VolumeSnapshot: the epoch of the replication when it was taken.
pub const ANNOTATION_EPOCH: &str = "k8s.dolthub.com/replication-epoch";

/// On a DoltDB: the pod that should become primary now, by name. Each new value is acted upon once.
pub const ANNOTATION_SWITCHOVER: &str = "k8s.dolthub.com/switchover-to";
/// On a DoltDB: `<pod>@<epoch>` makes this pod primary although data that others have may be lost. Valid for that epoch only.
pub const ANNOTATION_PROMOTE: &str = "k8s.dolthub.com/promote";

/// Finalizer of Database.
pub const FINALIZER_DATABASE: &str = "database.k8s.dolthub.com/finalizer";
/// Finalizer of User.
pub const FINALIZER_USER: &str = "user.k8s.dolthub.com/finalizer";
/// Finalizer of Grant.
pub const FINALIZER_GRANT: &str = "grant.k8s.dolthub.com/finalizer";

/// Key of the admin's name in the credentials Secret.
pub const ADMIN_USER_KEY: &str = "admin-user";
/// Key of the admin's password in the credentials Secret.
pub const ADMIN_PASSWORD_KEY: &str = "admin-password";
/// Key of that Secret with the password that servers may still know, while it is being changed.
pub const ADMIN_PREVIOUS_PASSWORD_KEY: &str = "admin-password-previous";
/// Key of a Secret with the certificates of an authority, as cert-manager makes it.
pub const CA_CERTIFICATE_KEY: &str = "ca.crt";
/// DNS domain of a cluster that was set up with the default one.
pub const DEFAULT_CLUSTER_DOMAIN: &str = "cluster.local";

/// StatefulSet.
pub fn stateful_set(n: &str) -> String {
    n.into()
}

/// Pod of an ordinal.
pub fn pod(n: &str, ordinal: i32) -> String {
    [n, "-", &ordinal.to_string()].concat()
}

/// Ordinal of a pod: the number after the last dash.
pub fn ordinal(pod: &str) -> Option<i32> {
    pod.rsplit_once('-')?.1.parse().ok()
}

/// ConfigMap with one key for each ordinal.
pub fn config_map(n: &str) -> String {
    [n, "-config"].concat()
}

/// Key of an ordinal's configuration in the ConfigMap.
pub fn config_key(n: &str, ordinal: i32) -> String {
    [n, "-", &ordinal.to_string(), ".yaml"].concat()
}

/// Headless Service that gives each pod a DNS name.
pub fn internal_service(n: &str) -> String {
    [n, "-internal"].concat()
}

/// Service of a DoltDB without replication.
pub fn standalone_service(n: &str) -> String {
    n.into()
}

/// Service that leads to the primary, with replication.
pub fn primary_service(n: &str) -> String {
    [n, "-primary"].concat()
}

/// Service that leads to the standbys, with replication.
pub fn reader_service(n: &str) -> String {
    [n, "-reader"].concat()
}

/// PodDisruptionBudget.
pub fn pod_disruption_budget(n: &str) -> String {
    [n, "-pdb"].concat()
}

/// Secret with the admin's credentials. The user makes it, the operator never does.
pub fn credentials_secret(n: &str) -> String {
    [n, "-credentials"].concat()
}

/// Secret with the files `credentials` and `config` of AWS, for backups. The user makes it, the operator never reads it.
pub fn aws_secret(n: &str) -> String {
    [n, "-aws"].concat()
}

/// PersistentVolumeClaim of an ordinal.
pub fn data_claim(n: &str, ordinal: i32) -> String {
    format!("{PVC_ROLE_DATA}-{n}-{ordinal}")
}

/// ClusterRoleBinding that the original made for a DoltDB. Cluster-scoped, so nothing collects it: a name to clean up.
pub fn auth_delegator_binding(n: &str, namespace: &str, uid: &str) -> String {
    let first = uid.split('-').next().unwrap_or_default();
    format!("{n}-{namespace}-{first}:auth-delegator")
}

/// VolumeSnapshot of a claim, taken at a time.
pub fn volume_snapshot(claim: &str, unix_seconds: u64) -> String {
    format!("{claim}-{unix_seconds}")
}

/// Backup made by a schedule at a time.
pub fn scheduled_backup(schedule: &str, unix_seconds: i64) -> String {
    format!("{schedule}-{unix_seconds}")
}

/// Host name of a Service.
pub fn service_host(service: &str, namespace: &str, domain: &str) -> String {
    [service, ".", namespace, ".svc.", domain].concat()
}

/// Full host name of a pod.
pub fn pod_host(n: &str, ordinal: i32, namespace: &str, domain: &str) -> String {
    [&pod_short_host(n, ordinal, namespace), ".svc.", domain].concat()
}

/// Short host name of a pod, as it stands in the servers' configuration.
pub fn pod_short_host(n: &str, ordinal: i32, namespace: &str) -> String {
    [n, "-", &ordinal.to_string(), ".", n, "-internal.", namespace].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_of_a_doltdb() {
        let names = [
            stateful_set("my-dolt"),
            pod("my-dolt", 1),
            config_map("my-dolt"),
            config_key("my-dolt", 1),
            internal_service("my-dolt"),
            standalone_service("my-dolt"),
            primary_service("my-dolt"),
            reader_service("my-dolt"),
            pod_disruption_budget("my-dolt"),
            credentials_secret("my-dolt"),
            aws_secret("my-dolt"),
            data_claim("my-dolt", 1),
            auth_delegator_binding("my-dolt", "ns", "1a2b3c4d-1111-2222"),
            volume_snapshot("dolt-data-my-dolt-1", 1_764_288_000),
            scheduled_backup("nightly", 1_700_000_000),
            service_host("my-dolt-primary", "ns", DEFAULT_CLUSTER_DOMAIN),
            pod_host("my-dolt", 1, "ns", DEFAULT_CLUSTER_DOMAIN),
            pod_short_host("my-dolt", 1, "ns"),
        ];
        assert_eq!(
            names,
            [
                "my-dolt",
                "my-dolt-1",
                "my-dolt-config",
                "my-dolt-1.yaml",
                "my-dolt-internal",
                "my-dolt",
                "my-dolt-primary",
                "my-dolt-reader",
                "my-dolt-pdb",
                "my-dolt-credentials",
                "my-dolt-aws",
                "dolt-data-my-dolt-1",
                "my-dolt-ns-1a2b3c4d:auth-delegator",
                "dolt-data-my-dolt-1-1764288000",
                "nightly-1700000000",
                "my-dolt-primary.ns.svc.cluster.local",
                "my-dolt-1.my-dolt-internal.ns.svc.cluster.local",
                "my-dolt-1.my-dolt-internal.ns",
            ]
        );
    }

    #[test]
    fn ordinal_is_the_number_after_the_last_dash() {
        assert_eq!(ordinal("my-dolt-12"), Some(12));
        assert_eq!(ordinal("my-dolt-x"), None);
        assert_eq!(ordinal("mydolt"), None);
    }
}
