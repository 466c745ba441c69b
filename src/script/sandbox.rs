//! The rights that a worker gives up before it reads its first task.
//!
//! Layers, each useful without the others: resource limits, `no_new_privs`, death with the parent,
//! and a seccomp filter that leaves reading the input, writing the output, memory, clocks and exit.
//! The owner of the worker adds an empty environment and `/` as working directory.

use std::collections::BTreeMap;

use rustix::process::{Resource, Rlimit, Signal};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};
use serde::{Deserialize, Serialize};

use crate::limits;

/// What a worker says of its sandbox when it starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sandbox {
    /// The layers that the kernel refused, each with the reason; empty when all stand.
    pub missing: Vec<String>,
}

/// Gives up the rights of the calling process, for good. Refused layers are reported, not fatal:
/// some kernels (gVisor, old ones) know no seccomp, and the other layers still hold.
pub fn enter() -> Sandbox {
    let mut missing = Vec::new();
    let mut layer = |name: &str, result: Result<(), String>| {
        if let Err(reason) = result {
            missing.push(format!("{name}: {reason}"));
        }
    };
    for (name, resource, limit) in RESOURCES {
        layer(name, restrict(*resource, *limit).map_err(|errno| errno.to_string()));
    }
    let death = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
    layer("parent death signal", death.map_err(|errno| errno.to_string()));
    let privileges = rustix::thread::set_no_new_privs(true);
    layer("no_new_privs", privileges.map_err(|errno| errno.to_string()));
    layer("seccomp", filter_system_calls().map_err(|error| error.to_string()));
    Sandbox { missing }
}

/// Limits of the process: memory, time, and nothing that could be opened, written or started.
const RESOURCES: &[(&str, Resource, u64)] = &[
    ("RLIMIT_AS", Resource::As, limits::ADDRESS_SPACE_BYTES),
    ("RLIMIT_CPU", Resource::Cpu, limits::CPU_SECONDS),
    // Standard input, output and error stay; no further descriptor can be had.
    ("RLIMIT_NOFILE", Resource::Nofile, 3),
    ("RLIMIT_NPROC", Resource::Nproc, 0),
    ("RLIMIT_FSIZE", Resource::Fsize, 0),
    ("RLIMIT_CORE", Resource::Core, 0),
];

/// Lowers a limit; one that is lower already stays.
fn restrict(resource: Resource, limit: u64) -> rustix::io::Result<()> {
    let maximum = rustix::process::getrlimit(resource).maximum;
    let limit = maximum.map_or(limit, |maximum| maximum.min(limit));
    rustix::process::setrlimit(resource, Rlimit { current: Some(limit), maximum: Some(limit) })
}

/// Every call that is not listed fails with `EPERM`: the C library copes with that, and an
/// attacker gains nothing from being told.
fn filter_system_calls() -> Result<(), seccompiler::Error> {
    let filter = SeccompFilter::new(
        rules()?,
        SeccompAction::Errno(libc::EPERM.unsigned_abs()),
        SeccompAction::Allow,
        std::env::consts::ARCH.try_into()?,
    )?;
    let program = BpfProgram::try_from(filter)?;
    seccompiler::apply_filter(&program)
}

/// Allowed system calls; an empty list of rules allows any arguments.
fn rules() -> Result<BTreeMap<i64, Vec<SeccompRule>>, seccompiler::BackendError> {
    let anything = [
        // Memory.
        libc::SYS_brk,
        libc::SYS_munmap,
        libc::SYS_mremap,
        libc::SYS_madvise,
        // Clocks, where the vDSO does not serve them.
        libc::SYS_clock_gettime,
        libc::SYS_gettimeofday,
        // The C library and the runtime.
        libc::SYS_futex,
        libc::SYS_getrandom,
        libc::SYS_rt_sigaction,
        libc::SYS_rt_sigprocmask,
        libc::SYS_rt_sigreturn,
        libc::SYS_sigaltstack,
        libc::SYS_restart_syscall,
        // The end.
        libc::SYS_exit,
        libc::SYS_exit_group,
    ];
    let mut rules: BTreeMap<_, _> = anything.into_iter().map(|call| (call, Vec::new())).collect();
    let executable = u64::from(libc::PROT_EXEC.unsigned_abs());
    let not_executable = || argument(2, SeccompCmpOp::MaskedEq(executable), 0);
    rules.insert(libc::SYS_mmap, vec![not_executable()?]);
    rules.insert(libc::SYS_mprotect, vec![not_executable()?]);
    rules.insert(libc::SYS_read, vec![argument(0, SeccompCmpOp::Eq, 0)?]);
    rules.insert(libc::SYS_write, vec![argument(0, SeccompCmpOp::Eq, 1)?, argument(0, SeccompCmpOp::Eq, 2)?]);
    Ok(rules)
}

fn argument(index: u8, operator: SeccompCmpOp, value: u64) -> Result<SeccompRule, seccompiler::BackendError> {
    let condition = SeccompCondition::new(index, SeccompCmpArgLen::Dword, operator, value)?;
    SeccompRule::new(vec![condition])
}
