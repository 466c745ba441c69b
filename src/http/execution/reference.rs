//! Follows the links of values by reference (18-062r2, `/req/core/process-execute-inputs`), all through the guarded client.

use futures_util::{StreamExt as _, stream};
use serde_json::{Map, Value as Json};

use super::inputs::{References, wanted};
use super::mistake::Mistakes;
use crate::Facade;
use crate::backend::ProcessRecord;
use crate::limits::{REFERENCE_BYTES, REFERENCES_AT_ONCE, REFERENCES_MAX};

/// What the inputs' links lead to. Of those that lead nowhere the mistakes tell.
pub async fn follow(
    facade: &Facade,
    process: &ProcessRecord,
    given: &Map<String, Json>,
    mistakes: &mut Mistakes,
) -> References {
    // Most requests have no link, and large ones are not read twice for nothing.
    if !given.values().any(names_a_place) {
        return References::new();
    }
    let wanted = wanted(process, given);
    if wanted.len() > REFERENCES_MAX {
        let what = format!("{} values are given by reference", wanted.len());
        mistakes.add("/inputs", what, format!("give at most {REFERENCES_MAX} by reference, the others by value"));
        return References::new();
    }
    let fetches = wanted.into_iter().map(async |(pointer, url)| {
        let fetched = facade.fetcher.get(&url, REFERENCE_BYTES).await;
        (pointer, fetched)
    });
    let mut references = References::new();
    let mut fetches = stream::iter(fetches).buffered(REFERENCES_AT_ONCE);
    while let Some((pointer, fetched)) = fetches.next().await {
        match fetched {
            Ok(fetched) => {
                references.insert(pointer, fetched);
            }
            Err(error) => mistakes.add(&pointer, error.to_string(), "give a URL that answers, or the value itself"),
        }
    }
    references
}

/// Whether a value holds an object with an `href`.
fn names_a_place(value: &Json) -> bool {
    match value {
        Json::Array(items) => items.iter().any(names_a_place),
        Json::Object(members) => members.contains_key("href") || members.values().any(names_a_place),
        _ => false,
    }
}
