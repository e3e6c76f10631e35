//! Reconciler of Backup: copies the databases of a DoltDB from its primary to a place outside of them, one after the other, and once.
//!
//! Each copy is a task beside the queue. The status says how far it is; what a task was doing when the operator stopped is begun again, and Dolt
//! copies only what is not there yet.

mod copy;
mod environment;
mod round;
mod tell;
mod turn;

use crds::{API_VERSION, Backup, BackupPhase};
use sdk::{Description, Failure, Permission, Plan, Reconciler, Request, Typed, World, kind};

/// Reconciles Backup.
#[derive(Debug, Clone, Copy)]
pub struct BackupReconciler;

sdk::export!(crate::BackupReconciler);

impl Reconciler for BackupReconciler {
    fn describe() -> Description {
        let own = kind(API_VERSION, Backup::KIND);
        let mut permissions = dolt::permissions();
        permissions.push(Permission::Read(own.clone()));
        Description {
            name: "backup".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            reconciles: own,
            permissions,
            settings_schema: dolt::SETTINGS_SCHEMA.to_owned(),
        }
    }

    fn reconcile(world: &dyn World, request: &Request) -> Result<Plan, Failure> {
        let backup: Typed<Backup> = request.object_as()?;
        let ended = matches!(backup.body.status.phase, Some(BackupPhase::Completed | BackupPhase::Failed));
        if ended || backup.header.deleting {
            // A task ends with its object.
            return Ok(Plan::new());
        }
        round::Round::new(world, request, &backup)?.go()
    }
}
