//! Pages of jobs.

use jiff::Timestamp;
use maud::{Markup, html};
use serde_json::Value as Json;

use super::{Page, link, links, list, prose, text, value};
use crate::backend::{JobFailure, JobRecord, StepRecord};
use crate::limits::REFRESH_SECONDS;
use crate::links::Base;

/// Characters of a message in the list; the job's own page has all of it.
const MESSAGE_CHARACTERS: usize = 160;

/// The list of jobs: a line each, and one more where there is more to say. All of a job is on its own page.
pub fn jobs(base: &Base, document: &Json) -> Page {
    let jobs = list(document, "jobs");
    let body = html! {
        @if jobs.is_empty() { p { "No jobs here." } } @else {
            table class="jobs" {
                thead { tr { th { "Job" } th { "Process" } th { "Status" } th { "Created" } th { "Took" } } }
                @for job in jobs { (line(base, job)) }
            }
        }
        (links(base, document))
    };
    Page::new("Jobs", body).below(base, &[]).of(document)
}

fn line(base: &Base, job: &Json) -> Markup {
    let (id, process) = (text(job, "jobID"), text(job, "processID"));
    html! {
        tbody {
            tr {
                td { a href=(base.url(&format!("jobs/{id}"))) { code { (id) } } }
                td { a href=(base.url(&format!("processes/{process}"))) { (process) } }
                td { (status(job)) }
                td { (moment(text(job, "created"))) }
                td { (took(job).unwrap_or_default()) }
            }
            @if text(job, "status") != "successful" {
                tr { td colspan="5" { small { (prose(&shortened(text(job, "message")))) } } }
            }
        }
    }
}

/// The state of a job: the document, its steps, and why it failed.
pub fn job(base: &Base, document: &Json, record: &JobRecord) -> Page {
    let process = text(document, "processID");
    let body = html! {
        p { (status(document)) }
        @match &record.failure {
            Some(failure) => (failed(failure)),
            None => p { (prose(text(document, "message"))) },
        }
        dl {
            dt { "process" } dd { a href=(base.url(&format!("processes/{process}"))) { (process) } }
            @for name in ["created", "started", "finished"] {
                @if document.get(name).is_some() { dt { (name) } dd { (time(text(document, name))) } }
            }
            @if let Some(took) = took(document) { dt { "took" } dd { (took) } }
            @if document.get("finished").is_none() { dt { "updated" } dd { (time(text(document, "updated"))) } }
            @if text(document, "status") == "failed" { dt { "progress" } dd { (progress(document)) " %" } }
        }
        @if !record.steps.is_empty() { h2 { "Steps" } (steps(&record.steps)) }
        (links(base, document))
    };
    let is_over = !matches!(text(document, "status"), "accepted" | "running");
    Page::new(format!("Job {}", record.id), body)
        .below(base, &[("Jobs", "jobs")])
        .of(document)
        .refreshed((!is_over).then_some(REFRESH_SECONDS))
}

/// The results of a job.
pub fn results(base: &Base, job: &str, document: &Json) -> Page {
    let path = format!("jobs/{job}");
    Page::new("Results", value(document)).below(base, &[("Jobs", "jobs"), (job, &path)]).of(&Json::Null)
}

/// The state in a word; of a job that runs, how far it is.
fn status(job: &Json) -> Markup {
    let status = text(job, "status");
    html! {
        strong class=(status) { (status) }
        @if status == "running" {
            @let progress = progress(job);
            " " progress max="100" value=(progress) {} " " (progress) " %"
        }
    }
}

fn progress(job: &Json) -> u64 {
    job.get("progress").and_then(Json::as_u64).unwrap_or_default()
}

fn time(text: &str) -> Markup {
    html! { time datetime=(text) { (text) } }
}

/// A time to the second, without the letter between day and time.
fn moment(text: &str) -> Markup {
    html! { time datetime=(text) { (text.split('.').next().unwrap_or(text).replace('T', " ")) "Z" } }
}

/// How long a job took from its start to its end, if it has both.
fn took(job: &Json) -> Option<String> {
    let moment = |name: &str| text(job, name).parse::<Timestamp>().ok();
    let span = moment("finished")?.duration_since(moment("started")?);
    let seconds = span.as_secs();
    Some(match seconds {
        ..60 => format!("{:.1} s", span.as_secs_f64()),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    })
}

fn shortened(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default();
    match line.char_indices().nth(MESSAGE_CHARACTERS) {
        Some((end, _)) => format!("{} …", &line[..end]),
        None if line.len() < message.trim_end().len() => format!("{line} …"),
        None => line.to_owned(),
    }
}

fn failed(failure: &JobFailure) -> Markup {
    html! {
        section class="failure" id=(link::FAILURE) {
            h2 { "Why it failed: " (failure.class) }
            p { (prose(&failure.message)) }
            dl {
                @if let Some(step) = &failure.step { dt { "step" } dd { code { (step) } } }
                @if let Some(code) = failure.exit_code { dt { "exit code" } dd { code { (code) } } }
            }
            @if let Some(stderr) = &failure.stderr { p { "The end of what it wrote:" } pre { (stderr) } }
        }
    }
}

fn steps(steps: &[StepRecord]) -> Markup {
    html! {
        table class="steps" {
            thead {
                tr { th { "Step" } th { "Total" } th { "Done" } th { "Running" } th { "Failed" } th { "Not started" } }
            }
            tbody {
                @for step in steps {
                    @let begun = step.succeeded + step.running + step.failed;
                    tr {
                        td { code { (step.name) } }
                        td { (step.total) } td { (step.succeeded) } td { (step.running) } td { (step.failed) }
                        td { (step.total.saturating_sub(begun)) }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_job_says_how_long_it_took_once_it_is_over() {
        let of = |finished: &str| took(&json!({"started": "2026-01-01T00:00:00.000Z", "finished": finished}));
        assert_eq!(of("2026-01-01T00:00:06.229Z").unwrap(), "6.2 s");
        assert_eq!(of("2026-01-01T00:03:05.000Z").unwrap(), "3 min 5 s");
        assert_eq!(of("2026-01-01T02:03:05.000Z").unwrap(), "2 h 3 min");
        assert_eq!(of(""), None);
    }

    #[test]
    fn long_messages_are_shortened_in_the_list() {
        assert_eq!(shortened("one\ntwo"), "one …");
        assert_eq!(shortened("one\n"), "one");
        assert_eq!(shortened(&"ä".repeat(200)).chars().count(), MESSAGE_CHARACTERS + 2);
    }
}
