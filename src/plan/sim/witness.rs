//! What a journal says, read without the core, and what it must never say.

use std::collections::{BTreeMap, BTreeSet};

use weir_api::FailureClass;

use super::world::Kept;
use crate::event::{Event, Incarnation, Resources};
use crate::path::InstancePath;

/// What the journal says, read without the core.
#[derive(Debug, Clone, Default)]
pub(crate) struct Facts {
    cores_max: f64,
    incarnations_max: usize,
    pub started: BTreeMap<Incarnation, (InstancePath, f64)>,
    prepared: BTreeMap<Incarnation, (String, Resources)>,
    pub released: BTreeSet<Incarnation>,
    /// Places that gave up a spare since anything was started.
    quiet: BTreeSet<String>,
    /// Spares that were started.
    pub taken: u32,
    pub ended: BTreeSet<Incarnation>,
    succeeded: BTreeSet<InstancePath>,
    pub stop: Option<FailureClass>,
    pub is_suspended: bool,
    pub is_finished: bool,
}

impl Facts {
    /// Of a job that may use so much at once.
    pub fn new(cores_max: f64, incarnations_max: usize) -> Self {
        Self { cores_max, incarnations_max, ..Self::default() }
    }

    /// Takes an event in, unless it breaks a promise.
    pub fn take(&mut self, event: &Event) -> Kept {
        match event {
            _ if self.is_finished => {}
            Event::StartAttempt { instance, incarnation, resources, .. } => {
                if self.succeeded.contains(instance) {
                    return Err(format!("`{instance}` is finished and starts again"));
                }
                let is_live = |(number, (path, _)): (&Incarnation, &(InstancePath, f64))| {
                    path == instance && !self.ended.contains(number)
                };
                if self.started.iter().any(is_live) {
                    return Err(format!("`{instance}` has an incarnation that lives and starts another"));
                }
                if self.started.insert(*incarnation, (instance.clone(), resources.cores)).is_some() {
                    return Err(format!("incarnation {} is started twice", incarnation.0));
                }
                self.quiet.clear();
                if let Some((place, size)) = self.prepared.get(incarnation) {
                    self.taken += 1;
                    if self.released.contains(incarnation) {
                        return Err(format!("spare {} was given up and is started", incarnation.0));
                    }
                    let steps: Vec<&str> = instance.0.iter().map(|segment| segment.step.as_str()).collect();
                    if *place != steps.join("/") || size != resources {
                        return Err(format!("the spare of `{place}` is started as `{instance}`"));
                    }
                }
                return self.fits();
            }
            Event::Prepared { incarnation, place, resources } => {
                let is_known = self.started.contains_key(incarnation);
                if self.prepared.insert(*incarnation, (place.clone(), *resources)).is_some() || is_known {
                    return Err(format!("incarnation {} is reserved twice", incarnation.0));
                }
                if self.quiet.contains(place) {
                    return Err(format!("a spare of `{place}` is created and given up in turn"));
                }
                if self.is_suspended || self.stop.is_some() {
                    return Err(format!("a spare of `{place}` while nothing new may start"));
                }
                return self.fits();
            }
            Event::Released { incarnation } => {
                let is_spare = self.prepared.contains_key(incarnation) && !self.started.contains_key(incarnation);
                if is_spare && self.released.insert(*incarnation) {
                    self.quiet.insert(self.prepared[incarnation].0.clone());
                }
            }
            Event::Ended { incarnation, outcome } => {
                if self.ended.insert(*incarnation)
                    && outcome.outputs.is_some()
                    && let Some((instance, _)) = self.started.get(incarnation)
                {
                    self.succeeded.insert(instance.clone());
                }
            }
            Event::StopRequested { class, .. } => self.stop = self.stop.or(Some(*class)),
            Event::Suspended => self.is_suspended = true,
            Event::Resumed => self.is_suspended = false,
            Event::Finished { .. } => {
                self.is_finished = true;
                if self.started.keys().any(|number| !self.ended.contains(number)) {
                    return Err("the job is finished while an incarnation lives".to_owned());
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// What was started and what stands by has room.
    fn fits(&self) -> Kept {
        let live = self.started.iter().filter(|(number, _)| !self.ended.contains(number)).map(|(_, (_, cores))| *cores);
        let is_spare = |number: &Incarnation| !self.released.contains(number) && !self.started.contains_key(number);
        let spares = self.prepared.iter().filter(|(number, _)| is_spare(number)).map(|(_, (_, size))| size.cores);
        let used: Vec<f64> = live.chain(spares).collect();
        let cores: f64 = used.iter().sum();
        if used.len() > 1 && cores > self.cores_max + 1e-6 {
            return Err(format!("{cores} cores are in use"));
        }
        if used.len() > self.incarnations_max {
            return Err(format!("{} incarnations at once", used.len()));
        }
        Ok(())
    }
}
