//! Ends what an earlier weir left running: processes whose home or working directory lies in one of the run's
//! incarnations. The launcher has ended them long before, unless it was killed together with weir.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// Looks at most at what is dying.
const TRIES: u32 = 500;
/// Wait between two looks.
const WAIT: Duration = Duration::from_millis(4);

/// Kills every process of this user whose `HOME` or working directory lies under `incarnations` and waits until they are
/// gone; not this process and those that have started it, such as a shell whose user looks at a step's folder. Returns how
/// many there were.
pub fn sweep(incarnations: &Path) -> usize {
    sweep_others(incarnations, &lineage())
}

fn sweep_others(incarnations: &Path, spared: &[Pid]) -> usize {
    let mut killed = 0;
    for _ in 0..TRIES {
        let left = leftovers(incarnations, spared);
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

/// This process, its parent, and so on.
fn lineage() -> Vec<Pid> {
    let parent = |pid: &Pid| {
        let status = fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero())).ok()?;
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"))?;
        Pid::from_raw(parent.trim().parse().ok()?)
    };
    std::iter::successors(Some(rustix::process::getpid()), parent).collect()
}

fn leftovers(incarnations: &Path, spared: &[Pid]) -> Vec<Pid> {
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(Pid::from_raw).filter(|pid| !spared.contains(pid) && belongs(*pid, incarnations)).collect()
}

/// Whether a living process is one of the run's. Zombies have neither directory nor environment.
fn belongs(pid: Pid, incarnations: &Path) -> bool {
    let folder = format!("/proc/{}", pid.as_raw_nonzero());
    let home = || {
        let environ = fs::read(format!("{folder}/environ")).ok()?;
        let home = environ.split(|byte| *byte == 0).find_map(|entry| entry.strip_prefix(b"HOME="))?;
        std::str::from_utf8(home).ok().map(|home| Path::new(home).starts_with(incarnations))
    };
    let is_in = |path: &Path| path.starts_with(incarnations);
    fs::read_link(format!("{folder}/cwd")).is_ok_and(|cwd| is_in(&cwd)) || home().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn who_started_this_process_is_spared() {
        let lineage = lineage();
        assert_eq!(lineage[0], rustix::process::getpid());
        assert_eq!(Some(lineage[1]), rustix::process::getppid());
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let mut shell = Command::new("sleep").arg("60").current_dir(&root).spawn().unwrap();
        sweep_others(&root, &[Pid::from_child(&shell)]);
        assert!(shell.try_wait().unwrap().is_none());
        shell.kill().unwrap();
        shell.wait().unwrap();
    }

    #[test]
    fn only_processes_of_the_run_are_killed() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let ours = root.join("att/1/out");
        let other = root.join("other");
        fs::create_dir_all(&ours).unwrap();
        fs::create_dir_all(&other).unwrap();
        let sleep = |home: &Path, cwd: &Path| {
            Command::new("sleep").arg("60").env("HOME", home).current_dir(cwd).spawn().unwrap()
        };
        let mut by_home = sleep(&ours, Path::new("/"));
        let mut by_cwd = sleep(&other, &ours);
        let mut bystander = sleep(&other, &other);
        sweep(&root.join("att"));
        assert!(by_home.wait().unwrap().code().is_none());
        assert!(by_cwd.wait().unwrap().code().is_none());
        assert!(bystander.try_wait().unwrap().is_none());
        bystander.kill().unwrap();
        bystander.wait().unwrap();
    }
}
