//! Everything that can go wrong in a story.

use weir_api::FailureClass;
use weir_cwl::Value;

use super::{Kept, World};
use crate::event::{Event, Incarnation, Outcome, Usage};
use crate::observed::Lookahead;

impl World {
    /// One thing goes wrong.
    pub(super) fn fault(&mut self) -> Kept {
        match self.random.below(16) {
            0..3 => self.restart(),
            3 => {
                if self.stale.is_none() {
                    self.say(|| "fault: another leader takes over, the old one does not know".to_owned());
                    self.stale = Some(self.leader.clone());
                    self.restart()?;
                }
                Ok(())
            }
            4..6 => {
                if !self.pods.is_empty() {
                    let at = self.random.below(self.pods.len());
                    let pod = self.pods.remove(at);
                    self.say(|| format!("fault: pod {} of {} is lost", pod.uid, pod.incarnation.0));
                }
                Ok(())
            }
            6 => {
                if !self.pods.is_empty() {
                    let at = self.random.below(self.pods.len());
                    self.pods[at].is_visible = false;
                    let uid = self.pods[at].uid.clone();
                    self.say(|| format!("fault: pod {uid} becomes a zombie"));
                }
                Ok(())
            }
            7 => {
                // An event that was already written is written once more.
                let at = self.random.below(self.journal.len());
                let event = self.journal[at].event.clone();
                let is_harmless = matches!(
                    event,
                    Event::Evaluated { .. } | Event::Ended { .. } | Event::Claimed { .. } | Event::Released { .. }
                );
                if is_harmless { self.append(event) } else { Ok(()) }
            }
            8 => {
                // A report and a claim that come far too late, or from nowhere.
                let incarnation = Incarnation(1 + self.random.below(20) as u64);
                if self.facts.ended.contains(&incarnation) {
                    let outputs = Some([("out".to_owned(), Value::String("from a zombie".to_owned()))].into());
                    let outcome = Outcome { outputs, failure: None, exit_code: Some(0), usage: Usage::default() };
                    self.append(Event::Ended { incarnation, outcome })?;
                }
                self.append(Event::Claimed { incarnation: Incarnation(1_000_000), uid: "nobody".to_owned() })
            }
            9 if self.random.chance(20) => {
                self.append(Event::StopRequested { class: FailureClass::Dismissed, message: "a person".to_owned() })
            }
            10 if !self.facts.is_finished => self.append(Event::Suspended),
            11 => {
                self.say(|| "fault: nothing happens for a long time".to_owned());
                self.now.0 += 70_000;
                Ok(())
            }
            12 => {
                self.lookahead = match self.lookahead {
                    None => Some(Lookahead::default()),
                    Some(Lookahead { is_held: true, .. }) => None,
                    Some(lookahead) => Some(Lookahead { is_held: true, ..lookahead }),
                };
                let lookahead = self.lookahead;
                self.say(|| format!("from now on {lookahead:?}"));
                Ok(())
            }
            13..15 => {
                let spares: Vec<Incarnation> = self.leader.state.spares().collect();
                if spares.is_empty() {
                    return Ok(());
                }
                let incarnation = *self.random.pick(&spares);
                if self.random.chance(50) {
                    // Nobody may run a spare, whatever he says.
                    return self.append(Event::Claimed { incarnation, uid: "hasty".to_owned() });
                }
                self.kill(incarnation);
                self.append(Event::Released { incarnation })
            }
            _ => {
                let before = self.mail.len();
                self.mail.retain(|(due, _)| due.0 % 2 == 0);
                let lost = before - self.mail.len();
                self.say(|| format!("fault: {lost} messages are lost"));
                Ok(())
            }
        }
    }
}
