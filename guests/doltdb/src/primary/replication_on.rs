//! The server that was alone becomes the primary of the others that have come.
//!
//! Nobody but it has taken writes, and that stands in the status before it is restarted. So no data are compared: what volumes of earlier times
//! hold does not count, nor does the role that its own volume remembers.

use sdk::{Severity, Verdict};

use super::{
    Reason, Situation, Step, Transition,
    switchover::{QUICKLY, promote},
};
use crate::form::FIRST;

/// What the status says as long as the server is alone.
pub(super) fn announced(s: &Situation<'_>) -> Step {
    let stands = Transition::of(s.target).filter(|t| t.reason == Reason::ReplicationOn && t.epoch >= s.next_epoch());
    let announced = || Transition {
        reason: Reason::ReplicationOn,
        from: FIRST,
        to: FIRST,
        epoch: s.next_epoch(),
        since: s.world.now(),
        stopped: None,
        failures: 0,
        fencing: None,
    };
    Step { transition: Some(stands.unwrap_or_else(announced)), ..Step::default() }
}

/// It has been restarted, and its volume remembers another role than that of a primary.
pub(super) fn restarted(s: &Situation<'_>, transition: Transition) -> Step {
    let name = s.pod_name(FIRST);
    if s.server(FIRST).is_none() {
        let message = format!("{name} starts with the configuration of a cluster");
        return Step {
            verdict: Some((Verdict::no("ReplicationOn", message.clone()), false)),
            leaderless: Some(message),
            transition: Some(transition),
            look_again: Some(QUICKLY),
            ..Step::default()
        };
    }
    let message = format!("{name} becomes the primary of the others");
    Step {
        verdict: Some((Verdict::no("ReplicationOn", message.clone()), false)),
        leaderless: Some(message),
        ..promote(s, Transition { epoch: s.epoch_for(FIRST), ..transition })
    }
}

/// It is primary.
pub(super) fn finished(s: &Situation<'_>, leader: i32) -> Step {
    let message = format!("Replication is on: {} is primary, and sends the others what it has", s.pod_name(leader));
    Step {
        verdict: Some((Verdict::yes("ReplicationOn", message.clone()), false)),
        events: vec![(Severity::Normal, "ReplicationOn", "TurnReplication", message)],
        ..Step::default()
    }
}
