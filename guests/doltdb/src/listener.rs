//! TLS for clients, one step at a time: no server offers it, all offer it, all require it.
//!
//! What runs in a pod asks the other servers by SQL, and the operator asks all of them: servers of neighbouring steps get along, those that
//! are two steps apart do not. So no pod is made that is further than one step from any that is there, whatever the spec says, and the next
//! step is taken when all pods have taken the one before.

use crds::{ListenerTls, ListenerTlsStatus};

use crate::{pod::Pods, target::Target};

/// What a server with TLS does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tls {
    /// The Secret with its certificate.
    pub(crate) secret: String,
    /// Whether it takes nothing else.
    pub(crate) required: bool,
}

const REQUIRED: &str = "required";

impl Tls {
    /// What a pod says of its server.
    pub(crate) fn of(annotation: &str) -> Option<Self> {
        let mut words = annotation.split_whitespace();
        let secret = words.next()?.to_owned();
        Some(Self { secret, required: words.next() == Some(REQUIRED) })
    }

    /// What a pod with such a server says.
    pub(crate) fn annotation(&self) -> String {
        if self.required { format!("{} {REQUIRED}", self.secret) } else { self.secret.clone() }
    }
}

/// How far a server is: 0 without TLS, 1 where it offers it, 2 where it requires it.
fn step(tls: Option<&Tls>) -> u8 {
    tls.map_or(0, |tls| 1 + u8::from(tls.required))
}

/// What pods are made with now.
pub(crate) fn next(wanted: Option<&ListenerTls>, there: &[Option<Tls>]) -> Option<Tls> {
    let wanted = wanted.map(|tls| Tls { secret: tls.secret_name.clone(), required: tls.required });
    let goal = step(wanted.as_ref());
    let steps = || there.iter().map(|tls| step(tls.as_ref()));
    let next = match (steps().min(), steps().max()) {
        (Some(least), _) if goal > least + 1 => least + 1,
        (_, Some(most)) if goal + 1 < most => most - 1,
        _ => goal,
    };
    // On the way out the spec has no Secret any more, and the pods have.
    let secret = wanted.or_else(|| there.iter().flatten().next().cloned())?.secret;
    (next > 0).then_some(Tls { secret, required: next > 1 })
}

/// What each pod does.
pub(crate) fn there(pods: &Pods) -> Vec<Option<Tls>> {
    pods.values().map(|pod| pod.body.listener_tls()).collect()
}

/// What the status says, by which everybody else knows how to reach the primary.
pub(crate) fn status(target: &Target, pods: &Pods, leader: i32) -> Option<ListenerTlsStatus> {
    if pods.is_empty() {
        return target.status.listener_tls.clone().filter(|_| target.listener_tls.is_some());
    }
    let of_leader = pods.get(&leader).and_then(|pod| pod.body.listener_tls());
    let there = there(pods);
    let secret_name = of_leader.or_else(|| there.iter().flatten().next().cloned())?.secret;
    Some(ListenerTlsStatus { secret_name, every_server: there.iter().all(Option::is_some) })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn tls(text: &str) -> Option<Tls> {
        Tls::of(text)
    }

    #[rstest]
    #[case::a_new_cluster_goes_all_the_way("new required", &[], "new required")]
    #[case::nothing_is_wanted("", &["", ""], "")]
    #[case::it_is_offered("new", &["", ""], "new")]
    #[case::it_is_offered_before_it_is_required("new required", &["", ""], "new")]
    #[case::some_offer_it("new required", &["new", ""], "new")]
    #[case::all_offer_it("new required", &["new", "new"], "new required")]
    #[case::some_require_it("new required", &["new required", "new"], "new required")]
    #[case::it_is_offered_before_it_is_gone("", &["old required", "old required"], "old")]
    #[case::some_still_require_it("", &["old", "old required"], "old")]
    #[case::none_requires_it("", &["old", "old"], "")]
    #[case::some_still_offer_it("", &["", "old"], "")]
    #[case::a_change_of_mind("new required", &["", "new"], "new")]
    #[case::too_far_apart("new required", &["", "new required"], "new")]
    #[case::too_far_apart_the_other_way("", &["", "new required"], "new")]
    #[case::another_secret("new required", &["old required", "old required"], "new required")]
    fn no_pod_is_two_steps_from_another(#[case] wanted: &str, #[case] pods: &[&str], #[case] expected: &str) {
        let wanted = tls(wanted).map(|tls| ListenerTls { secret_name: tls.secret, required: tls.required });
        let pods: Vec<Option<Tls>> = pods.iter().map(|pod| tls(pod)).collect();
        assert_eq!(next(wanted.as_ref(), &pods).map(|tls| tls.annotation()).unwrap_or_default(), expected);
    }
}
