//! A seeded world that tries to break the core: random workflows, an executor whose messages are lost, repeated and
//! reordered, leaders that die (some of them after every event) or are stale, pods that vanish or come back as zombies,
//! spares that are created late or never.
//!
//! One seed is one story: it decides the package, its inputs, the policy and everything that goes wrong. What must hold:
//! the [checker](crate::check) finds nothing at any step, a restart folds the journal to the state that was lost, no claim
//! runs its tool twice, no spare runs before its start, no finished instance runs again, every job ends, and its outputs are those of the
//! [oracle](oracle), which evaluates the workflow by plain recursion.

mod generate;
mod oracle;
mod random;
#[cfg(test)]
mod tests;
mod tool;
mod witness;
mod world;

pub use generate::{Case, case};
pub use oracle::expected;
pub use random::Random;
pub use world::{Planner, Story, tell};
