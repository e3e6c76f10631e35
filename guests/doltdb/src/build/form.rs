//! In which form pods are made. An operator that makes them in a new form must not restart those that run: a StatefulSet keeps the form of its
//! template as long as nothing else in it changes.
//!
//! The form, and a digest of the template in this form, stand in an annotation of the StatefulSet. A form that was released never changes;
//! `tests/golden` holds each.

use sha2::{Digest, Sha256};
use twox_hash::XxHash3_128;

use crate::observe::Observed;

/// The forms, oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Form {
    /// The server alone. StatefulSets without the annotation have it.
    Plain,
    /// With replication, a primary that is cut off ends itself, and one that was replaced keeps what it had.
    SelfFencing,
    /// Also, there is a place for the files of AWS.
    AwsFiles,
    /// The same pods, whose digest costs next to nothing: it is worked out in each round, of some ten kilobytes.
    QuickDigest,
}

const FORMS: [(Form, &str); 4] = [(Form::Plain, "1"), (Form::SelfFencing, "2"), (Form::AwsFiles, "3"), (Form::QuickDigest, "4")];
const NEWEST: Form = Form::QuickDigest;

/// The template of the pods in the form that they should have.
pub(super) struct Template {
    /// The template, written: the scripts in it are long.
    pub(super) pods: String,
    /// The value of the StatefulSet's annotation.
    pub(super) noted: String,
    /// Whether the StatefulSet that is there has it.
    pub(super) is_there: bool,
}

pub(super) fn template(observed: &Observed, build: impl Fn(Form) -> String) -> Template {
    let noted = observed.stateful_set.as_ref().map(|set| set.body.metadata.pod_template());
    let kept = match noted {
        None => None,
        // Before there was an annotation there was one form. What it looked like is not known: it is taken for what is built now.
        Some(None) => Some((Form::Plain, None)),
        Some(Some(noted)) => {
            noted.split_once('-').and_then(|(form, digest)| Some((FORMS.iter().find(|(_, name)| *name == form)?.0, Some(digest))))
        }
    };
    if let Some((form, before)) = kept {
        let pods = build(form);
        let now = form.digest(&pods);
        if before.is_none_or(|before| before == now) {
            return Template { pods, noted: annotation(form, &now), is_there: true };
        }
    }
    let pods = build(NEWEST);
    let now = NEWEST.digest(&pods);
    Template { pods, noted: annotation(NEWEST, &now), is_there: false }
}

fn annotation(form: Form, digest: &str) -> String {
    let name = FORMS.iter().find(|(other, _)| *other == form).map_or("", |(_, name)| name);
    format!("{name}-{digest}")
}

impl Form {
    /// What tells one template of a StatefulSet from the next, in 128 bits.
    fn digest(self, template: &str) -> String {
        if self >= Self::QuickDigest {
            return format!("{:032x}", XxHash3_128::oneshot(template.as_bytes()));
        }
        let mut digest = hex::encode(Sha256::digest(template));
        digest.truncate(32);
        digest
    }
}
