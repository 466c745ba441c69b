//! What an executor sees at this moment and does not write down.

use std::collections::BTreeSet;

use crate::event::{Incarnation, Resources};
use crate::limits::{SPARE_CORES_MAX, SPARE_RAM_MIB_MAX};

/// The world as the executor sees it now.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Observed {
    /// Incarnations of this job that exist (a pod, a process or its leftovers), those being created included. One whose
    /// end is known but not yet in the journal still counts: a claimed incarnation that is missing here is taken for
    /// lost.
    pub present: BTreeSet<Incarnation>,
    /// Those of `present` that no `Launch` was performed for since this executor took up the job: spares, and after a
    /// restart everything that it found. One of them that is to run and is not claimed is launched (again).
    pub unlaunched: BTreeSet<Incarnation>,
    /// What this job may use, its running incarnations not subtracted.
    pub capacity: Capacity,
    /// Whether the outputs are being published. While that is so nothing can be said of the job's end: it is published, or it
    /// was stopped, but not both.
    pub is_publishing: bool,
    /// Which spares may be created ahead; `None`: none, and those that stand by are given up.
    pub lookahead: Option<Lookahead>,
}

/// What may be created ahead: it must never crowd out what runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lookahead {
    /// Cores at most.
    pub cores_max: f64,
    /// Mebibytes of memory at most.
    pub ram_mib_max: u64,
    /// Whether a step that was started still waits for its place: then those that stand by stay, and no more are created,
    /// or they would take the room that it waits for.
    pub is_held: bool,
}

impl Default for Lookahead {
    fn default() -> Self {
        Self { cores_max: SPARE_CORES_MAX, ram_mib_max: SPARE_RAM_MIB_MAX, is_held: false }
    }
}

impl Lookahead {
    /// Whether a spare may ask for that much: never for a GPU, which nobody else could use while it stands by.
    pub(crate) fn allows(self, resources: Resources) -> bool {
        resources.cores <= self.cores_max && resources.ram_mib <= self.ram_mib_max && resources.gpus == 0
    }
}

/// Bounds on what may run at once; `None` means without bound.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Capacity {
    /// Cores.
    pub cores: Option<f64>,
    /// Mebibytes of memory.
    pub ram_mib: Option<u64>,
    /// Incarnations.
    pub incarnations: Option<u32>,
}
