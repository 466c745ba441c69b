//! The pure core (invariant I10): `plan(&Intent, &State, &Observed, now) -> Plan`, and `State = fold(events)`.
//!
//! No clock, no randomness, no I/O, no async: an executor observes, calls [`plan`](fn@plan), performs the actions in
//! order, appends what happened to the journal, folds it, and plans again.
//!
//! | word | type | meaning |
//! |---|---|---|
//! | intent | `Intent` | the job, validated once: package, inputs, policy |
//! | event | [`Event`] | a fact in the journal; the only thing that changes the state |
//! | observed | [`Observed`] | what the executor sees now and does not write down |
//! | action | [`Action`] | what the executor must do; leaves it no choice |
//! | outcome | [`Outcome`] | the immutable record of an incarnation's end |
//! | spare | [`event::Event::Prepared`] | an incarnation that is created before the step before it has ended |
//!
//! An executor that is started again folds the journal and goes on: [`launch_of`] and [`prepare_of`] say what created the
//! incarnations that it finds, [`progress::running`] lists those that live.

pub mod action;
#[cfg(any(test, feature = "sim"))]
pub mod builder;
pub mod check;
#[cfg(any(test, feature = "sim"))]
pub mod drive;
mod evaluate;
pub mod event;
mod fill;
mod flow;
pub mod fold;
pub mod graph;
pub mod intent;
pub mod limits;
mod link;
mod load;
mod lookahead;
pub mod observed;
pub mod path;
pub mod pinned;
pub mod plan;
mod prepare;
pub mod progress;
mod retry;
mod room;
mod scatter;
#[cfg(test)]
mod scripts;
#[cfg(any(test, feature = "sim"))]
pub mod sim;
mod spares;
pub mod state;
mod step_input;

pub use action::{Action, Plan};
pub use event::{Event, Incarnation, Outcome, Recorded, Timestamp};
pub use fold::{FoldError, fold};
pub use intent::{Intent, IntentError, OnFailure, Policy};
pub use observed::Observed;
pub use path::InstancePath;
pub use pinned::{PinnedError, PinnedJob};
pub use plan::{launch_of, plan};
pub use progress::Progress;
pub use spares::prepare_of;
pub use state::State;

#[cfg(test)]
mod tests {
    use std::path::Path;

    /// Invariant I10: what could bring a clock, randomness, files or threads into the core stays out.
    #[test]
    fn the_core_is_pure() {
        let folder = Path::new(".");
        let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap();
        let dependencies = manifest.split("[dependencies]").nth(1).unwrap().split("\n[").next().unwrap();
        let names: Vec<&str> = dependencies.lines().filter_map(|line| line.split(['.', ' ']).next()).collect();
        let names: Vec<&str> = names.into_iter().filter(|name| !name.is_empty()).collect();
        assert_eq!(names, ["indexmap", "serde", "serde_json", "thiserror", "weir-api", "weir-cwl"]);
        let mut folders = vec![folder.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                if path.is_dir() && name != "examples" {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "rs")
                    && !matches!(name.as_str(), "lib.rs" | "scripts.rs" | "tests.rs")
                {
                    let text = std::fs::read_to_string(&path).unwrap();
                    for banned in [
                        "std::fs",
                        "std::time",
                        "std::thread",
                        "std::env",
                        "std::net",
                        "std::process",
                        "async fn",
                        "HashSet",
                    ] {
                        assert!(!text.contains(banned), "{name} uses {banned}");
                    }
                }
            }
        }
    }
}
