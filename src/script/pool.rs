//! Several workers shared between threads.

use std::num::NonZeroUsize;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;

use crate::frame::Reply;
use crate::{Request, Worker, WorkerCommand};

/// A handle on a set of workers; clones share the same set. Workers start when first needed.
#[derive(Debug, Clone)]
pub struct Pool(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Workers that nobody uses at the moment; the one used last is on top, so that those which
    /// are not needed are never started.
    free: Mutex<Vec<Worker>>,
    returned: Condvar,
}

impl Pool {
    /// As many workers as the machine has cores.
    pub fn new(command: &WorkerCommand) -> Self {
        let cores = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        Self::with_workers(command, cores)
    }

    /// The given number of workers.
    pub fn with_workers(command: &WorkerCommand, workers: NonZeroUsize) -> Self {
        let free = (0..workers.get()).map(|_| Worker::new(command.clone())).collect();
        Self(Arc::new(Shared { free: Mutex::new(free), returned: Condvar::new() }))
    }

    /// Evaluates a batch in one worker; see [`Worker::evaluate`]. Blocks the calling thread while
    /// all workers are busy and while the batch runs.
    pub fn evaluate(&self, requests: &[Request<'_>]) -> Vec<Reply> {
        self.with_worker(|worker| worker.evaluate(requests))
    }

    /// Lends a free worker to `action`; blocks while all are busy.
    pub fn with_worker<T>(&self, action: impl FnOnce(&mut Worker) -> T) -> T {
        let mut loan = Loan { worker: Some(self.0.take()), shared: &self.0 };
        // `worker` is there until the loan is dropped.
        loan.worker.as_mut().map_or_else(|| unreachable!(), action)
    }
}

impl Shared {
    fn take(&self) -> Worker {
        // A list of workers is whole whatever happened to a thread that held it.
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match free.pop() {
                Some(worker) => return worker,
                None => free = self.returned.wait(free).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

/// Gives the worker back even if the borrower panics.
struct Loan<'a> {
    worker: Option<Worker>,
    shared: &'a Shared,
}

impl Drop for Loan<'_> {
    fn drop(&mut self) {
        if let Some(worker) = self.worker.take() {
            self.shared.free.lock().unwrap_or_else(PoisonError::into_inner).push(worker);
            self.shared.returned.notify_one();
        }
    }
}
