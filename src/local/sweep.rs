//! Ends what an earlier weir left running: tools and what they started, known by the folders that CWL's environment gave
//! them. The launcher has ended them long before, unless it was killed together with weir.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// Looks at most at what is dying.
const TRIES: u32 = 500;
/// Wait between two looks.
const WAIT: Duration = Duration::from_millis(4);

/// Kills every process of this user whose `HOME` or `TMPDIR` lies under `incarnations` and waits until they are gone.
/// Somebody's shell that merely stands in a step's folder is none of them. Returns how many there were.
pub fn sweep(incarnations: &Path) -> usize {
    let mut killed = 0;
    for _ in 0..TRIES {
        let left = leftovers(incarnations);
        if left.is_empty() {
            break;
        }
        for pid in &left {
            if kill_process(*pid, Signal::KILL).is_ok() {
                killed += 1;
            }
        }
        std::thread::sleep(WAIT);
    }
    killed
}

fn leftovers(incarnations: &Path) -> Vec<Pid> {
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(Pid::from_raw).filter(|pid| belongs(*pid, incarnations)).collect()
}

/// Whether a living process is one of the run's. Zombies have no environment.
fn belongs(pid: Pid, incarnations: &Path) -> bool {
    let environ = fs::read(format!("/proc/{}/environ", pid.as_raw_nonzero())).unwrap_or_default();
    environ
        .split(|byte| *byte == 0)
        .filter_map(|entry| entry.strip_prefix(b"HOME=").or_else(|| entry.strip_prefix(b"TMPDIR=")))
        .filter_map(|folder| std::str::from_utf8(folder).ok())
        .any(|folder| Path::new(folder).starts_with(incarnations))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn only_processes_of_the_run_are_killed() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let ours = root.join("att/1/out");
        let other = root.join("other");
        fs::create_dir_all(&ours).unwrap();
        fs::create_dir_all(&other).unwrap();
        let sleep = |variable: &str, folder: &Path, cwd: &Path| {
            let child = Command::new("sleep").arg("60").env(variable, folder).current_dir(cwd).spawn().unwrap();
            // The new program runs before the kernel shows its environment.
            let deadline = std::time::Instant::now() + Duration::from_secs(10);
            while fs::read(format!("/proc/{}/environ", child.id())).unwrap().is_empty() {
                assert!(std::time::Instant::now() < deadline);
            }
            child
        };
        let mut tool = sleep("HOME", &ours, Path::new("/"));
        let mut tool_with_a_home_of_its_own = sleep("TMPDIR", &ours, &ours);
        let mut shell_in_the_folder = sleep("HOME", &other, &ours);
        sweep(&root.join("att"));
        assert!(tool.wait().unwrap().code().is_none());
        assert!(tool_with_a_home_of_its_own.wait().unwrap().code().is_none());
        assert!(shell_in_the_folder.try_wait().unwrap().is_none());
        shell_in_the_folder.kill().unwrap();
        shell_in_the_folder.wait().unwrap();
    }
}
