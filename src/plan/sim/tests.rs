//! Thousands of stories, and the proof that the checks would notice.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use weir_api::Phase;

use super::{Planner, tell};
use crate::action::{Action, Plan};
use crate::event::{Event, Incarnation, Timestamp};
use crate::{Intent, Observed, State, plan};

/// Tells the stories of `seeds` on all cores; gives the phases' counts, or panics with the first failing seed.
fn tell_all(seeds: u64) -> BTreeMap<String, u64> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(8);
    let next = AtomicU64::new(0);
    let tellers = || {
        let mut phases: BTreeMap<String, u64> = BTreeMap::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds {
                return phases;
            }
            let story = tell(seed, plan, false);
            if let Err(message) = story.verdict {
                panic!(
                    "seed {seed}: {message}\nreplay: WEIR_SIM_SEED={seed} cargo test -p weir-plan --lib sim -- --nocapture"
                );
            }
            *phases.entry(format!("{:?}", story.phase)).or_default() += 1;
            *phases.entry("restarts".to_owned()).or_default() += u64::from(story.restarts);
            *phases.entry("events".to_owned()).or_default() += story.events as u64;
        }
    };
    std::thread::scope(|scope| {
        let handles: Vec<_> = (0..threads).map(|_| scope.spawn(tellers)).collect();
        let mut sum: BTreeMap<String, u64> = BTreeMap::new();
        for handle in handles {
            for (phase, count) in handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)) {
                *sum.entry(phase).or_default() += count;
            }
        }
        sum
    })
}

#[test]
fn every_promise_holds_in_every_story() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    if let Some(seed) = number("WEIR_SIM_SEED") {
        let story = tell(seed, plan, true);
        println!("{}", story.lines.join("\n"));
        story.verdict.unwrap();
        return;
    }
    let seeds = number("WEIR_SIM_SEEDS").unwrap_or(5000);
    let phases = tell_all(seeds);
    println!("{seeds} stories: {phases:?}");
    // A world in which everything fails, or nothing does, would prove little.
    for phase in [Phase::Successful, Phase::Failed, Phase::Dismissed] {
        assert!(phases[&format!("{:?}", Some(phase))] > seeds / 100, "{phases:?}");
    }
}
