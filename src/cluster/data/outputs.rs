//! From the agent's report to the outcome.
//!
//! `exited` says what else must be read or stored; `completed` collects once more, from the same report, and writes the
//! manifest of what was stored. Both depend on nothing but their arguments and the store, so that it does not matter which
//! operator answers (I1).

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use weir_api::FailureClass;
use weir_api::agent::{Complete, Exited, PresignedPut, ReadRequest, UploadRequest, Uploaded, Usage as AgentUsage};
use weir_api::limits::LISTING_ENTRIES_MAX;
use weir_cwl::command::Kind;
use weir_cwl::output::{OutputDirectory, OutputError, collect};
use weir_cwl::value::EntryRef;
use weir_cwl::{CommandLineTool, Process, Record};
use weir_plan::action::Launch;
use weir_plan::event::{Failure, Usage};
use weir_plan::{Outcome, Timestamp};
use weir_script::Scripts;
use weir_store::blob::Sha256Hex;
use weir_store::manifest::{self, Manifest, Member, Stored};
use weir_store::media;
use weir_store::presign::{Presigned, PutTerms};

use super::discreet::discreet;
use super::ending::{Bad, Codes, judge};
use super::files::{Source, StoreFiles};
use super::location::Location;
use super::order::{Order, Refusal};
use super::report::{Informed, Lacking, Place, Reported, join};
use crate::context::JobContext;
use crate::limits::{PRESIGNED_TIME, READS_MAX};

/// What to answer to a report.
#[derive(Debug)]
pub enum Collected {
    /// These contents are needed first.
    Read(Vec<ReadRequest>),
    /// These files are to be stored; none if only empty directories are to be remembered.
    Upload(Vec<UploadRequest>),
    /// It is over, nothing to store.
    Over(Outcome),
}

/// The store, or a server with inputs, does not answer. Nothing is decided: the agent asks again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the outputs cannot be collected now: {0}")]
pub struct Unavailable(String);

/// A tool that has ended. Blocks: evaluates scripts.
pub fn exited(context: &JobContext, launch: &Launch, order: &Order, exited: &Exited) -> Result<Collected, Unavailable> {
    let (outputs, wanted) = match gather(context, launch, order, exited)? {
        Gathered::Lacking(requests) => return Ok(Collected::Read(requests)),
        Gathered::Bad(bad) => {
            return Ok(Collected::Over(failed(launch, bad, &exited.usage, exited.stderr_tail.as_ref())));
        }
        Gathered::Good { outputs, wanted } => (outputs, wanted),
    };
    if wanted.is_empty() {
        return Ok(Collected::Over(succeeded(exited, outputs, 0)));
    }
    let now = SystemTime::now();
    let sign = |(number, path): (usize, &String)| {
        let key = context.keys.upload(launch.incarnation.0, number);
        let content_type = media::type_of(path).map(str::to_owned);
        let terms = PutTerms { create: true, content_type, ..PutTerms::default() };
        let Presigned { url, headers } = context.services.signer.put(key.as_ref(), &terms, now, PRESIGNED_TIME)?;
        Ok(UploadRequest { path: path.clone(), put: PresignedPut { url, headers } })
    };
    let requests: Result<Vec<_>, Refusal> = uploads(&wanted).iter().enumerate().map(sign).collect();
    Ok(match requests {
        Ok(requests) => Collected::Upload(requests),
        Err(refusal) => Collected::Over(refused(launch, &refusal, timestamp(now))),
    })
}

/// An agent that has stored what it was asked for. Blocks: evaluates scripts, writes the manifest.
pub fn completed(
    context: &JobContext,
    launch: &Launch,
    order: &Order,
    complete: &Complete,
) -> Result<Outcome, Unavailable> {
    let exited = &complete.exited;
    let bad = |class, message: String| {
        let exit_code = match exited.ending {
            weir_api::agent::Ending::Code(code) => Some(code),
            _ => None,
        };
        Ok(failed(launch, Bad { class, message, exit_code }, &exited.usage, exited.stderr_tail.as_ref()))
    };
    if let Some(failure) = &complete.failure {
        return bad(failure.class, failure.message.clone());
    }
    let (outputs, wanted) = match gather(context, launch, order, exited)? {
        Gathered::Good { outputs, wanted } => (outputs, wanted),
        Gathered::Bad(bad) => return Ok(failed(launch, bad, &exited.usage, exited.stderr_tail.as_ref())),
        Gathered::Lacking(requests) => {
            let path = requests.first().map_or("", |request| request.path.as_str());
            return bad(FailureClass::Platform, format!("the agent's last report lacks the contents of `{path}`"));
        }
    };
    let manifest = match manifest_of(launch.incarnation.0, &wanted, &complete.uploaded) {
        Ok(manifest) => manifest,
        Err(message) => return bad(FailureClass::Platform, message),
    };
    if !manifest.is_empty() {
        let write = manifest::put(context.services.store.as_ref(), &context.keys, launch.incarnation.0, &manifest);
        match tokio::runtime::Handle::current().block_on(write) {
            Ok(()) => {}
            Err(error) if error.is_temporary() => return Err(Unavailable(error.to_string())),
            Err(error) => return bad(FailureClass::OutputInvalid, error.to_string()),
        }
        context.data.remember(launch.incarnation.0, manifest);
    }
    let bytes = complete.uploaded.iter().map(|uploaded| uploaded.size).sum();
    Ok(succeeded(exited, outputs, bytes))
}

/// A launch that was refused before anything of it ran.
pub fn refused(launch: &Launch, refusal: &Refusal, now: Timestamp) -> Outcome {
    let usage = AgentUsage { started_ms: now.0, finished_ms: now.0, ..AgentUsage::default() };
    let bad = Bad { class: refusal.class, message: refusal.message.clone(), exit_code: None };
    failed(launch, bad, &usage, None)
}

/// What a report comes to.
enum Gathered {
    /// The tool succeeded.
    Good {
        /// Its output object.
        outputs: Record,
        /// What the output object refers to, by path in the output directory.
        wanted: BTreeMap<String, Wanted>,
    },
    /// The tool or its outputs failed.
    Bad(Bad),
    /// Not known yet.
    Lacking(Vec<ReadRequest>),
}

/// What is to stand in the manifest at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Wanted {
    /// The file at this path of the output directory, no link.
    File(String),
    /// A staged input that a link leads to.
    Staged(Stored),
    /// A directory without members.
    Empty,
}

fn tool_of<'a>(context: &'a JobContext, launch: &Launch) -> Option<&'a CommandLineTool> {
    match &context.intent.package().processes[launch.tool.0] {
        Process::CommandLineTool(tool) => Some(tool),
        _ => None,
    }
}

fn codes_of(tool: &CommandLineTool) -> Codes<'_> {
    Codes { success: &tool.success_codes, temporary: &tool.temporary_fail_codes }
}

fn gather(context: &JobContext, launch: &Launch, order: &Order, exited: &Exited) -> Result<Gathered, Unavailable> {
    let bad = |class, message, exit_code| Ok(Gathered::Bad(Bad { class, message, exit_code }));
    let Some(tool) = tool_of(context, launch) else {
        let message = "only a CommandLineTool has outputs to collect".to_owned();
        return bad(FailureClass::Unsupported, message, None);
    };
    let limit = order.work.time_limit.map(|limit| limit.as_secs());
    let code = match judge(&exited.ending, &exited.hints, codes_of(tool), &launch.resources, limit) {
        Ok(code) => code,
        Err(bad) => return Ok(Gathered::Bad(bad)),
    };
    let invalid = |message| bad(FailureClass::OutputInvalid, message, Some(code));
    if let Some(why) = &exited.listing.incomplete {
        return invalid(format!("not everything in the output directory could be listed: {why}"));
    }
    if exited.contents.len() > READS_MAX {
        return invalid(format!("its outputs need the contents of more than {READS_MAX} files"));
    }
    let mut runtime = order.runtime.clone();
    runtime.exit_code = Some(code);
    let lacking = Lacking::default();
    let mut outdir = Reported::new(exited, order, StoreFiles::new(context), &lacking);
    let mut scripts = Informed { scripts: Scripts(context.services.scripts.clone()), lacking: &lacking };
    let collected = collect(tool, &launch.requirements, &order.work, &runtime, &mut outdir, &mut scripts);
    if let Some(trouble) = outdir.trouble() {
        return Err(Unavailable(trouble.to_owned()));
    }
    let outputs = match collected {
        _ if !lacking.is_empty() => return Ok(Gathered::Lacking(lacking.into_requests())),
        Ok(outputs) => outputs,
        Err(error @ OutputError::Expression { .. }) => {
            return bad(FailureClass::Expression, error.to_string(), Some(code));
        }
        Err(error) => return invalid(error.to_string()),
    };
    let mut walk = Walk { incarnation: launch.incarnation.0, outdir: &mut outdir, wanted: BTreeMap::new() };
    match walk.outputs(&outputs) {
        Ok(()) => Ok(Gathered::Good { wanted: walk.wanted, outputs }),
        Err(message) => invalid(message),
    }
}

/// Finds what an output object refers to.
struct Walk<'a, 'b> {
    incarnation: u64,
    outdir: &'a mut Reported<'b>,
    wanted: BTreeMap<String, Wanted>,
}

impl Walk<'_, '_> {
    fn outputs(&mut self, outputs: &Record) -> Result<(), String> {
        let mut referred = BTreeSet::new();
        for value in outputs.values() {
            value.for_each_entry(&mut |entry| {
                let own = entry.location().and_then(Location::parse).filter(|own| own.incarnation == self.incarnation);
                referred.extend(own.map(|own| (own.path, matches!(entry, EntryRef::Directory(_)))));
            });
        }
        referred.into_iter().try_for_each(
            |(path, is_directory)| {
                if is_directory { self.directory(&path) } else { self.member(&path) }
            },
        )
    }

    fn want(&mut self, path: &str, wanted: Wanted) -> Result<(), String> {
        self.wanted.insert(path.to_owned(), wanted);
        if self.wanted.len() > LISTING_ENTRIES_MAX {
            return Err(format!("its outputs have more than {LISTING_ENTRIES_MAX} files, links followed"));
        }
        Ok(())
    }

    /// A directory with all of its members; links in it are followed.
    fn directory(&mut self, path: &str) -> Result<(), String> {
        let names = self.outdir.list(path)?;
        if names.is_empty() && !path.is_empty() {
            return self.want(path, Wanted::Empty);
        }
        names.iter().try_for_each(|name| self.member(&join(path, name)))
    }

    fn member(&mut self, path: &str) -> Result<(), String> {
        match self.outdir.place(path) {
            None => Ok(()),
            Some(Place::Inside(inside)) => match self.outdir.look(path)?.map(|found| found.kind) {
                Some(Kind::File(_)) => self.want(path, Wanted::File(inside)),
                Some(Kind::Directory) => self.directory(path),
                None => Ok(()),
            },
            Some(Place::Elsewhere(target)) => match self.outdir.placed(&target) {
                Some(source) => self.staged(path, &target, source),
                None => Err(format!("`{path}` is a symbolic link to {target}, outside of the output directory")),
            },
        }
    }

    /// A link to an input: its object is referred to, nothing is stored again.
    fn staged(&mut self, path: &str, target: &str, source: &Source) -> Result<(), String> {
        match source {
            Source::Stored(stored) => self.want(path, Wanted::Staged(stored.clone())),
            Source::Folder => {
                let below = self.outdir.placed_below(target);
                if below.is_empty() {
                    return self.want(path, Wanted::Empty);
                }
                // A directory is mentioned besides its members where a literal one was placed.
                let files = below.iter().filter(|(_, source)| **source != Source::Folder);
                files.into_iter().try_for_each(|(name, source)| {
                    self.staged(&format!("{path}/{name}"), &format!("{target}/{name}"), source)
                })
            }
            Source::Remote { .. } | Source::Literal(_) => Err(format!(
                "`{path}` is a symbolic link to the input {target}, which is not in the store; let the tool copy it"
            )),
        }
    }
}

/// The files to be stored, in the order of their numbers: sorted, each once.
fn uploads(wanted: &BTreeMap<String, Wanted>) -> Vec<String> {
    let files: BTreeSet<_> = wanted
        .values()
        .filter_map(|wanted| if let Wanted::File(path) = wanted { Some(path.clone()) } else { None })
        .collect();
    files.into_iter().collect()
}

fn manifest_of(incarnation: u64, wanted: &BTreeMap<String, Wanted>, uploaded: &[Uploaded]) -> Result<Manifest, String> {
    let uploaded: BTreeMap<&str, &Uploaded> = uploaded.iter().map(|file| (file.path.as_str(), file)).collect();
    let mut stored = BTreeMap::new();
    for (number, path) in uploads(wanted).into_iter().enumerate() {
        let file = uploaded.get(path.as_str()).ok_or_else(|| format!("the agent did not store `{path}`"))?;
        let sha256 = Sha256Hex::try_from(file.sha256.clone()).map_err(|error| format!("`{path}`: {error}"))?;
        stored.insert(path, Stored { object: format!("att/{incarnation}/{number}"), sha256, size: file.size });
    }
    let mut manifest = Manifest::default();
    for (path, wanted) in wanted {
        let member = match wanted {
            Wanted::File(file) => stored.get(file).cloned().map(Member::File),
            Wanted::Staged(stored) => Some(Member::File(stored.clone())),
            Wanted::Empty => Some(Member::Empty {}),
        };
        if let Some(member) = member {
            manifest.insert(path, member).map_err(|error| error.to_string())?;
        }
    }
    Ok(manifest)
}

fn succeeded(exited: &Exited, outputs: Record, output_bytes: u64) -> Outcome {
    let exit_code = match exited.ending {
        weir_api::agent::Ending::Code(code) => Some(code),
        _ => None,
    };
    let usage = Usage { output_bytes, ..measured(&exited.usage) };
    Outcome { outputs: Some(outputs), failure: None, exit_code, usage }
}

fn failed(launch: &Launch, bad: Bad, usage: &AgentUsage, stderr_tail: Option<&String>) -> Outcome {
    let Bad { class, message, exit_code } = bad;
    let failure = Failure {
        class,
        message: format!("step `{}`: {}", launch.instance, discreet(&message)),
        instance: Some(launch.instance.clone()),
        exit_code,
        stderr_tail: stderr_tail.filter(|tail| !tail.is_empty()).cloned(),
    };
    Outcome { outputs: None, failure: Some(failure), exit_code, usage: measured(usage) }
}

/// What was used; a tool that never started has used nothing, now.
fn measured(usage: &AgentUsage) -> Usage {
    let now = timestamp(SystemTime::now());
    let started = if usage.started_ms == 0 { now } else { Timestamp(usage.started_ms) };
    Usage {
        started,
        finished: if usage.finished_ms == 0 { started } else { Timestamp(usage.finished_ms) },
        cpu_seconds: usage.cpu_seconds,
        memory_peak_bytes: usage.memory_peak_bytes,
        output_bytes: 0,
    }
}

fn timestamp(time: SystemTime) -> Timestamp {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
