//! What an actor must know of its job's past besides the planner's state. Derived from the journal alone.

use std::collections::{BTreeMap, BTreeSet};

use weir_plan::event::Resources;
use weir_plan::{Event, FoldError, Incarnation, InstancePath, Intent, Recorded, State, Timestamp, fold};
use weir_store::usage::Report;

/// Derived from the events so far.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// When event 0 was written.
    pub accepted: Timestamp,
    /// When the last incarnation ended, or event 0 was written.
    pub last_end: Timestamp,
    /// Started and not ended.
    pub live: BTreeMap<Incarnation, Live>,
    /// Reserved ahead, neither started nor given up.
    pub spare: BTreeMap<Incarnation, (String, Resources)>,
    /// Ended without success: their pods are kept for people to look at.
    pub failed: BTreeSet<Incarnation>,
    /// Somebody, or a limit, asked the job to stop, be it too late.
    pub is_stopping: bool,
    /// No new step may start.
    pub is_suspended: bool,
    /// The incarnation whose failure ends the job, and its log.
    pub fatal: Option<(Incarnation, String)>,
    /// Mebibytes of memory that the last failed incarnation of an instance had asked for.
    pub asked_memory: BTreeMap<InstancePath, u64>,
    /// What the steps used.
    pub usage: Report,
}

/// An incarnation that was started and has not ended.
#[derive(Debug, Clone)]
pub(super) struct Live {
    pub instance: InstancePath,
    pub log: String,
    pub started: Timestamp,
    pub resources: Resources,
}

impl Ledger {
    /// Takes one event into the state and the ledger.
    pub fn fold(&mut self, intent: &Intent, state: &mut State, recorded: &Recorded) -> Result<(), FoldError> {
        let had_failed = state.failure().is_some();
        fold(intent, state, recorded)?;
        self.usage.observe(recorded);
        match &recorded.event {
            Event::Accepted { .. } => (self.accepted, self.last_end) = (recorded.at, recorded.at),
            Event::StartAttempt { instance, incarnation, resources, log, .. } => {
                self.spare.remove(incarnation);
                if state.is_live(*incarnation) {
                    let (instance, log, started) = (instance.clone(), log.clone(), recorded.at);
                    self.live.insert(*incarnation, Live { instance, log, started, resources: *resources });
                }
            }
            Event::Prepared { incarnation, place, resources } => {
                self.spare.insert(*incarnation, (place.clone(), *resources));
            }
            Event::Released { incarnation } => {
                self.spare.remove(incarnation);
            }
            Event::Ended { incarnation, outcome } => {
                self.last_end = recorded.at;
                let Some(live) = self.live.remove(incarnation) else { return Ok(()) };
                if outcome.failure.is_some() || outcome.outputs.is_none() {
                    self.failed.insert(*incarnation);
                    self.asked_memory.insert(live.instance, live.resources.ram_mib);
                }
                if !had_failed && state.failure().is_some() {
                    self.fatal = Some((*incarnation, live.log));
                }
            }
            Event::StopRequested { .. } => self.is_stopping = true,
            Event::Suspended => self.is_suspended = true,
            Event::Resumed => self.is_suspended = false,
            Event::Epoch { .. }
            | Event::Evaluated { .. }
            | Event::Claimed { .. }
            | Event::Committed
            | Event::Finished { .. } => {}
        }
        Ok(())
    }

    /// Incarnations that count against the tenant's allowance.
    pub fn incarnations(&self) -> u32 {
        u32::try_from(self.live.len() + self.spare.len()).unwrap_or(u32::MAX)
    }

    /// Whether the incarnation may still claim: it lives or waits to be started.
    pub fn is_awaited(&self, incarnation: Incarnation) -> bool {
        self.live.contains_key(&incarnation) || self.spare.contains_key(&incarnation)
    }
}

/// Whether the event takes up a place of the tenant's allowance.
pub(super) fn takes_room(event: &Event) -> bool {
    matches!(event, Event::StartAttempt { .. } | Event::Prepared { .. })
}
