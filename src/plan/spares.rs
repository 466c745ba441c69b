//! Spares: incarnations that are created ahead of their turn, so that placing them, fetching their images and starting them
//! happen while the step before works. Which instances deserve one is said by [`lookahead`](crate::lookahead).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::action::{Action, Prepare};
use crate::event::{Event, Incarnation, Timestamp};
use crate::intent::Intent;
use crate::limits::{SPARE_CREATION_MS_MAX, SPARE_IDLE_MS_MAX};
use crate::lookahead::Certain;
use crate::plan::{Planning, next};
use crate::room::Room;
use crate::state::{Spare, State};

/// What creates a spare. `None` if the number is none.
pub fn prepare_of(intent: &Intent, state: &State, incarnation: Incarnation) -> Option<Prepare> {
    let spare = state.spares.get(&incarnation)?;
    let place = &intent.graph.places[spare.place];
    Some(Prepare {
        incarnation,
        step: place.id.clone(),
        place: place.path.clone(),
        tool: place.run,
        requirements: Arc::clone(&place.effective),
        resources: spare.resources,
    })
}

/// The lowest spare that may serve an instance.
pub(crate) fn take_spare(
    spares: &mut BTreeMap<Incarnation, Spare>,
    state: &State,
    instance: usize,
) -> Option<Incarnation> {
    let taken = spares.iter().find(|(_, spare)| state.serves(spare, instance)).map(|(incarnation, _)| *incarnation)?;
    spares.remove(&taken);
    Some(taken)
}

impl Planning<'_> {
    /// Gives up the spares that may not stand by any longer; tells their places. A spare stands by since it was reserved, or
    /// since an incarnation that it waits for was started.
    pub fn keep_or_release(
        &mut self,
        spares: &mut BTreeMap<Incarnation, Spare>,
        certain: &[Certain],
        room: &mut Room,
    ) -> BTreeSet<usize> {
        let lookahead = self.observed.lookahead;
        let mut newest: BTreeMap<usize, Timestamp> = BTreeMap::new();
        for certain in certain {
            let newest = newest.entry(certain.place).or_default();
            *newest = certain.newest.max(*newest);
        }
        let mut given_up = BTreeSet::new();
        spares.retain(|incarnation, spare| {
            let since = newest.get(&spare.place).map_or(spare.prepared, |newest| spare.prepared.max(*newest));
            let until = if self.is_present(*incarnation) {
                Timestamp(since.0.saturating_add(SPARE_IDLE_MS_MAX))
            } else {
                Timestamp(spare.prepared.0.saturating_add(SPARE_CREATION_MS_MAX))
            };
            let is_allowed = lookahead.is_some_and(|lookahead| lookahead.allows(spare.resources));
            let is_kept = is_allowed && self.now < until && room.admit_beside(spare.resources);
            if is_kept {
                self.wake(until);
            } else {
                given_up.insert(spare.place);
                self.record(Event::Released { incarnation: *incarnation });
            }
            is_kept
        });
        given_up
    }

    /// Reserves a number for every instance that is certain to run and has no spare yet, where there is room. One whose
    /// place gave up a spare waits until an incarnation before it is started, or spares would be created and given up in
    /// turn.
    pub fn reserve(
        &mut self,
        certain: &[Certain],
        spares: &BTreeMap<Incarnation, Spare>,
        given_up: &BTreeSet<usize>,
        room: &mut Room,
        last: &mut Incarnation,
    ) {
        let state = self.state;
        let Some(lookahead) = self.observed.lookahead.filter(|lookahead| !lookahead.is_held) else { return };
        let mut standing: BTreeMap<usize, usize> = BTreeMap::new();
        for spare in spares.values() {
            *standing.entry(spare.place).or_default() += 1;
        }
        for &Certain { place, resources, newest, .. } in certain {
            let standing = standing.entry(place).or_default();
            if *standing > 0 {
                *standing -= 1;
                continue;
            }
            let is_new = !given_up.contains(&place) && state.given_up.get(&place).is_none_or(|at| newest > *at);
            if is_new && lookahead.allows(resources) && room.admit_beside(resources) {
                let place = self.intent.graph.places[place].path.clone();
                self.record(Event::Prepared { incarnation: next(last), place, resources });
            }
        }
    }

    /// Asks for those that are not there.
    pub fn create(&mut self, spares: &BTreeMap<Incarnation, Spare>) {
        let missing = spares.keys().filter(|incarnation| !self.observed.present.contains(incarnation));
        let missing = missing.filter_map(|incarnation| prepare_of(self.intent, self.state, *incarnation));
        self.plan.actions.extend(missing.map(Action::Prepare));
    }

    /// Gives up all of them.
    pub fn release_all(&mut self) {
        for incarnation in self.state.spares.keys() {
            self.record(Event::Released { incarnation: *incarnation });
        }
    }
}
