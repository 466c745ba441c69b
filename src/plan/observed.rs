//! What an executor sees at this moment and does not write down.

use std::collections::BTreeSet;

use crate::event::Incarnation;

/// The world as the executor sees it now.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Observed {
    /// Incarnations of this job that exist (a pod, a process or its leftovers), those being created included. One whose
    /// end is known but not yet in the journal still counts: a claimed incarnation that is missing here is taken for
    /// lost.
    pub present: BTreeSet<Incarnation>,
    /// What this job may use, its running incarnations not subtracted.
    pub capacity: Capacity,
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
