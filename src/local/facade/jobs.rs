//! The jobs of one tenant: those that run or wait, and small records of those that are over.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use jiff::Timestamp;
use tokio::sync::watch;
use weir_http::backend::{JobId, JobRecord};

use super::finished::Past;
use super::record::Chronicle;
use crate::run::Control;

/// Name of the usage report among the texts.
pub const USAGE: &str = "usage.json";

/// A job that is not over.
#[derive(Debug)]
pub struct Live {
    /// What it shows, for everybody who waits for a change.
    pub shown: watch::Sender<Arc<JobRecord>>,
    /// Orders to it.
    pub control: watch::Sender<Control>,
    chronicle: Mutex<Chronicle>,
}

impl Live {
    /// A job whose journal is told so far.
    pub fn new(chronicle: Chronicle) -> Self {
        let shown = watch::Sender::new(Arc::new(chronicle.record.clone()));
        Self { shown, control: watch::Sender::new(Control::Run), chronicle: Mutex::new(chronicle) }
    }

    /// What its journal amounts to.
    pub fn chronicle(&self) -> MutexGuard<'_, Chronicle> {
        self.chronicle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it shows now.
    pub fn record(&self) -> Arc<JobRecord> {
        Arc::clone(&self.shown.borrow())
    }

    /// Names of its texts so far.
    pub fn texts(&self) -> Vec<String> {
        let chronicle = self.chronicle();
        let mut names: Vec<String> = chronicle.logs.iter().map(|log| format!("{log}.log")).collect();
        if chronicle.record.started.is_some() {
            names.push(USAGE.to_owned());
        }
        names
    }
}

/// A job.
#[derive(Debug, Clone)]
pub enum Job {
    /// It waits or runs.
    Live(Arc<Live>),
    /// It is over.
    Over(Past),
}

impl Job {
    /// What it shows now.
    pub fn record(&self) -> Arc<JobRecord> {
        match self {
            Self::Live(live) => live.record(),
            Self::Over(past) => Arc::clone(&past.record),
        }
    }
}

/// All jobs of one tenant.
#[derive(Debug, Default)]
pub struct Jobs(RwLock<Table>);

#[derive(Debug, Default)]
struct Table {
    by_id: HashMap<JobId, Job>,
    /// By creation, then id: a list looks at no more of them than it shows.
    by_age: BTreeMap<(Timestamp, JobId), Job>,
}

impl Jobs {
    /// Adds a job, or puts it in the place of what was known of it.
    pub fn put(&self, job: Job) {
        let record = job.record();
        let mut table = self.0.write().unwrap_or_else(PoisonError::into_inner);
        table.by_age.insert((record.created, record.id.clone()), job.clone());
        table.by_id.insert(record.id.clone(), job);
    }

    /// One job.
    pub fn get(&self, id: &JobId) -> Option<Job> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).by_id.get(id).cloned()
    }

    /// Takes a job out that is over. `None` if there is none, or it is not over.
    pub fn take(&self, id: &JobId) -> Option<Past> {
        let mut table = self.0.write().unwrap_or_else(PoisonError::into_inner);
        match table.by_id.get(id) {
            Some(Job::Over(past)) => {
                let past = past.clone();
                table.by_id.remove(id);
                table.by_age.remove(&(past.record.created, id.clone()));
                Some(past)
            }
            _ => None,
        }
    }

    /// Shows them newest first until the visitor breaks.
    pub fn visit(&self, visit: &mut (dyn for<'a> FnMut(&'a Arc<JobRecord>) -> ControlFlow<()> + Send)) {
        let table = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let _stopped = table.by_age.values().rev().try_for_each(|job| match job {
            Job::Live(live) => visit(&live.record()),
            Job::Over(past) => visit(&past.record),
        });
    }

    /// Finished jobs to be removed: those that ended before `oldest`, and the oldest of those that are too many.
    pub fn outdated(&self, oldest: Timestamp, finished_max: usize) -> Vec<JobId> {
        let table = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut kept = 0;
        let newest_first = table.by_age.values().rev().filter_map(|job| match job {
            Job::Over(past) => Some(past),
            Job::Live(_) => None,
        });
        let mut outdated = Vec::new();
        for Past { record, .. } in newest_first {
            if kept >= finished_max || record.finished.unwrap_or(record.updated) < oldest {
                outdated.push(record.id.clone());
            } else {
                kept += 1;
            }
        }
        outdated
    }
}

#[cfg(test)]
mod tests {
    use super::super::request::Request;
    use super::*;

    fn job(id: &str, created: u64, over: bool) -> Job {
        let request =
            Request { process: "p".parse().unwrap(), asked: weir_http::backend::Asked::default(), subscriber: None };
        let mut chronicle = Chronicle::new(id.parse().unwrap(), request, weir_plan::Timestamp(created));
        if over {
            chronicle.record.finished = Some(chronicle.record.created);
            return Job::Over(Past { record: Arc::new(chronicle.record), texts: Arc::default() });
        }
        Job::Live(Arc::new(Live::new(chronicle)))
    }

    #[test]
    fn jobs_are_shown_newest_first_and_old_ones_are_outdated() {
        let jobs = Jobs::default();
        for (id, created, over) in [("b", 1_000, true), ("a", 3_000, true), ("c", 2_000, false), ("d", 500, true)] {
            jobs.put(job(id, created, over));
        }
        let mut seen = Vec::new();
        jobs.visit(&mut |record| {
            seen.push(record.id.to_string());
            if seen.len() == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert_eq!(seen, ["a", "c", "b"]);
        let outdated = |oldest, max| -> Vec<String> {
            let oldest = Timestamp::from_millisecond(oldest).unwrap();
            jobs.outdated(oldest, max).iter().map(ToString::to_string).collect()
        };
        assert_eq!(outdated(0, 10), Vec::<String>::new());
        assert_eq!(outdated(1_000, 10), ["d"]);
        assert_eq!(outdated(0, 1), ["b", "d"]);
        assert!(jobs.take(&"c".parse().unwrap()).is_none(), "it is not over");
        assert!(jobs.take(&"a".parse().unwrap()).is_some() && jobs.get(&"a".parse().unwrap()).is_none());
    }
}
