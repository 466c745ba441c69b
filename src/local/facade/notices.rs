//! Changes of jobs that subscribers are to be told (18-062r2, §7.14 "callback"). What was told stands in the job's folder,
//! so that a restart tells the rest.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::{Mutex, mpsc, watch};
use weir_api::Phase;
use weir_http::backend::{JobRecord, Notice, Subscriber, Tenant};

use super::layout::write_whole;

/// Which phases were told, in the folder of the job.
const TOLD: &str = "told.json";

/// Notices that wait. There are two a job at most, so that the number of jobs bounds them.
#[derive(Debug)]
pub struct Notices {
    sender: mpsc::UnboundedSender<Notice>,
    receiver: Mutex<mpsc::UnboundedReceiver<Notice>>,
}

impl Default for Notices {
    fn default() -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        Self { sender, receiver: Mutex::new(receiver) }
    }
}

impl Notices {
    /// Somebody is to be told of the job as it is now.
    pub fn give(&self, tenant: &Tenant, job: &Arc<JobRecord>) {
        // Cannot fail: the receiver lives as long as the sender.
        let _ = self.sender.send(Notice { tenant: tenant.clone(), job: Arc::clone(job) });
    }

    /// The next one; `None` once `stopped` says so.
    pub async fn next(&self, mut stopped: watch::Receiver<bool>) -> Option<Notice> {
        let next = async { self.receiver.lock().await.recv().await };
        tokio::select! {
            biased;
            _ = stopped.wait_for(|stopped| *stopped) => None,
            notice = next => notice,
        }
    }
}

/// Whether somebody wants to know that the job is in its phase.
pub fn is_wanted(job: &JobRecord) -> bool {
    let Some(Subscriber { success_uri, in_progress_uri, failed_uri, .. }) = &job.subscriber else { return false };
    match job.phase {
        // Whoever dismisses a job knows it.
        Phase::Accepted | Phase::Dismissed => false,
        Phase::Running => in_progress_uri.is_some(),
        Phase::Successful => success_uri.is_some(),
        Phase::Failed => failed_uri.is_some(),
    }
}

/// The phases that were told or given up. Blocks.
pub fn told(folder: &Path) -> Vec<Phase> {
    fs::read(folder.join(TOLD)).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
}

/// Writes down that a phase was told or given up. Blocks.
pub fn tell(folder: &Path, phase: Phase, fsync: bool) -> std::io::Result<()> {
    let mut phases = told(folder);
    if !phases.contains(&phase) {
        phases.push(phase);
        write_whole(&folder.join(TOLD), serde_json::to_string(&phases)?.as_bytes(), fsync)?;
    }
    Ok(())
}
