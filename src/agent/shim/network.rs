//! `NetworkAccess: false`, enforced (CWL v1.2, "NetworkAccess"): a seccomp filter that denies Internet sockets.

use std::collections::BTreeMap;
use std::io;
use std::process::{Child, Command};

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};

/// Starts a process that cannot open Internet sockets, loopback included, nor can its descendants.
///
/// A filter holds for the thread that installs it and for what this thread starts, so a thread of its own does both.
pub(super) fn spawn_without(command: &mut Command) -> io::Result<Child> {
    let filter = filter().map_err(io::Error::other)?;
    std::thread::scope(|scope| {
        let starting = scope.spawn(|| {
            seccompiler::apply_filter(&filter).map_err(io::Error::other)?;
            command.spawn()
        });
        starting.join().unwrap_or_else(|_| Err(io::Error::other("the starting thread failed")))
    })
}

fn filter() -> Result<BpfProgram, seccompiler::BackendError> {
    let domain = |family: i32| {
        let family = u64::from(family.unsigned_abs());
        let condition = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, family)?;
        SeccompRule::new(vec![condition])
    };
    let denied = vec![domain(libc::AF_INET)?, domain(libc::AF_INET6)?, domain(libc::AF_PACKET)?];
    // Rings can open sockets without the system call.
    let rules = BTreeMap::from([(libc::SYS_socket, denied), (libc::SYS_io_uring_setup, Vec::new())]);
    let filter = SeccompFilter::new(
        rules,
        SeccompAction::Allow,
        SeccompAction::Errno(libc::ENETUNREACH.unsigned_abs()),
        std::env::consts::ARCH.try_into()?,
    )?;
    filter.try_into()
}
