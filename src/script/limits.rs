//! The limits of script evaluation, with their units and reasons.

use std::time::Duration;

/// Bytes of one encoded request (library, source and variables together): 16 MiB.
///
/// `loadContents` is 64 KiB a file (CWL v1.2), so this is room for a few hundred loaded files.
pub const REQUEST_BYTES: usize = 16 << 20;

/// Bytes of one result as JSON text: 16 MiB.
pub const RESULT_BYTES: usize = 16 << 20;

/// Bytes of a frame: a result whose every byte is escaped (`"` to `\"`) and its envelope.
pub const FRAME_BYTES: usize = 2 * RESULT_BYTES + 4096;

/// Bytes of the JavaScript heap of one evaluation: 64 MiB.
///
/// Also bounds native loops (`join`, `repeat`), which cannot be interrupted by the clock.
pub const HEAP_BYTES: usize = 64 << 20;

/// Bytes of native stack that JavaScript may use: 1 MiB of the 8 MiB that a main thread has.
pub const STACK_BYTES: usize = 1 << 20;

/// Wall-clock time of one evaluation, whatever the request asks for.
pub const LONGEST_EVALUATION: Duration = Duration::from_mins(1);

/// Wall-clock time beyond an evaluation's own limit after which its worker is killed.
///
/// Covers transmission and native loops between two looks at the clock on a busy machine.
pub const GRACE: Duration = Duration::from_secs(1);

/// Wall-clock time from the start of a worker to its hello.
pub const START: Duration = Duration::from_secs(10);

/// CPU seconds of one worker process; a worker that has used them up is replaced unnoticed.
pub const CPU_SECONDS: u64 = 600;

/// Bytes of address space of a worker: program, stack, heap, and frames in several forms.
pub const ADDRESS_SPACE_BYTES: u64 = 512 << 20;

/// Bytes of requests that wait, encoded, while the worker evaluates an earlier one.
pub const BACKLOG_BYTES: usize = 256 << 10;

/// Characters of an exception's message that are kept.
pub const MESSAGE_CHARS: usize = 2000;
