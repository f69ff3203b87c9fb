//! Here or upstream? Weighs the places that could answer, and tries them until one begins to.

mod weigh;

use std::sync::Arc;

use hop::{Desk, Stake};
use policy::{Candidate, Excluded, Kind, Latency, Name, Placement, Rules};
use proto::v1;
use tonic::Code;
use tracing::{Instrument as _, Span, field};

use crate::actuator::{self, Actuator};
use crate::answer::{Begun, Setback};
use crate::commands::{Grammar, Match};
use crate::error::{Error, Failure};
use crate::escalate::{self, Ask, Upstreams};
use crate::local::Device;

/// What this hop is called in decisions.
pub(crate) const HOP: &str = "edge-agent";
/// What the grammar is called where the policy has no tier for it.
const COMMAND: &str = "command";

/// Everything that could answer.
#[derive(Debug)]
pub(crate) struct Places {
    /// The home's commands.
    pub(crate) grammar: Option<Grammar>,
    /// What carries them out.
    pub(crate) actuator: Arc<dyn Actuator>,
    /// The model on the device.
    pub(crate) device: Option<Device>,
    /// The tier that such a model would have.
    pub(crate) device_tier: Name,
    /// Whoever is asked when the device does not answer.
    pub(crate) upstream: Option<Upstreams>,
    /// What is decided with.
    pub(crate) desk: Desk,
    /// Places that are tried before the caller is told.
    pub(crate) attempts_max: u32,
}

/// A request that is ready to be decided.
#[derive(Debug)]
pub(crate) struct Asked {
    /// What every hop knows of it.
    pub(crate) asked: hop::Asked,
    /// The command that it is.
    pub(crate) command: Option<Match>,
}

/// One try at one place.
struct Attempt {
    /// Counted from 1.
    number: u32,
    place: Placement,
    decision: v1::Decision,
    stake: Stake,
}

// === impl Places ===

impl Places {
    /// Decides and tries until an answer begins.
    pub(crate) async fn begin(&self, mut asked: Asked) -> Result<(Begun, Stake), Error> {
        let trial = self.desk.try_out(&mut asked.asked.picked);
        match self.tries(asked).await {
            Ok((begun, stake)) => Ok((begun, stake.begun(trial))),
            Err(error) => {
                if let Some(trial) = trial.filter(|_| !error.is_the_callers()) {
                    trial.failed();
                }
                Err(error)
            }
        }
    }

    /// What failed is left out of the next decision, so that the device answers when its upstream cannot, and the other
    /// way round.
    async fn tries(&self, mut asked: Asked) -> Result<(Begun, Stake), Error> {
        let rules = asked.asked.picked.rules.clone();
        self.knows(&asked.asked, &rules)?;
        asked.asked.facts.excluded = self.left_out(&asked.asked, asked.command.as_ref(), &rules)?;
        let mut failures: Vec<Failure> = Vec::new();
        loop {
            if asked.asked.is_late() {
                return Err(Error::DeadlinePassed);
            }
            let attempt = self.decide(&mut asked, &mut failures)?;
            let span = attempt.span();
            let setback = match self.attempt(&asked, &attempt).instrument(span.clone()).await {
                Ok(begun) => return Ok((begun, attempt.stake)),
                Err(setback) => setback,
            };
            span.record("error.type", field::debug(setback.code()));
            let (failure, asked_there) = match setback {
                Setback::Final(error) => return Err(error),
                Setback::Elsewhere(failure) | Setback::Spent(failure) => (failure, true),
                Setback::Held(failure) => (failure, false),
            };
            tracing::info!(parent: &span, reason = failure.message, "an attempt failed");
            asked.asked.facts.excluded.extend(gone(&attempt, &failure, &rules));
            failures.push(failure);
            if asked_there && attempt.number >= self.attempts_max {
                return Err(Error::NoPlace { removed: Vec::new(), failures });
            }
        }
    }

    /// An error unless the only place that the request allows is one of those that the policy knows of.
    fn knows(&self, asked: &hop::Asked, rules: &Rules) -> Result<(), Error> {
        let Some(only) = &asked.facts.only_place else { return Ok(()) };
        let known = self.candidates(asked, None, rules);
        if known.iter().any(|candidate| candidate.place == *only) {
            return Ok(());
        }
        let known = known.iter().map(|candidate| candidate.place.to_string()).collect();
        Err(Error::PlaceUnknown { wanted: asked.request.only_place.clone(), known })
    }

    /// Every place for `Describe`.
    pub(crate) fn describe(&self) -> Vec<v1::PlaceDescription> {
        let place = |place: &Name, model| v1::PlaceDescription {
            place: place.to_string(),
            tier: place.to_string(),
            model,
            prediction_error: None,
        };
        let rules = self.desk.live();
        let command = self.grammar.iter().map(|_| place(&command_tier(&rules), None));
        let device = self.device.iter().map(|device| place(device.place(), Some(device.description())));
        let tiers = self.upstream.iter().flat_map(|_| escalate::tiers(&rules));
        command.chain(device).chain(tiers.map(|tier| place(&tier.place, None))).collect()
    }

    /// Every place that the policy knows of, those that cannot answer included: the decision says why not.
    fn candidates(&self, asked: &hop::Asked, heard: Option<&Match>, rules: &Rules) -> Vec<Candidate> {
        let command = command_tier(rules);
        let mut all = vec![Candidate {
            certain: heard.map(|_| 1.0),
            // Microseconds, as the word is spoken.
            latency: Some(Latency::default()),
            ..Candidate::new(command.clone(), command, Kind::Command)
        }];
        match &self.device {
            Some(device) => all.push(device.candidate()),
            None if rules.tier(self.device_tier.as_str()).is_some() => {
                all.push(Candidate::new(self.device_tier.clone(), self.device_tier.clone(), Kind::Device));
            }
            None => {}
        }
        match &self.upstream {
            Some(upstream) => all.extend(upstream.candidates(rules, asked.facts.residency.as_ref())),
            None => all.extend(escalate::tiers(rules)),
        }
        self.desk.informed(all, rules)
    }

    /// The places that are not there for this request, and why.
    fn left_out(
        &self,
        asked: &hop::Asked,
        heard: Option<&Match>,
        rules: &Rules,
    ) -> Result<Vec<Excluded>, Error> {
        let mut all = Vec::new();
        let request = &asked.request;
        let begun = request.resume.as_ref().filter(|resume| !resume.token_ids.is_empty());
        let command = match heard {
            None => Some("no command matches"),
            Some(_) if !request.model.is_empty() => Some("a model was asked for"),
            Some(_) if begun.is_some() => Some("the answer was begun by a model"),
            Some(_) => None,
        };
        all.extend(command.map(|reason| Excluded::new(command_tier(rules), reason)));
        let model = self.device.as_ref().map(Device::description);
        let here = model.as_ref().is_some_and(|model| model.name == request.model);
        let device = match &model {
            None => Some("no model is loaded"),
            Some(_) if !request.model.is_empty() && !here => Some("another model was asked for"),
            Some(model) if begun.is_some_and(|resume| resume.model_hash != model.hash) => {
                Some("the answer was begun by another model")
            }
            Some(_) => None,
        };
        all.extend(device.map(|reason| Excluded::new(self.device_tier.clone(), reason)));
        if self.upstream.is_none() && !request.model.is_empty() && !here {
            let known = model.into_iter().map(|model| model.name).collect();
            return Err(Error::ModelUnknown { wanted: request.model.clone(), known });
        }
        let upstream = match &self.upstream {
            None => Some("no upstream is configured"),
            Some(_) if here => Some("the device's model was asked for"),
            Some(_) => None,
        };
        let tiers = upstream
            .into_iter()
            .flat_map(|reason| escalate::tiers(rules).map(move |tier| Excluded::new(tier.place, reason)));
        all.extend(tiers);
        Ok(all)
    }

    /// One attempt, up to the first event that shows something of the answer.
    async fn attempt(&self, asked: &Asked, attempt: &Attempt) -> Result<Begun, Setback> {
        let hop::Asked { request, deadline, previous_attempts, .. } = &asked.asked;
        let mut request = request.clone();
        request.decisions.push(attempt.decision.clone());
        attempt.stake.bind(&mut request);
        let started = v1::Started {
            request_id: request.request_id.clone(),
            decisions: request.decisions.clone(),
            place: attempt.place.place.to_string(),
            attempt: attempt.number,
            model_hash: String::new(),
        };
        match (attempt.place.kind, &asked.command, &self.device, &self.upstream) {
            (Kind::Command, Some(command), _, _) => actuator::begin(self.actuator.as_ref(), command, started),
            (Kind::Device, _, Some(device), _) => {
                device.begin(&request, *deadline, started, *attempt.stake.price()).await
            }
            (Kind::Home | Kind::Cloud, _, _, Some(upstream)) => {
                let wanted = request.model.clone();
                let (deadline, previous, price) = (*deadline, *previous_attempts, *attempt.stake.price());
                let begun = upstream.begin(Ask { request, deadline, started, price, previous }).await;
                begun.map_err(|setback| self.and_here(&wanted, setback))
            }
            // Such a place was left out, so that no decision can have chosen it.
            _ => Err(Setback::Final(Error::NoPlace { removed: Vec::new(), failures: Vec::new() })),
        }
    }

    /// An upstream that does not know a model names those that it does; this device has one, too.
    fn and_here(&self, wanted: &str, setback: Setback) -> Setback {
        match (setback, &self.device) {
            (Setback::Final(Error::Refused { place, code: Code::NotFound, message }), Some(device))
                if !wanted.is_empty() =>
            {
                let message = format!("{message}; this device serves `{}`", device.description().name);
                Setback::Final(Error::Refused { place, code: Code::NotFound, message })
            }
            (setback, _) => setback,
        }
    }
}

// === impl Attempt ===

impl Attempt {
    fn span(&self) -> Span {
        let kind = match self.place.kind {
            Kind::Command | Kind::Device => "internal",
            Kind::Home | Kind::Cloud => "client",
        };
        tracing::info_span!(
            "attempt",
            otel.kind = kind,
            causeway.place = self.place.place.as_str(),
            causeway.attempt = self.number,
            error.type = field::Empty,
        )
    }
}

fn command_tier(rules: &Rules) -> Name {
    let tier = rules.tiers().iter().find(|tier| tier.kind == Kind::Command);
    tier.map_or_else(|| COMMAND.into(), |tier| tier.name.clone())
}

/// What a failed attempt leaves out of the next decision. The upstream chooses among all its tiers itself: when it
/// fails for one of them it has failed for all.
fn gone(attempt: &Attempt, failure: &Failure, rules: &Rules) -> Vec<Excluded> {
    let reason: Name = format!("attempt {} failed: {}", attempt.number, failure.message).into();
    match attempt.place.kind {
        Kind::Command | Kind::Device => vec![Excluded::new(attempt.place.place.clone(), reason)],
        Kind::Home | Kind::Cloud => {
            escalate::tiers(rules).map(|tier| Excluded::new(tier.place, reason.clone())).collect()
        }
    }
}
