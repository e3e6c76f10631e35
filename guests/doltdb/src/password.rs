//! The administrator's password changes: the new one stands in the Secret, the former one beside it as long as a server knows only that one.
//!
//! The operator comes in by this very account, so it needs the former password for the last thing that is done with it. Only the primary is told:
//! accounts are replicated. No pod is restarted: the probes of a running pod, which have the password of its start, take it for an answer
//! when a server refuses it.

use crds::names;
use dolt::{READ_DEADLINE, WRITE_DEADLINE};
use sdk::{Execution, Failure, Guard, Query, RowsExt, Value, Verdict, World, reference, secret, sql, value};
use serde_json::Value as Json;

use crate::{build, observe::Observed, roles::Leadership, target::Target, update::is_current};

/// Pods have to be replaced before the password can be changed.
pub(crate) const WAITING_FOR_PODS: &str = "WaitingForPods";

/// What is done about the password.
#[derive(Debug)]
pub(crate) enum Change {
    /// There is no former password.
    None,
    /// Every server that was asked knows the new one.
    Done,
    /// The primary is told now.
    Now(Box<Execution>),
    /// First something else has to happen.
    Wait(&'static str, String),
}

/// What is to be done.
///
/// # Errors
/// When the host cannot answer.
pub(crate) fn change(world: &dyn World, target: &Target, observed: &Observed, leadership: &Leadership) -> Result<Change, Failure> {
    let Some(former) = &observed.former_password else { return Ok(Change::None) };
    let Some(first) = former.known_by.first() else {
        let unasked = || Change::Wait("WaitingForServers", "not every server has answered yet".to_owned());
        return Ok(if former.all_answer { Change::Done } else { unasked() });
    };
    let primary = match leadership {
        Leadership::One(leader) if target.replication.enabled => *leader,
        _ if target.replication.enabled => return Ok(Change::Wait("WaitingForPrimary", "no server is primary".to_owned())),
        // Each server without replication has accounts of its own.
        _ => *first,
    };
    if !former.known_by.contains(&primary) {
        return Ok(Change::Wait("Replicating", format!("{} hears of it from the primary", target.pod(*first))));
    }
    if let Some(pod) = probes_with_password(world, target, observed)? {
        let message = format!(
            "the probes of {pod}, which was made by an earlier operator, need the password of its start and would restart it: \
             it has to be replaced first, as with any change of the DoltDB that its pods see"
        );
        return Ok(Change::Wait(WAITING_FOR_PODS, message));
    }
    let endpoint = target.servers.with_previous_password().pod(primary);
    let question = Query {
        endpoint: endpoint.clone(),
        database: None,
        statements: vec![sql!("SELECT CURRENT_USER()")],
        deadline: READ_DEADLINE,
        max_rows: 1,
    };
    let account = world.query_one(question).ok().and_then(|answers| Some(answers.first()?.cell(0, 0).ok()??.text().ok()?.to_owned()));
    let Some((name, host)) = account.as_deref().and_then(|account| account.rsplit_once('@')) else {
        return Ok(Change::Wait("WaitingForPrimary", format!("{} does not say who comes in", target.pod(primary))));
    };
    let new = secret(target.namespace(), names::credentials_secret(target.name()), names::ADMIN_PASSWORD_KEY);
    let guard = target
        .replication
        .enabled
        .then(|| Guard { statement: sql!("SELECT @@global.dolt_cluster_role"), expected: vec![Value::Text("primary".to_owned())] });
    Ok(Change::Now(Box::new(Execution {
        endpoint,
        database: None,
        guard,
        statements: vec![sql!("ALTER USER ?@? IDENTIFIED BY ?", value(name), value(host), new)],
        deadline: WRITE_DEADLINE,
    })))
}

/// The condition `PasswordChanged`, where there is something to say.
pub(crate) fn verdict(change: &Change, target: &Target, said_before: bool) -> Option<Verdict> {
    let secret = names::credentials_secret(target.name());
    let key = names::ADMIN_PREVIOUS_PASSWORD_KEY;
    match change {
        Change::None => said_before.then(|| Verdict::yes("PasswordChanged", "The password is the one of the Secret")),
        Change::Done => Some(Verdict::yes(
            "PasswordChanged",
            format!("Every server knows the password of Secret \"{secret}\": its key \"{key}\" can go"),
        )),
        Change::Now(_) => Some(Verdict::no("ChangingPassword", format!("The admin's password becomes the new one of Secret \"{secret}\""))),
        Change::Wait(reason, why) => Some(Verdict::no(reason, format!("The admin's password is not the new one on every server: {why}"))),
    }
}

/// A pod whose probes fail once its password has changed.
fn probes_with_password(world: &dyn World, target: &Target, observed: &Observed) -> Result<Option<String>, Failure> {
    if let Some(old) = observed.pods.keys().find(|ordinal| !is_current(target, observed, **ordinal)) {
        return Ok(Some(target.pod(*old)));
    }
    let object = reference("apps/v1", "StatefulSet", target.namespace(), &names::stateful_set(target.name()));
    let set = world.get_as::<Json>(&object, &["/spec/template/spec/containers"])?;
    let probe = set.as_ref().and_then(|set| set.body.pointer("/spec/template/spec/containers/0/livenessProbe/exec/command"));
    let knows = probe.is_some_and(|command| command.to_string().contains(build::REFUSED));
    Ok(if knows { None } else { observed.pods.keys().next().map(|ordinal| target.pod(*ordinal)) })
}
