//! Texts of a job beside the API, where the platforms of OGC 20-089r1 have them:
//! `/{tenant}/temp/{processID}-{jobID}/{file}`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::response::{IntoResponse, Response};
use futures_util::TryStreamExt as _;

use crate::Facade;
use crate::backend::{ByteStream, JobRecord};
use crate::limits::{TEXT_FOLDER_TRIES, TEXT_SHOWN_BYTES};
use crate::names::{JobId, Tenant};
use crate::negotiate::{Format, JSON};
use crate::pages;
use crate::problem::Problem;
use crate::tenant::Scope;

/// `GET /temp/{work}/{file}`: as far as it is written, streamed.
pub(super) async fn text(
    State(facade): State<Arc<Facade>>,
    Scope { tenant, base }: Scope,
    Path(segments): Path<Vec<(String, String)>>,
    format: Option<Format>,
) -> Result<Response, Problem> {
    let segment = |name: &str| segments.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str());
    let (work, file) = (segment("work"), segment("file"));
    let nothing = || Problem::not_found("such text: the links of a job's state name those that there are");
    let job = job_of(&facade, &tenant, work).await?.ok_or_else(nothing)?;
    let text = facade.backend.text(&tenant, &job.id, file).await?.ok_or_else(nothing)?;
    if matches!(format, Some(Format::Html)) {
        let shown = beginning(text).await?;
        return Ok(pages::log(&base, job.id.as_str(), file, &shown).into_response());
    }
    let is_json = std::path::Path::new(file).extension().is_some_and(|extension| extension == "json");
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(if is_json { JSON } else { "text/plain; charset=utf-8" })),
        // It may grow.
        (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        // It was written by a tool: no browser may take it for a page.
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    Ok((headers, Body::from_stream(text)).into_response())
}

/// As much of a text as a page shows.
async fn beginning(mut text: ByteStream) -> Result<String, Problem> {
    let mut bytes = Vec::new();
    while let Some(chunk) = text.try_next().await? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > TEXT_SHOWN_BYTES {
            bytes.truncate(TEXT_SHOWN_BYTES);
            bytes.extend_from_slice("\n… cut here; the whole text is there as text/plain".as_bytes());
            break;
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The job of a folder. Both ids may have dashes: the job is the one whose process makes the name whole. Only the likeliest
/// one is looked for beyond what is at hand: every name that somebody makes up would be asked for a dozen times.
async fn job_of(facade: &Facade, tenant: &Tenant, work: &str) -> Result<Option<Arc<JobRecord>>, Problem> {
    let ids = || divisions(work).filter_map(|(process, id)| Some((process, id.parse::<JobId>().ok()?)));
    for (process, id) in ids().take(TEXT_FOLDER_TRIES) {
        if let Some(job) = facade.backend.known_job(tenant, &id)?.filter(|job| job.process.as_str() == process) {
            return Ok(Some(job));
        }
    }
    match ids().next() {
        Some((process, id)) => Ok(facade.backend.job(tenant, &id).await?.filter(|job| job.process.as_str() == process)),
        None => Ok(None),
    }
}

/// Ways to read `{processID}-{jobID}`: first the one that ends in a UUID, as jobs created here have.
fn divisions(work: &str) -> impl Iterator<Item = (&str, &str)> {
    const UUID: usize = 36;
    let uuid_at =
        work.len().checked_sub(UUID + 1).filter(|at| work.is_char_boundary(*at) && work[*at..].starts_with('-'));
    let dashes = work.match_indices('-').map(|(at, _)| at).filter(move |at| Some(*at) != uuid_at);
    uuid_at.into_iter().chain(dashes).map(|at| (&work[..at], &work[at + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_read_in_all_ways_the_likely_one_first() {
        let all = |work| divisions(work).collect::<Vec<_>>();
        assert_eq!(all("water-bodies-my-job")[2], ("water-bodies-my", "job"));
        assert_eq!(all("water-bodies-my-job").len(), 3);
        let work = "water-bodies-bfafdb8e-902c-11ef-a29c-8e55bd0a3308";
        assert_eq!(all(work)[0], ("water-bodies", "bfafdb8e-902c-11ef-a29c-8e55bd0a3308"));
        assert_eq!((all("x"), all("")), (vec![], vec![]));
        assert_eq!(all("-ä"), [("", "ä")]);
    }
}
