//! Thousands of stories, and the proof that the checks would notice.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use weir_api::Phase;

use super::{Planner, tell};
use crate::action::{Action, Launch, Plan};
use crate::event::{Event, Incarnation, Timestamp};
use crate::plan::decide as plan;
use crate::{Intent, Observed, State};

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
            *phases.entry("taken".to_owned()).or_default() += u64::from(story.taken);
            *phases.entry("released".to_owned()).or_default() += u64::from(story.released);
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
    // A world in which everything fails, or nothing does, or nothing is created ahead, would prove little.
    for word in ["taken", "released"] {
        assert!(phases[word] > seeds / 20, "{phases:?}");
    }
    for phase in [Phase::Successful, Phase::Failed, Phase::Dismissed] {
        assert!(phases[&format!("{:?}", Some(phase))] > seeds / 100, "{phases:?}");
    }
}

/// The first complaint about a broken planner, with the number of stories that it took.
fn complaint(planner: Planner) -> (u64, String) {
    let mut stories = 0..400;
    stories
        .find_map(|seed| Some((seed + 1, tell(seed, planner, false).verdict.err()?)))
        .expect("a broken planner is noticed within 400 stories")
}

/// The core's plan, with one of its promises broken.
fn broken(
    intent: &Intent,
    state: &State,
    observed: &Observed,
    now: Timestamp,
    change: impl FnOnce(&mut Vec<Action>),
) -> Plan {
    let mut made = plan(intent, state, observed, now);
    change(&mut made.actions);
    made
}

#[test]
fn a_number_that_is_used_again_is_noticed() {
    let (_, message) = complaint(|intent, state, observed, now| {
        broken(intent, state, observed, now, |actions| {
            for action in actions {
                if let Action::Record(Event::StartAttempt { incarnation, .. }) = action {
                    *incarnation = Incarnation(1);
                }
            }
        })
    });
    assert!(message.contains("is used again"), "{message}");
}

#[test]
fn a_claimed_incarnation_that_is_launched_again_is_noticed() {
    let (_, message) = complaint(|intent, state, observed, now| {
        let mut forgetful = state.clone();
        for live in forgetful.live.values_mut() {
            live.uid = None;
        }
        plan(intent, &forgetful, observed, now)
    });
    assert!(message.contains("which is claimed"), "{message}");
}

#[test]
fn a_launch_before_its_start_is_durable_is_noticed() {
    let (_, message) = complaint(|intent, state, observed, now| {
        let mut ahead = state.clone();
        let mut made = plan(intent, state, observed, now);
        for action in &made.actions {
            if let Action::Record(event) = action {
                let recorded = crate::Recorded { at: now, event: event.clone() };
                crate::fold(intent, &mut ahead, &recorded).unwrap();
            }
        }
        made.actions = plan(intent, &ahead, observed, now).actions;
        made
    });
    assert!(message.contains("without a StartAttempt"), "{message}");
}

#[test]
fn a_capacity_that_is_not_asked_is_noticed() {
    let (_, message) = complaint(|intent, state, observed, now| {
        let unbounded = Observed { capacity: crate::observed::Capacity::default(), ..observed.clone() };
        plan(intent, state, &unbounded, now)
    });
    assert!(message.contains("beyond the capacity"), "{message}");
}

#[test]
fn a_loss_that_is_not_noticed_is_noticed() {
    let (_, message) = complaint(|intent, state, observed, now| {
        broken(intent, state, observed, now, |actions| {
            actions.retain(|action| !matches!(action, Action::Record(Event::Ended { .. })));
        })
    });
    assert!(message.contains("nothing runs") || message.contains("does not end"), "{message}");
}

#[test]
fn a_back_off_that_nobody_wakes_from_is_noticed() {
    let (_, message) = complaint(|intent, state, observed, now| {
        let mut made = plan(intent, state, observed, now);
        made.wake_at = None;
        made
    });
    assert!(message.contains("nothing is waited for"), "{message}");
}

#[test]
fn a_start_within_the_back_off_is_noticed() {
    let (_, message) =
        complaint(|intent, state, observed, now| plan(intent, state, observed, Timestamp(now.0 + 10_000)));
    assert!(message.contains("before its back-off ends"), "{message}");
}

#[test]
fn a_kill_that_is_forgotten_is_noticed() {
    let (_, message) = complaint(|intent, state, observed, now| {
        broken(intent, state, observed, now, |actions| {
            let is_halting = actions.iter().any(|action| matches!(action, Action::Kill { .. }));
            actions.retain(|action| !matches!(action, Action::Kill { .. }));
            if is_halting && actions.is_empty() {
                let phase = Phase::Failed;
                actions.push(Action::Record(Event::Finished {
                    phase,
                    outputs: weir_cwl::Record::new(),
                    failure: None,
                }));
            }
        })
    });
    assert!(message.contains("the job ends while"), "{message}");
}

#[test]
fn a_publication_before_the_end_is_noticed() {
    let (_, message) = complaint(|intent, state, observed, now| {
        broken(intent, state, observed, now, |actions| {
            if state.outputs.iter().any(Option::is_some) && !state.live.is_empty() {
                actions.push(Action::Publish { outputs: weir_cwl::Record::new() });
            }
        })
    });
    assert!(message.contains("the job ends while") || message.contains("two different results"), "{message}");
}

#[test]
fn a_removal_of_what_lives_is_noticed() {
    let (_, message) = complaint(|intent, state, observed, now| {
        broken(intent, state, observed, now, |actions| {
            actions.extend(observed.present.iter().map(|incarnation| Action::Remove { incarnation: *incarnation }));
        })
    });
    assert!(message.contains("though it has not ended"), "{message}");
}

#[test]
fn inputs_that_go_to_the_wrong_tool_are_noticed() {
    let (_, message) = complaint(|intent, state, observed, now| {
        broken(intent, state, observed, now, |actions| {
            for action in actions {
                if let Action::Launch(launch) = action
                    && launch.incarnation.0 % 3 == 0
                {
                    launch.inputs = std::sync::Arc::new(weir_cwl::Record::new());
                }
            }
        })
    });
    assert!(message.contains("the oracle expects"), "{message}");
}

#[test]
fn a_finished_instance_that_starts_again_is_noticed() {
    let (_, message) = complaint(|intent, state, observed, now| {
        broken(intent, state, observed, now, |actions| {
            let over =
                state.instances.iter().position(|one| one.log.is_some() && one.stage == crate::state::Stage::Succeeded);
            if let Some(instance) = over
                && state.finished.is_none()
                && !state.halts(intent)
                && !state.suspended
            {
                let entry = &state.instances[instance];
                actions.push(Action::Record(Event::StartAttempt {
                    instance: state.path(&intent.graph, instance),
                    attempt: 1,
                    incarnation: Incarnation(state.last_incarnation.0 + 100),
                    resources: entry.resources,
                    log: entry.log.as_deref().unwrap_or_default().to_owned(),
                }));
            }
        })
    });
    assert!(message.contains("starts though it is Succeeded"), "{message}");
}

#[test]
fn a_spare_that_runs_without_its_start_is_noticed() {
    let (_, message) = complaint(|intent, state, observed, now| {
        broken(intent, state, observed, now, |actions| {
            let spare = state.spares().next().and_then(|incarnation| crate::prepare_of(intent, state, incarnation));
            actions.extend(spare.map(|spare| {
                Action::Launch(Launch {
                    incarnation: spare.incarnation,
                    instance: crate::InstancePath::default(),
                    step: spare.step,
                    place: spare.place,
                    attempt: 1,
                    uncounted: 0,
                    tool: spare.tool,
                    requirements: spare.requirements,
                    inputs: std::sync::Arc::default(),
                    resources: spare.resources,
                    log: String::new(),
                })
            }));
        })
    });
    assert!(message.contains("without a StartAttempt"), "{message}");
}

#[test]
fn a_spare_that_is_claimed_without_its_start_is_noticed() {
    let (_, message) = complaint(|intent, state, observed, now| {
        broken(intent, state, observed, now, |actions| {
            let claimed = |incarnation| Action::Record(Event::Claimed { incarnation, uid: "u".to_owned() });
            actions.extend(state.spares().next().map(claimed));
        })
    });
    assert!(message.contains("is claimed by the planner"), "{message}");
}

#[test]
fn a_spare_that_serves_twice_is_noticed() {
    let (_, message) = complaint(|intent, state, observed, now| {
        broken(intent, state, observed, now, |actions| {
            let Some(spare) = state.spares().next() else { return };
            for action in actions {
                if let Action::Record(Event::StartAttempt { incarnation, .. }) = action {
                    *incarnation = spare;
                }
            }
        })
    });
    assert!(message.contains("is used again") || message.contains("of another place or size"), "{message}");
}

#[test]
fn a_number_that_is_used_again_for_a_spare_is_noticed() {
    let (_, message) = complaint(|intent, state, observed, now| {
        broken(intent, state, observed, now, |actions| {
            for action in actions {
                if let Action::Record(Event::Prepared { incarnation, .. }) = action {
                    *incarnation = state.last_incarnation;
                }
            }
        })
    });
    assert!(message.contains("is used again for a spare"), "{message}");
}

#[test]
fn a_spare_for_what_is_not_certain_is_noticed() {
    let (_, message) = complaint(|intent, state, observed, now| {
        broken(intent, state, observed, now, |actions| {
            for action in actions {
                if let Action::Record(Event::Prepared { place, .. }) = action {
                    intent.graph.places[1].path.clone_into(place);
                }
            }
        })
    });
    assert!(message.contains("not as many are certain to run"), "{message}");
}

#[test]
fn a_second_spare_for_one_instance_is_noticed() {
    let (_, message) = complaint(|intent, state, observed, now| {
        let mut forgetful = state.clone();
        forgetful.spares.clear();
        let Plan { actions, .. } = plan(intent, &forgetful, observed, now);
        broken(intent, state, observed, now, |known| {
            known.extend(actions.into_iter().filter(|one| matches!(one, Action::Record(Event::Prepared { .. }))));
        })
    });
    assert!(message.contains("is used again for a spare") || message.contains("not as many are certain"), "{message}");
}

#[test]
fn a_spare_that_is_never_given_up_is_noticed() {
    let (_, message) = complaint(|intent, state, observed, now| {
        broken(intent, state, observed, now, |actions| {
            actions.retain(|action| !matches!(action, Action::Record(Event::Released { .. })));
        })
    });
    assert!(message.contains("stands by"), "{message}");
}

#[test]
fn spares_that_come_and_go_are_noticed() {
    let (_, message) = complaint(|intent, state, observed, now| {
        let mut forgetful = state.clone();
        forgetful.given_up.clear();
        plan(intent, &forgetful, observed, now)
    });
    assert!(message.contains("in turn"), "{message}");
}

#[test]
fn spares_in_the_way_of_others_are_noticed() {
    let (_, message) = complaint(|intent, state, observed, now| {
        let unbounded = Observed { capacity: crate::observed::Capacity::default(), ..observed.clone() };
        let Plan { actions, .. } = plan(intent, state, &unbounded, now);
        broken(intent, state, observed, now, |known| {
            let is_spare = |one: &Action| matches!(one, Action::Record(Event::Prepared { .. }));
            let starts = |actions: &[Action]| {
                actions.iter().filter(|one| matches!(one, Action::Record(Event::StartAttempt { .. }))).count()
            };
            if !known.iter().any(is_spare) && starts(known) == starts(&actions) {
                known.extend(actions.into_iter().filter(is_spare));
            }
        })
    });
    assert!(message.contains("beyond the capacity") || message.contains("waits for room"), "{message}");
}

#[test]
fn a_spare_that_never_gets_its_work_is_noticed() {
    let (_, message) = complaint(|intent, state, observed, now| {
        let blind = Observed { unlaunched: std::collections::BTreeSet::new(), ..observed.clone() };
        plan(intent, state, &blind, now)
    });
    assert!(message.contains("does not end"), "{message}");
}

#[test]
fn a_spare_while_the_job_is_suspended_is_noticed() {
    let (_, message) = complaint(|intent, state, observed, now| {
        let mut eager = state.clone();
        eager.suspended = false;
        let Plan { actions, .. } = plan(intent, &eager, observed, now);
        broken(intent, state, observed, now, |known| {
            if state.suspended {
                known.extend(actions.into_iter().filter(|one| matches!(one, Action::Record(Event::Prepared { .. }))));
            }
        })
    });
    assert!(message.contains("is created though none may"), "{message}");
}

#[test]
fn a_story_is_told_the_same_way_twice() {
    assert_eq!(tell(7, plan, true), tell(7, plan, true));
}
