//! Pages of jobs.

use maud::{Markup, html};
use serde_json::Value as Json;

use super::{Page, links, list, others, text, value};
use crate::backend::{JobFailure, JobRecord, StepRecord};
use crate::links::Base;

/// The list of jobs.
pub fn jobs(base: &Base, document: &Json) -> Page {
    let jobs = list(document, "jobs");
    let body = html! {
        @if jobs.is_empty() { p { "No jobs here." } } @else {
            table {
                thead { tr { th { "Job" } th { "Process" } th { "Status" } th { "Created" } th { "More" } } }
                tbody {
                    @for job in jobs {
                        @let process = text(job, "processID");
                        tr {
                            td {
                                a href=(base.url(&format!("jobs/{}", text(job, "jobID")))) { code { (text(job, "jobID")) } }
                            }
                            td { a href=(base.url(&format!("processes/{process}"))) { (process) } }
                            td { (status(job)) }
                            td { (time(text(job, "created"))) }
                            td {
                                (others(job, &["jobID", "id", "processID", "status", "progress", "created", "links"]))
                                ul { @for link in list(job, "links") { li { (value(link)) } } }
                            }
                        }
                    }
                }
            }
        }
        (links(document))
    };
    Page::new("Jobs", body).below(base, &[])
}

/// The state of a job: the document, its steps, and why it failed.
pub fn job(base: &Base, document: &Json, record: &JobRecord) -> Page {
    let process = text(document, "processID");
    let body = html! {
        p { (status(document)) }
        @let message = text(document, "message");
        @if record.failure.as_ref().is_none_or(|failure| failure.message != message) { p { (message) } }
        @if let Some(failure) = &record.failure { (failed(failure)) }
        dl {
            dt { "process" } dd { a href=(base.url(&format!("processes/{process}"))) { (process) } }
            @for name in ["created", "started", "finished", "updated"] {
                @if document.get(name).is_some() { dt { (name) } dd { (time(text(document, name))) } }
            }
        }
        (others(document, &["processID", "status", "progress", "message", "created", "started", "finished", "updated", "links"]))
        @if !record.steps.is_empty() { h2 { "Steps" } (steps(&record.steps)) }
        (links(document))
    };
    Page::new(format!("Job {}", record.id), body).below(base, &[("Jobs", "jobs")])
}

/// The results of a job.
pub fn results(base: &Base, job: &str, document: &Json) -> Page {
    let path = format!("jobs/{job}");
    Page::new("Results", value(document)).below(base, &[("Jobs", "jobs"), (job, &path)])
}

fn status(job: &Json) -> Markup {
    let status = text(job, "status");
    let progress = job.get("progress").and_then(Json::as_u64);
    html! {
        strong class=(status) { (status) }
        @if let Some(progress) = progress {
            " " progress max="100" value=(progress) {} " " (progress) " %"
        }
    }
}

fn time(text: &str) -> Markup {
    html! { time datetime=(text) { (text) } }
}

fn failed(failure: &JobFailure) -> Markup {
    html! {
        section class="failure" {
            h2 { "Why it failed: " (failure.class) }
            p { (failure.message) }
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
        table {
            thead { tr { th { "Step" } th { "Known" } th { "Running" } th { "Done" } th { "Failed" } } }
            tbody {
                @for step in steps {
                    tr {
                        td { code { (step.name) } }
                        td { (step.total) } td { (step.running) } td { (step.succeeded) } td { (step.failed) }
                    }
                }
            }
        }
    }
}
