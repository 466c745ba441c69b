//! What may run at once.

use crate::event::Resources;
use crate::intent::Intent;
use crate::observed::Observed;
use crate::state::State;

/// What is left of the capacity.
pub(crate) struct Room {
    cores: f64,
    ram_mib: u64,
    incarnations: u32,
    is_empty: bool,
}

impl Room {
    pub fn new(intent: &Intent, state: &State, observed: &Observed) -> Self {
        let capacity = observed.capacity;
        let incarnations = capacity.incarnations.unwrap_or(u32::MAX).min(intent.policy.parallelism);
        let mut room = Self {
            cores: capacity.cores.unwrap_or(f64::INFINITY),
            ram_mib: capacity.ram_mib.unwrap_or(u64::MAX),
            incarnations,
            is_empty: true,
        };
        for live in state.live.values() {
            room.take(live.resources);
        }
        room
    }

    fn take(&mut self, resources: Resources) {
        self.cores -= resources.cores;
        self.ram_mib = self.ram_mib.saturating_sub(resources.ram_mib);
        self.incarnations = self.incarnations.saturating_sub(1);
        self.is_empty = false;
    }

    /// Takes the room if there is some. A step beyond the whole capacity runs alone rather than never.
    pub fn admit(&mut self, resources: Resources) -> bool {
        // Where others of the tenant use every incarnation, not even a first one may start.
        let is_admitted = (self.is_empty && self.incarnations > 0) || self.fits(resources);
        if is_admitted {
            self.take(resources);
        }
        is_admitted
    }

    /// The same for a spare, which never runs alone.
    pub fn admit_beside(&mut self, resources: Resources) -> bool {
        let fits = self.fits(resources);
        if fits {
            self.take(resources);
        }
        fits
    }

    fn fits(&self, resources: Resources) -> bool {
        // Sums of fractions such as 0.1 are not exact.
        resources.cores <= self.cores + 1e-6 && resources.ram_mib <= self.ram_mib && self.incarnations > 0
    }
}
