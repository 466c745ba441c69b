//! The end of a job (18-062r2, "Dismiss").

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde_json::{Map, Value as Json, json};
use weir_api::Phase;

use super::status::{End, StatusInfo};
use crate::Facade;
use crate::backend::BackendError;
use crate::negotiate::{self, Format};
use crate::pages;
use crate::problem::Problem;
use crate::tenant::{JobInPath, Scope};

/// `DELETE /jobs/{jobID}`: a job that is not over ends and stays in the list; one that is over leaves it. Published
/// results stay in both cases.
pub(super) async fn dismiss(
    State(facade): State<Arc<Facade>>,
    Scope { tenant, base }: Scope,
    JobInPath(id): JobInPath,
    format: Format,
) -> Result<Response, Problem> {
    let gone = |error| match error {
        BackendError::NotFound(_) => Problem::no_such_job(id.as_str()),
        other => other.into(),
    };
    let job = facade.backend.job_now(&tenant, &id).await?.ok_or_else(|| Problem::no_such_job(id.as_str()))?;
    let (job, end) = if job.phase.is_final() {
        // Asked before: afterwards nobody knows.
        let published =
            if job.phase == Phase::Successful { facade.backend.results(&tenant, &id).await.ok() } else { None };
        facade.backend.remove(&tenant, &id).await.map_err(gone)?;
        (job, End::Removed { results: published.and_then(|published| place(&published, id.as_str())) })
    } else {
        let job = facade.backend.dismiss(&tenant, &id).await.map_err(gone)?;
        // It may have ended before, or be too late. If its steps still stop, it is dismissed all the same.
        let has_ended = job.phase.is_final() && job.phase != Phase::Dismissed;
        let is_before = has_ended || (job.is_committed && !job.phase.is_final());
        (job, if is_before { End::Before } else { End::Dismissed })
    };
    let document = json!(StatusInfo::ended(&base, &job, &end));
    Ok(negotiate::respond(format, &document, || pages::job(&base, &document, &job)))
}

/// Where the store has what a job has published: the part of a location that ends in the job's id. `None`: it published
/// nothing.
fn place(results: &Map<String, Json>, id: &str) -> Option<String> {
    results.values().find_map(|output| place_in(output, &format!("/{id}/")))
}

fn place_in(output: &Json, folder: &str) -> Option<String> {
    match output {
        Json::Array(items) => items.iter().find_map(|item| place_in(item, folder)),
        Json::Object(members) => match members.get("location").and_then(Json::as_str) {
            Some(location) if location.starts_with("s3://") => {
                // A folder's own location has no slash at its end.
                let at = format!("{location}/").find(folder)?;
                Some(location[..at + folder.len() - 1].to_owned())
            }
            _ => members.values().find_map(|member| place_in(member, folder)),
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_results_of_a_removed_job_are_named_if_it_has_some() {
        let place = |results: Json| place(results.as_object().unwrap(), "j1");
        let catalog = json!({"n": 1, "out": [{"class": "Directory", "location": "s3://results/j1"}]});
        assert_eq!(place(catalog).as_deref(), Some("s3://results/j1"));
        let file = json!({"out": {"class": "File", "location": "s3://results/j1/out/a.tif"}});
        assert_eq!(place(file).as_deref(), Some("s3://results/j1"));
        assert_eq!(place(json!({"n": 1, "echo": {"location": "data:,a"}})), None);
    }
}
