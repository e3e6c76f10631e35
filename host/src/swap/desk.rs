//! One slot's desk: what is on offer for it, how each offer stands, and which module should run.
//!
//! Offers are a stack with the image's module at the bottom. The first from the top that is fit runs; where an offer's content was replaced
//! by something that is not fit, its former content stands in, as long as this process remembers it. Everything is decided anew from the
//! stack after each piece of news, so nothing depends on the order in which they come.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::{Duration, Instant},
};

use super::{
    offer::{Offer, Policy, Standing, names, short},
    probation,
    shadow::{Shadow, Stage, Trial},
};
use crate::{
    metrics::Metrics,
    module::{Active, Admission, Module, Modules, Offered, Refusal, Source, Tally},
};

/// What a desk hears.
pub(super) enum News {
    /// All that is on offer for the slot.
    Offers(Vec<Offer>),
    /// This process leads: from now on it decides, and tells authors.
    Lead(Stage),
}

/// An offer, and how far it has come.
struct Entry {
    offer: Offer,
    stand: Stand,
    /// The last content of this offer that was fit.
    last_good: Option<Arc<Module>>,
    /// The digest that was found fit before this process began, as long as the artifact with it is awaited.
    proved: Option<String>,
    /// Its author has taken it back and given it again: what was told of it before does not count.
    given_again: bool,
    told: Option<Standing>,
    since: Timestamp,
}

enum Stand {
    New,
    Refused(Arc<Refusal>),
    /// It may run, and has not been tried.
    Admitted(Arc<Module>),
    /// It has been tried and did not fail.
    Tried(Arc<Module>, Arc<Shadow>),
    Fit(Arc<Module>, Option<Arc<Shadow>>),
    /// It must not run any more: why, and whether its author wants it so.
    Back(String, bool),
}

/// What a task of the desk came to.
enum Done {
    Admission(Result<Arc<Module>, Arc<Refusal>>),
    Shadow(Arc<Module>, Shadow),
}

/// The time in which a new module is watched closely.
struct Probation {
    digest: String,
    until: Instant,
    /// The same for people.
    until_time: Timestamp,
    former: Tally,
}

/// A slot's desk.
pub(super) struct Desk {
    pub(super) slot: String,
    pub(super) admission: Arc<Admission>,
    pub(super) modules: Arc<Modules>,
    pub(super) metrics: Metrics,
    pub(super) telling: mpsc::UnboundedSender<(Offer, Standing)>,
    /// Whether all that needs nobody's decision has come to its end.
    pub(super) settled: watch::Sender<bool>,
    entries: Vec<Entry>,
    stage: Option<Stage>,
    heard: bool,
    /// The one task at a time, and the name of the offer that it is about.
    work: JoinSet<Done>,
    about: Option<String>,
    probation: Option<Probation>,
}

impl Desk {
    pub(super) fn new(
        slot: &str,
        admission: Arc<Admission>,
        modules: Arc<Modules>,
        metrics: Metrics,
        telling: mpsc::UnboundedSender<(Offer, Standing)>,
    ) -> Self {
        let settled = watch::Sender::new(false);
        Self {
            slot: slot.into(),
            admission,
            modules,
            metrics,
            telling,
            settled,
            entries: Vec::new(),
            stage: None,
            heard: false,
            work: JoinSet::new(),
            about: None,
            probation: None,
        }
    }

    /// Decides after each piece of news, until there will be no more.
    pub(super) async fn run(mut self, mut news: mpsc::UnboundedReceiver<News>) {
        loop {
            self.reconsider();
            let active = self.modules.active(&self.slot);
            let end = self.probation.as_ref().map(|probation| probation.until);
            tokio::select! {
                one = news.recv() => match one {
                    Some(News::Offers(offers)) => self.take_in(offers),
                    Some(News::Lead(stage)) => self.lead(stage),
                    None => return,
                },
                Some(done) = self.work.join_next() => self.done(done.ok()),
                () = trouble(active), if end.is_some() => {}
                () = tokio::time::sleep_until(end.unwrap_or_else(Instant::now)), if end.is_some() => self.probation = None,
            }
        }
    }

    fn lead(&mut self, stage: Stage) {
        self.stage = Some(stage);
        // Now authors are to hear of it.
        self.entries.iter_mut().for_each(|entry| entry.told = None);
    }

    fn take_in(&mut self, mut offers: Vec<Offer>) {
        offers.sort_by(|a, b| b.created.cmp(&a.created).then_with(|| a.name.cmp(&b.name)));
        let mut former = std::mem::take(&mut self.entries);
        for offer in offers {
            let known = former.iter().position(|entry| entry.offer.name == offer.name && entry.offer.uid == offer.uid);
            let entry = match known.map(|at| former.swap_remove(at)) {
                Some(mut entry) => {
                    if entry.becomes(offer) && self.about.as_ref() == Some(&entry.offer.name) {
                        self.give_up();
                    }
                    entry
                }
                None => Entry::new(offer),
            };
            self.entries.push(entry);
        }
        self.heard = true;
        // Those that are left are on offer no more.
        if former.iter().any(|entry| self.about.as_ref() == Some(&entry.offer.name)) {
            self.give_up();
        }
    }

    /// Nobody wants to know any more what the task comes to.
    fn give_up(&mut self) {
        self.work = JoinSet::new();
        self.about = None;
    }

    fn done(&mut self, done: Option<Done>) {
        let Some(name) = self.about.take() else { return };
        let Some(entry) = self.entries.iter_mut().find(|e| e.offer.name == name) else { return };
        let digest = entry.digest().to_owned();
        entry.stand = match done {
            Some(Done::Admission(Ok(module))) => {
                if entry.was_fit() {
                    Stand::Fit(module, None)
                } else {
                    Stand::Admitted(module)
                }
            }
            Some(Done::Admission(Err(refusal))) => Stand::Refused(refusal),
            Some(Done::Shadow(module, shadow)) => match shadow.fault() {
                Some(fault) => Stand::Refused(Arc::new(Refusal::Shadow(fault))),
                None => Stand::Tried(module, Arc::new(shadow)),
            },
            None => Stand::Refused(Arc::new(Refusal::Shadow("the check itself has failed".into()))),
        };
        if let Stand::Refused(refusal) = &entry.stand {
            tracing::warn!(slot = self.slot, offer = name, digest, reason = refusal.reason(), %refusal, "a module is refused");
            self.metrics.refused(&self.slot, refusal.reason());
        }
    }

    /// From what is known to what should be: the same however often it is asked.
    fn reconsider(&mut self) {
        self.judge();
        self.entries.iter_mut().for_each(Entry::follow_wishes);
        self.seat();
        self.begin();
        self.tell();
        if self.heard && self.restoring().is_none() {
            self.settled.send_if_modified(|settled| !std::mem::replace(settled, true));
        }
    }

    /// A module on probation that does worse than the former one goes.
    fn judge(&mut self) {
        let (Some(probation), Some(active)) = (&self.probation, self.modules.active(&self.slot)) else { return };
        if active.digest != probation.digest {
            self.probation = None;
            return;
        }
        let Some(why) = probation::verdict(active.tally(), probation.former, active.last_fault().as_deref()) else { return };
        self.probation = None;
        let Some(at) = self.entries.iter().position(|entry| entry.is_fit(&active)) else { return };
        let instead = self.entries[..].iter().enumerate().filter(|(i, _)| *i != at).find_map(|(_, entry)| entry.runs());
        let instead = self.entries[at].last_good.clone().or(instead).or_else(|| self.modules.image(&self.slot));
        match instead {
            None => {
                tracing::error!(slot = self.slot, digest = active.digest, why, "a module does badly, and there is no other for its slot")
            }
            Some(other) => {
                tracing::error!(slot = self.slot, digest = active.digest, to = other.digest, why, "a module is rolled back");
                let why = format!("{why}; back to {}", describe(&other));
                self.entries[at].stand = Stand::Back(why, false);
            }
        }
    }

    /// Makes the module that should run the active one.
    fn seat(&mut self) {
        let active = self.modules.active(&self.slot);
        let fit = self.entries.iter().find_map(|entry| entry.runs().map(|module| (module, entry)));
        let on_probation = fit.as_ref().is_some_and(|(module, entry)| {
            let fresh = matches!(&entry.stand, Stand::Fit(fit, _) if Arc::ptr_eq(fit, module));
            fresh && entry.past() != Some(Standing::ACTIVE) && entry.past() != Some(Standing::SUPERSEDED)
        });
        let wanted = fit.map(|(module, _)| module).or_else(|| self.modules.image(&self.slot));
        let back =
            self.entries.iter().any(|entry| matches!(&entry.stand, Stand::Back(..)) && active.as_ref().is_some_and(|a| entry.offered(a)));
        match (&wanted, &active) {
            (Some(wanted), Some(active)) if wanted.digest == active.digest && wanted.source == active.source => return,
            (None, None) => return,
            // It does badly, but nothing else is there.
            (None, Some(active)) if self.entries.iter().any(|entry| entry.offered(active)) => return,
            _ => {}
        }
        let former = active.as_ref().map(|active| active.tally()).unwrap_or_default();
        self.modules.promote(&self.slot, wanted.as_deref());
        let digest = wanted.as_ref().map(|module| module.digest.as_str()).unwrap_or_default();
        let before = active.as_ref().map(|active| active.digest.as_str()).unwrap_or_default();
        tracing::info!(slot = self.slot, digest, before, from = wanted.as_ref().map(|m| m.source.to_string()), "module is active");
        self.metrics.module(&self.slot, digest);
        let withdrawn = !matches!(wanted.as_ref().map(|module| &module.source), Some(Source::ConfigMap { .. }));
        let why = if back {
            "rolled_back"
        } else if withdrawn {
            "withdrawn"
        } else {
            "promoted"
        };
        self.metrics.swapped(&self.slot, why);
        self.probation = on_probation.then(|| {
            let time = Duration::from_secs(self.admission.settings().modules.probation_seconds.into());
            let until_time = Timestamp::now().checked_add(time).unwrap_or(Timestamp::MAX);
            Probation { digest: digest.into(), until: Instant::now() + time, until_time, former }
        });
        self.admission.tidy(&self.modules.digests());
    }

    /// Begins what can be done for the first offer that is not fit yet. What lies below a fit one is not looked at.
    fn begin(&mut self) {
        if self.about.is_some() {
            return;
        }
        let first = self.restoring().map(|at| &self.entries[at]);
        for entry in first.into_iter().chain(&self.entries) {
            let offer = &entry.offer;
            match (&entry.stand, &self.stage) {
                (Stand::New, _) => {
                    let Ok(content) = &offer.content else { continue };
                    let (admission, slot, parcel) = (self.admission.clone(), self.slot.clone(), content.parcel.clone());
                    let source = Source::ConfigMap { name: offer.name.clone() };
                    tracing::info!(slot, offer = offer.name, digest = content.digest, "a module is on offer");
                    self.work.spawn(async move {
                        Done::Admission(admission.from_outside(&slot, source, &parcel).await.map(Arc::new).map_err(Arc::new))
                    });
                }
                (Stand::Admitted(module), Some(stage)) => {
                    let Some(settings) = self.admission.slot(&self.slot).cloned() else { continue };
                    let (slot, stage, module) = (self.slot.clone(), stage.clone(), module.clone());
                    let active = self.modules.active(&slot);
                    self.work.spawn(async move {
                        let beside = active.as_deref().map(|active| (&active.guest, active.digest.as_str()));
                        let trial = Trial { slot: &slot, settings: &settings, stage: &stage, active: beside, candidate: &module.guest };
                        let begun = Instant::now();
                        let shadow = trial.run().await;
                        let ms = begun.elapsed().as_millis();
                        tracing::info!(slot, digest = module.digest, ms, summary = shadow.summary(), "a module was tried");
                        Done::Shadow(module, shadow)
                    });
                }
                (Stand::Fit(..), _) => return,
                _ => continue,
            }
            self.about = Some(offer.name.clone());
            return;
        }
    }

    /// The offer that ran before this process began, as long as it does not run again. It comes before all others.
    fn restoring(&self) -> Option<usize> {
        let above = self.entries.iter().take_while(|entry| !matches!(entry.stand, Stand::Fit(..)));
        above.enumerate().find(|(_, entry)| matches!(entry.stand, Stand::New) && entry.may_come_back()).map(|(at, _)| at)
    }

    /// Shows how everything stands, and tells authors what is new to them.
    fn tell(&mut self) {
        let active = self.modules.active(&self.slot);
        let mut shown = Vec::new();
        let mut candidate = None;
        for at in 0..self.entries.len() {
            let standing = self.standing(&self.entries[at], active.as_deref());
            let entry = &mut self.entries[at];
            if entry.told.as_ref() != Some(&standing) {
                entry.since = Timestamp::now();
                entry.told = Some(standing.clone());
                // Others watch what the leader tells.
                if self.stage.is_some() {
                    let _ = self.telling.send((entry.offer.clone(), standing.clone()));
                }
            }
            if matches!(standing.state, Standing::CHECKING | Standing::WAITING) {
                candidate.get_or_insert_with(|| standing.digest.clone());
            }
            let shadow = entry.shadow();
            shown.push(Offered {
                source: Source::ConfigMap { name: entry.offer.name.clone() },
                digest: standing.digest,
                state: standing.state,
                message: standing.message,
                summary: standing.summary,
                comparison: shadow.and_then(|shadow| serde_json::to_value(shadow).ok()),
                since: entry.since,
            });
        }
        self.metrics.candidate(&self.slot, candidate.as_deref());
        self.metrics.previous(&self.slot, self.modules.previous(&self.slot).map(|seat| seat.digest).as_deref());
        self.modules.offer(&self.slot, shown);
    }

    fn standing(&self, entry: &Entry, active: Option<&Active>) -> Standing {
        let runs = active.map_or_else(|| "nothing runs in the slot".to_owned(), |active| format!("{} goes on", active.source));
        let (state, reason, message) = match &entry.stand {
            Stand::New => match &entry.offer.content {
                Err(refusal) => {
                    (Standing::FETCHING, Some(refusal.reason()).filter(|r| *r != Standing::FETCHING), format!("it {refusal}; {runs}"))
                }
                Ok(_) => (Standing::CHECKING, None, "it is being checked".to_owned()),
            },
            Stand::Admitted(_) => (Standing::CHECKING, None, "it may run, and is being tried".to_owned()),
            Stand::Refused(refusal) => (Standing::REFUSED, Some(refusal.reason()), format!("it {refusal}; {runs}")),
            Stand::Tried(..) if entry.offer.wishes.policy == Policy::Approve => {
                (Standing::WAITING, None, format!("it waits for an approval of {}; {runs}", short(entry.digest())))
            }
            Stand::Tried(..) => {
                let message =
                    format!("it decides otherwise than the active module, and waits for an approval of {}; {runs}", short(entry.digest()));
                (Standing::WAITING, None, message)
            }
            Stand::Back(why, true) => (Standing::ROLLED_BACK, None, format!("{why}; {runs}")),
            Stand::Back(why, false) => (Standing::ROLLED_BACK, None, why.clone()),
            Stand::Fit(module, _) if active.is_some_and(|active| entry.is_fit(active)) => {
                let warning = module.warning.as_ref().map(|warning| format!("; {warning}")).unwrap_or_default();
                let reason = module.warning.as_ref().map(|_| "NotVouchedFor");
                let version = &module.description.version;
                match &self.probation {
                    Some(probation) => {
                        let until = probation.until_time.strftime("%H:%M:%S UTC");
                        (Standing::PROBATION, reason, format!("version {version} is active, and watched closely until {until}{warning}"))
                    }
                    None => (Standing::ACTIVE, reason, format!("version {version} is active{warning}")),
                }
            }
            Stand::Fit(..) => (Standing::SUPERSEDED, None, format!("another one comes before it; {runs}")),
        };
        let summary = entry.shadow().map(|shadow| shadow.summary());
        Standing { state, reason, message, digest: entry.digest().to_owned(), summary }
    }
}

impl Entry {
    fn new(offer: Offer) -> Self {
        let mut entry =
            Self { offer, stand: Stand::New, last_good: None, proved: None, given_again: false, told: None, since: Timestamp::now() };
        if entry.awaited().is_some() {
            entry.proved = entry.offer.past.as_ref().filter(|past| is_fit(&past.state)).map(|past| past.digest.clone());
        }
        entry
    }

    /// Why its artifact is not here yet.
    fn awaited(&self) -> Option<&Refusal> {
        self.offer.content.as_ref().err().map(Arc::as_ref).filter(|refusal| refusal.is_awaited())
    }

    /// Takes in another version of the offering object, and says whether there is another module in it.
    fn becomes(&mut self, offer: Offer) -> bool {
        let same = match (&self.offer.content, &offer.content) {
            (Ok(old), Ok(new)) => {
                (&old.digest, &old.parcel.announced, &old.parcel.signature) == (&new.digest, &new.parcel.announced, &new.parcel.signature)
            }
            (Err(old), Err(new)) => old.to_string() == new.to_string(),
            _ => false,
        };
        if self.awaited().is_none() {
            self.proved = None;
        }
        self.offer = offer;
        if !same {
            self.given_again = false;
            if let Stand::Fit(module, _) = std::mem::replace(&mut self.stand, Stand::New) {
                self.last_good = Some(module);
            }
        }
        !same
    }

    fn digest(&self) -> &str {
        self.offer.content.as_ref().map(|content| content.digest.as_str()).unwrap_or_default()
    }

    /// What was told of this content before.
    fn past(&self) -> Option<&str> {
        self.offer.past.as_ref().filter(|past| !self.given_again && past.digest == self.digest()).map(|past| past.state.as_str())
    }

    /// Whether this content was found fit before, by this process or another.
    fn was_fit(&self) -> bool {
        let proved = self.proved.as_deref().is_some_and(|digest| !digest.is_empty() && digest == self.digest());
        self.past().is_some_and(is_fit) || proved && self.past().is_none()
    }

    /// Whether what ran before is about to run again by itself. Nobody waits for a registry that does not answer.
    fn may_come_back(&self) -> bool {
        self.was_fit() || self.proved.is_some() && matches!(self.awaited(), Some(Refusal::Fetching { trouble: None, .. }))
    }

    /// Where its author's wishes, or the past, decide, they do.
    fn follow_wishes(&mut self) {
        let wishes = self.offer.wishes.clone();
        let unwanted = names(wishes.rollback.as_deref(), self.digest());
        let next = match &self.stand {
            Stand::New => match &self.offer.content {
                Err(refusal) if refusal.is_awaited() => return,
                Err(refusal) => Stand::Refused(refusal.clone()),
                Ok(_) if unwanted => Stand::Back("its author wants it so".into(), true),
                Ok(_) if self.past() == Some(Standing::ROLLED_BACK) => {
                    Stand::Back(self.offer.past.as_ref().map(|past| past.message.clone()).unwrap_or_default(), false)
                }
                Ok(_) => return,
            },
            Stand::Back(_, true) if !unwanted => {
                self.given_again = true;
                Stand::New
            }
            Stand::Back(..) | Stand::Refused(_) => return,
            _ if unwanted => Stand::Back("its author wants it so".into(), true),
            Stand::Tried(module, shadow) => {
                let approved = names(wishes.approved.as_deref(), self.digest());
                let promoted = match wishes.policy {
                    Policy::Always => true,
                    Policy::Equal => approved || shadow.is_equal(),
                    Policy::Approve => approved,
                };
                if !promoted {
                    return;
                }
                Stand::Fit(module.clone(), Some(shadow.clone()))
            }
            Stand::Admitted(_) | Stand::Fit(..) => return,
        };
        self.stand = next;
    }

    /// The module that runs if nothing comes before this offer.
    fn runs(&self) -> Option<Arc<Module>> {
        match &self.stand {
            Stand::Fit(module, _) => Some(module.clone()),
            _ => self.last_good.clone(),
        }
    }

    fn is_fit(&self, active: &Active) -> bool {
        matches!(&self.stand, Stand::Fit(module, _) if module.digest == active.digest && module.source == active.source)
    }

    /// Whether what runs came from here.
    fn offered(&self, active: &Active) -> bool {
        matches!(&active.source, Source::ConfigMap { name } if *name == self.offer.name)
    }

    fn shadow(&self) -> Option<&Shadow> {
        match &self.stand {
            Stand::Tried(_, shadow) | Stand::Fit(_, Some(shadow)) => Some(shadow),
            _ => None,
        }
    }
}

/// Whether a state is that of a module that was found fit.
fn is_fit(state: &str) -> bool {
    matches!(state, Standing::ACTIVE | Standing::PROBATION | Standing::SUPERSEDED)
}

fn describe(module: &Module) -> String {
    format!("version {} ({}) of {}", module.description.version, short(&module.digest), module.source)
}

/// Ready when a round of the active module has not ended well.
async fn trouble(active: Option<Arc<Active>>) {
    match active {
        Some(active) => active.trouble().await,
        None => std::future::pending().await,
    }
}
