//! API types of group `k8s.dolthub.com/v1alpha`: one file for each kind, the names of everything that belongs to a
//! DoltDB, and (feature `generate`) the CustomResourceDefinitions made from them.
//!
//! The types decode what an API server may hold, odd values included: what is missing gets its default, what cannot be
//! read (a duration, say) stays a string until somebody asks for it and then gives a [`FieldError`] that names the field.
//! This crate knows neither how an object is reconciled nor how it is fetched.

mod backup;
mod backup_schedule;
mod core_types;
mod database;
mod doltdb;
mod duration;
#[cfg(feature = "generate")]
pub mod generate;
mod grant;
pub mod names;
mod object;
mod quantity;
mod shared;
mod snapshot;
mod user;

pub use backup::{
    Backup, BackupPhase, BackupSpec, BackupStatus, BackupStorage, BranchHead, DatabaseBackup, DatabasePhase, DoltHubStorage, LocalStorage,
    S3Storage,
};
pub use backup_schedule::{BackupSchedule, BackupScheduleSpec, BackupScheduleStatus};
pub use core_types::{
    Affinity, EnvVar, LocalObjectReference, PodSecurityContext, Probe, ProbeTiming, ResourceRequirements, SecurityContext, Toleration,
    TopologySpreadConstraint,
};
pub use database::{Database, DatabaseSpec, DatabaseStatus};
pub use doltdb::*;
pub use duration::parse_duration;
pub use grant::{Grant, GrantSpec, GrantStatus, Granted};
pub use object::{Kind, Object, ObjectMeta, OwnerReference};
pub use quantity::{IntOrString, Quantity};
pub use shared::{CleanupPolicy, Condition, ConditionStatus, DoltDBRef, FieldError, SecretKeySelector, SqlTemplate};
pub use snapshot::{SetMember, Snapshot, SnapshotRetention, SnapshotSet, SnapshotSpec, SnapshotStatus};
pub use user::{PasswordStatus, User, UserSpec, UserStatus};

/// API group of all kinds.
pub const GROUP: &str = "k8s.dolthub.com";
/// The one version, served and stored. Not `v1alpha1`.
pub const VERSION: &str = "v1alpha";
/// `apiVersion` of all kinds.
pub const API_VERSION: &str = "k8s.dolthub.com/v1alpha";
