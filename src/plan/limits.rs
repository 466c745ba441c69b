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

/// Steps ahead of what lives for which spares are created. Starting a pod takes about half a second: with one level, a chain
/// of steps shorter than that waits for every second pod; with two it does not, and a third would stand by for nothing.
pub const LOOKAHEAD_LEVELS: usize = 2;

/// Cores that a spare asks for at most: what stands by must be small beside what runs.
pub const SPARE_CORES_MAX: f64 = 1.0;

/// Mebibytes of memory that a spare asks for at most.
pub const SPARE_RAM_MIB_MAX: u64 = 2048;

/// Milliseconds that a spare stands by before it is given up: longer than most steps of seconds, short enough that a step
/// of hours does not keep a second pod.
pub const SPARE_IDLE_MS_MAX: u64 = 60_000;

/// Milliseconds from `Prepared` within which a spare must be there. One that is missing later has vanished and is given up
/// rather than created again and again.
pub const SPARE_CREATION_MS_MAX: u64 = 10_000;
