//! Limits of the core beside those of `weir_api::limits` (invariant I7).

/// Step instances of one job, nested ones included. About 400 bytes each.
pub const INSTANCES_MAX: usize = 1_000_000;

/// Evaluations and loads that one plan asks for; the rest follows when these are done.
pub const EVALUATIONS_PER_PLAN_MAX: usize = 64;

/// Incarnations that one plan starts; the rest follows in the next one.
pub const STARTS_PER_PLAN_MAX: usize = 256;

/// Static places of one package after expansion. A workflow that uses two others twice each doubles at every level; this
/// stops it before the memory does.
pub const PLACES_MAX: usize = 100_000;
