//! Cores and memory of this machine, shared by the tools of all jobs that one program runs. The planner keeps each job
//! within the machine; several jobs at once would together ask for more.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What there is, and what of it is free. Tools get it in the order in which they ask.
#[derive(Debug)]
pub struct Machine {
    /// Hundredths of cores.
    cores: Arc<Semaphore>,
    cores_max: u32,
    /// Mebibytes.
    ram: Arc<Semaphore>,
    ram_max: u32,
}

/// What one tool has got; free again when dropped.
#[derive(Debug)]
pub struct Share {
    _cores: Option<OwnedSemaphorePermit>,
    _ram: Option<OwnedSemaphorePermit>,
}

impl Machine {
    /// A machine with so much of both.
    pub fn new(cores: f64, ram_mib: u64) -> Self {
        let (cores_max, ram_max) = (hundredths(cores), u32::try_from(ram_mib).unwrap_or(u32::MAX));
        let semaphore = |permits: u32| Arc::new(Semaphore::new(permits as usize));
        Self { cores: semaphore(cores_max), cores_max, ram: semaphore(ram_max), ram_max }
    }

    /// Waits until so much is free. A tool that asks for more than there is gets all of it.
    pub async fn take(&self, cores: f64, ram_mib: u64) -> Share {
        let cores = hundredths(cores).min(self.cores_max);
        let ram = u32::try_from(ram_mib).unwrap_or(u32::MAX).min(self.ram_max);
        // Always in this order, so that no two wait for each other. Neither is ever closed.
        let cores = Arc::clone(&self.cores).acquire_many_owned(cores).await.ok();
        Share { _cores: cores, _ram: Arc::clone(&self.ram).acquire_many_owned(ram).await.ok() }
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

    #[tokio::test]
    async fn tools_of_all_jobs_share_the_machine() {
        let machine = Machine::new(2.0, 1000);
        let first = machine.take(1.5, 400).await;
        let second = tokio::time::timeout(Duration::from_millis(20), machine.take(1.0, 100)).await;
        assert!(second.is_err(), "there is half a core");
        drop(first);
        // More than there is means all of it.
        let all = machine.take(8.0, 9999).await;
        assert!(tokio::time::timeout(Duration::from_millis(20), machine.take(0.0, 1)).await.is_err());
        drop(all);
        machine.take(0.5, 1).await;
    }
}
