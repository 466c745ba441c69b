//! Cores, memory and GPUs of this machine, shared by the tools of all jobs that one program runs. The planner keeps each job
//! within the machine; several jobs at once would together ask for more.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use weir_plan::event::Resources;

/// What there is, and what of it is free. Tools get it in the order in which they ask.
#[derive(Debug)]
pub struct Machine {
    /// Hundredths of cores.
    cores: Arc<Semaphore>,
    cores_max: u32,
    /// Mebibytes.
    ram: Arc<Semaphore>,
    ram_max: u32,
    gpus: Arc<Semaphore>,
    gpus_max: u32,
}

/// What one tool has got; free again when dropped.
#[derive(Debug)]
pub struct Share {
    _cores: Option<OwnedSemaphorePermit>,
    _ram: Option<OwnedSemaphorePermit>,
    _gpus: Option<OwnedSemaphorePermit>,
}

/// A tool needs more GPUs than there are: unlike cores and memory it cannot do with fewer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it asks for {asked} GPUs (cwltool:CUDARequirement), and this machine has {there}")]
pub struct TooFewGpus {
    asked: u64,
    there: u32,
}

impl Machine {
    /// A machine with so much of each.
    pub fn new(cores: f64, ram_mib: u64, gpus: u32) -> Self {
        let (cores_max, ram_max) = (hundredths(cores), u32::try_from(ram_mib).unwrap_or(u32::MAX));
        let semaphore = |permits: u32| Arc::new(Semaphore::new(permits as usize));
        Self {
            cores: semaphore(cores_max),
            cores_max,
            ram: semaphore(ram_max),
            ram_max,
            gpus: semaphore(gpus),
            gpus_max: gpus,
        }
    }

    /// Waits until so much is free. A tool that asks for more cores or memory than there is gets all of it.
    pub async fn take(&self, asked: Resources) -> Result<Share, TooFewGpus> {
        let cores = hundredths(asked.cores).min(self.cores_max);
        let ram = u32::try_from(asked.ram_mib).unwrap_or(u32::MAX).min(self.ram_max);
        let gpus = u32::try_from(asked.gpus).ok().filter(|gpus| *gpus <= self.gpus_max);
        let gpus = gpus.ok_or(TooFewGpus { asked: asked.gpus, there: self.gpus_max })?;
        // Always in this order, so that no two wait for each other. None is ever closed.
        let gpus = Arc::clone(&self.gpus).acquire_many_owned(gpus).await.ok();
        let cores = Arc::clone(&self.cores).acquire_many_owned(cores).await.ok();
        Ok(Share { _cores: cores, _ram: Arc::clone(&self.ram).acquire_many_owned(ram).await.ok(), _gpus: gpus })
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, which is meant")]
fn hundredths(cores: f64) -> u32 {
    (cores * 100.0).ceil() as u32
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn asks(cores: f64, ram_mib: u64, gpus: u64) -> Resources {
        Resources { cores, ram_mib, tmpdir_mib: 0, outdir_mib: 0, gpus }
    }

    #[tokio::test]
    async fn tools_of_all_jobs_share_the_machine() {
        let machine = Machine::new(2.0, 1000, 1);
        let soon = |asked| tokio::time::timeout(Duration::from_millis(20), machine.take(asked));
        let first = machine.take(asks(1.5, 400, 0)).await.unwrap();
        assert!(soon(asks(1.0, 100, 0)).await.is_err(), "there is half a core");
        drop(first);
        // More than there is means all of it.
        let all = machine.take(asks(8.0, 9999, 0)).await.unwrap();
        assert!(soon(asks(0.0, 1, 0)).await.is_err());
        drop(all);
        let with_gpu = machine.take(asks(0.5, 1, 1)).await.unwrap();
        assert!(soon(asks(0.5, 1, 1)).await.is_err(), "one at a time");
        drop(with_gpu);
        machine.take(asks(0.5, 1, 1)).await.unwrap();
        let refusal = machine.take(asks(0.5, 1, 2)).await.unwrap_err().to_string();
        assert_eq!(refusal, "it asks for 2 GPUs (cwltool:CUDARequirement), and this machine has 1");
    }
}
