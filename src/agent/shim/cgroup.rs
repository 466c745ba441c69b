//! What the container's memory cgroup tells, version 1 and 2, as it is visible inside of a container.

use std::fs;
use std::path::{Path, PathBuf};

/// Where cgroups are mounted.
const ROOT: &str = "/sys/fs/cgroup";

/// The memory figures of a cgroup; absent ones are not told by this kernel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Memory {
    /// Processes killed so far.
    pub(super) oom_kills: u64,
    /// Peak use in bytes, page cache included.
    pub(super) peak_bytes: Option<u64>,
}

impl Memory {
    /// Reads the figures of the shim's own cgroup.
    pub(super) fn now() -> Self {
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        Self::read(Path::new(ROOT), &own)
    }

    fn read(root: &Path, own: &str) -> Self {
        // Inside of a container its own cgroup is usually mounted as the root, though `own` may say the host's path.
        for folder in folders(root, own) {
            let read = |name: &str| fs::read_to_string(folder.join(name)).ok();
            if let Some(events) = read("memory.events") {
                return Self { oom_kills: oom_kills(&events), peak_bytes: read("memory.peak").and_then(number) };
            }
            if let Some(control) = read("memory.oom_control") {
                let peak_bytes = read("memory.max_usage_in_bytes").and_then(number);
                return Self { oom_kills: oom_kills(&control), peak_bytes };
            }
        }
        Self::default()
    }
}

/// Where the files may be, the likeliest first.
fn folders(root: &Path, own: &str) -> Vec<PathBuf> {
    let path_of = |line: &str| line.splitn(3, ':').nth(2).map(|path| path.trim_start_matches('/').to_owned());
    let v1 = own.lines().find(|line| line.split(':').nth(1).is_some_and(|c| c.split(',').any(|c| c == "memory")));
    let v2 = own.lines().find(|line| line.starts_with("0::"));
    let mut folders = Vec::new();
    if let Some(path) = v1.and_then(path_of) {
        folders.push(root.join("memory").join(path));
    }
    folders.push(root.join("memory"));
    if let Some(path) = v2.and_then(path_of) {
        folders.push(root.join(path));
    }
    folders.push(root.to_owned());
    folders
}

/// The line `oom_kill N`, which both versions have.
fn oom_kills(text: &str) -> u64 {
    let count = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
    count.and_then(|count| count.trim().parse().ok()).unwrap_or(0)
}

#[expect(clippy::needless_pass_by_value, reason = "fits `Option<String>::and_then`")]
fn number(text: String) -> Option<u64> {
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_are_read_below_the_own_path_or_at_the_root() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        assert_eq!(Memory::read(root, "0::/\n"), Memory::default());
        fs::write(root.join("memory.events"), "low 0\noom 2\noom_kill 2\noom_group_kill 0\n").unwrap();
        fs::write(root.join("memory.peak"), "4096\n").unwrap();
        assert_eq!(Memory::read(root, "0::/kubepods/x\n"), Memory { oom_kills: 2, peak_bytes: Some(4096) });
        let v1 = root.join("memory/kubepods/pod1");
        fs::create_dir_all(&v1).unwrap();
        fs::write(v1.join("memory.oom_control"), "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n").unwrap();
        let own = "5:cpuset:/\n4:memory:/kubepods/pod1\n0::/\n";
        assert_eq!(Memory::read(root, own), Memory { oom_kills: 3, peak_bytes: None });
    }
}
