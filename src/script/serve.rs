//! The worker's side: read a task, evaluate it, write the reply.

use std::io::{self, Read, Write};
use std::process::ExitCode;

use crate::frame::{self, PREFIX, Task};
use crate::{evaluate, limits, sandbox};

/// The whole life of a worker process: enters the sandbox, then answers tasks from standard input
/// on standard output until the input ends.
///
/// Must be the first thing that `main` does, before any thread is started: the sandbox covers the
/// calling thread and leaves the process no right to open anything.
pub fn worker_main() -> ExitCode {
    let sandbox = sandbox::enter();
    let mut output = io::stdout().lock();
    let served = frame::encode(&sandbox)
        .and_then(|hello| send(&mut output, &hello))
        .and_then(|()| serve(&mut io::stdin().lock(), &mut output));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn serve(input: &mut impl Read, output: &mut impl Write) -> io::Result<()> {
    while let Some(json) = receive(input)? {
        let task: Task = serde_json::from_slice(&json)?;
        drop(json);
        let reply = evaluate::evaluate(&task);
        send(output, &frame::encode(&reply)?)?;
    }
    Ok(())
}

/// The next frame's JSON; none when the input ends between two frames.
fn receive(input: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut prefix = [0; PREFIX];
    match input.read_exact(&mut prefix) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let mut json = vec![0; frame::length(prefix)?];
    input.read_exact(&mut json)?;
    Ok(Some(json))
}

fn send(output: &mut impl Write, frame: &[u8]) -> io::Result<()> {
    debug_assert!(frame.len() <= limits::FRAME_BYTES + PREFIX);
    output.write_all(frame)?;
    output.flush()
}
