//! The body of an execute request (18-062r2, `execute.yaml`) becomes a value.

use serde_json::{Map, Value as Json};
use weir_api::limits::URL_LENGTH_MAX;

use super::mistake::{Mistakes, below, listed, shown};
use super::prefer::Mode;
use crate::backend::{ResponseForm, Subscriber};
use crate::results::offer::{self, Offer};

/// An execute request whose inputs are not looked at yet.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Request {
    /// `inputs`, as sent.
    pub inputs: Map<String, Json>,
    /// `outputs` that the process has; `None`: all.
    pub outputs: Option<Map<String, Json>>,
    /// `response`
    pub response: Option<ResponseForm>,
    /// `mode`, which drafts of 1.0 had in place of `Prefer`.
    pub mode: Option<Mode>,
    /// `subscriber`
    pub subscriber: Option<Subscriber>,
}

/// Reads a request for a process of this description. What the schema does not know is passed over, unless it looks like an
/// input that is not where inputs are: it has the name of one, or there are none.
pub fn parse(body: Json, description: &Map<String, Json>, mistakes: &mut Mistakes) -> Request {
    let mut members = match body {
        Json::Object(members) => members,
        other => {
            mistakes.add("", format!("it is {}", shown(&other)), "write an object with `inputs`");
            return Request::default();
        }
    };
    let has_no_inputs = !members.contains_key("inputs");
    let mut take = |name: &str| members.remove(name).filter(|value| !value.is_null());
    let inputs = match take("inputs") {
        Some(Json::Object(inputs)) => inputs,
        Some(other) => {
            let right = "write an object of values by the inputs' names";
            mistakes.add("/inputs", format!("it is {}", shown(&other)), right);
            Map::new()
        }
        None => Map::new(),
    };
    let words = |name: &str, value: Option<Json>, words: &[&str], mistakes: &mut Mistakes| {
        let value = value?;
        let word = value.as_str().map(str::to_ascii_lowercase);
        let index = word.and_then(|word| words.iter().position(|known| *known == word));
        if index.is_none() {
            mistakes.add(name, format!("it is {}", shown(&value)), format!("write {}", words.join(" or ")));
        }
        index
    };
    let response = words("/response", take("response"), &["raw", "document"], mistakes)
        .map(|index| [ResponseForm::Raw, ResponseForm::Document][index]);
    let mode = words("/mode", take("mode"), &["sync", "async", "auto"], mistakes)
        .and_then(|index| [Some(Mode::Sync), Some(Mode::Async), None][index]);
    let outputs = take("outputs").and_then(|outputs| outputs_of(outputs, description, mistakes));
    let subscriber = take("subscriber").and_then(|subscriber| subscriber_of(&subscriber, mistakes));
    let known = description.get("inputs").and_then(Json::as_object);
    for name in members.keys().filter(|name| has_no_inputs || known.is_some_and(|known| known.contains_key(*name))) {
        let right = "put it under `inputs`: {\"inputs\": {…}}";
        mistakes.add(&below("", name), "not a member of an execute request", right);
    }
    Request { inputs, outputs, response, mode, subscriber }
}

/// An empty selection selects nothing in particular: all.
fn outputs_of(outputs: Json, description: &Map<String, Json>, mistakes: &mut Mistakes) -> Option<Map<String, Json>> {
    let Json::Object(outputs) = outputs else {
        let right = "write an object of output names, each with {} or a transmissionMode";
        mistakes.add("/outputs", format!("it is {}", shown(&outputs)), right);
        return None;
    };
    let known = description.get("outputs").and_then(Json::as_object);
    let offered = description.get("outputTransmission").and_then(Json::as_array);
    for (name, output) in &outputs {
        let pointer = below("/outputs", name);
        let Some(described) = known.and_then(|known| known.get(name)) else {
            let known = known.into_iter().flat_map(|known| known.keys().map(String::as_str));
            mistakes.add(&pointer, "the process has no such output", format!("there are: {}", listed(known)));
            continue;
        };
        if !output.is_object() {
            mistakes.add(&pointer, format!("it is {}", shown(output)), "write {} or {\"transmissionMode\": \"value\"}");
            continue;
        }
        check_format(output, described, &pointer, mistakes);
        let Some(mode) = output.get("transmissionMode") else { continue };
        let modes: Vec<&str> = match offered {
            Some(offered) => offered.iter().filter_map(Json::as_str).collect(),
            None => vec!["value"],
        };
        if mode.as_str().is_none_or(|mode| !modes.contains(&mode)) {
            let pointer = below(&pointer, "transmissionMode");
            mistakes.add(&pointer, format!("it is {}", shown(mode)), format!("write {}", modes.join(" or ")));
        }
    }
    (!outputs.is_empty()).then_some(outputs)
}

/// Refuses a media type in which the output cannot be had.
fn check_format(output: &Json, described: &Json, pointer: &str, mistakes: &mut Mistakes) {
    if let Some(format) = output.get("format").filter(|format| !format.is_null() && !format.is_object()) {
        let right = "write an object with mediaType";
        return mistakes.add(&below(pointer, "format"), format!("it is {}", shown(format)), right);
    }
    let Some((tail, media_type)) = offer::asked(output) else { return };
    let offer = described.get("schema").map_or(Offer { is_open: true, ..Offer::default() }, Offer::of);
    if media_type.as_str().is_none_or(|media_type| !offer.has(media_type)) {
        let offered = listed(offer.media_types.iter().map(String::as_str));
        let right = match (offer.is_open, offer.media_types.is_empty()) {
            (true, true) => "write a media type".to_owned(),
            (true, false) => format!("write {offered}, or the media type of the file"),
            (false, _) => format!("write one of {offered}"),
        };
        mistakes.add(&format!("{pointer}{tail}"), format!("it is {}", shown(media_type)), right);
    }
}

/// `successUri` is `required` as `successUrl` in the standard's own schema: both are taken.
fn subscriber_of(subscriber: &Json, mistakes: &mut Mistakes) -> Option<Subscriber> {
    let Some(members) = subscriber.as_object() else {
        let right = "write an object with successUri, inProgressUri or failedUri";
        mistakes.add("/subscriber", format!("it is {}", shown(subscriber)), right);
        return None;
    };
    let mut uri = |name: &str| {
        let spellings = [format!("{name}Uri"), format!("{name}Url")];
        let spelling =
            spellings.into_iter().find(|spelling| members.get(spelling).is_some_and(|uri| !uri.is_null()))?;
        let value = &members[&spelling];
        let uri = value.as_str().filter(|uri| is_web_url(uri)).map(str::to_owned);
        if uri.is_none() {
            let pointer = below("/subscriber", &spelling);
            let right = format!("write an http or https URL of at most {URL_LENGTH_MAX} characters");
            mistakes.add(&pointer, format!("it is {}", shown(value)), right);
        }
        uri
    };
    let (success_uri, in_progress_uri, failed_uri) = (uri("success"), uri("inProgress"), uri("failed"));
    Some(Subscriber { success_uri, in_progress_uri, failed_uri, origin: None })
        .filter(|subscriber| *subscriber != Subscriber::default())
}

/// Whether it is an absolute http(s) URL with a host, as a ProcessJob takes it: its scheme in lower case, so many
/// characters, and nothing that could end a header or a line of a log.
pub fn is_web_url(url: &str) -> bool {
    (url.starts_with("http://") || url.starts_with("https://"))
        && url.len() <= URL_LENGTH_MAX as usize
        && url.parse::<axum::http::Uri>().is_ok_and(|uri| uri.host().is_some_and(|host| !host.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(body: Json) -> Result<Request, String> {
        let description = json!({
            "inputs": {"aoi": {}},
            "outputs": {
                "stac_catalog": {"schema": {"type": "object", "format": "geojson-feature-collection"}},
                "count": {"schema": {"type": "integer"}},
                "table": {"schema": {"oneOf": [{"type": "string", "format": "uri"}, {"format": "geojson-feature"}]}},
            },
            "outputTransmission": ["value", "reference"],
        });
        let mut mistakes = Mistakes::default();
        let request = parse(body, description.as_object().unwrap(), &mut mistakes);
        mistakes.or(request).map_err(|mistakes| mistakes.to_string())
    }

    #[test]
    fn all_parts_of_a_request_are_read() {
        let request = read(json!({
            "inputs": {"a": 1},
            "outputs": {"count": {"transmissionMode": "reference"}},
            "response": "document",
            "mode": "async",
            "subscriber": {"successUrl": "http://127.0.0.1:1/s", "failedUri": "https://x.example/f", "inProgressUri": null},
            "id": "ignored",
        }))
        .unwrap();
        assert_eq!(request.inputs["a"], 1);
        assert_eq!(request.outputs.unwrap()["count"]["transmissionMode"], "reference");
        assert_eq!((request.response, request.mode), (Some(ResponseForm::Document), Some(Mode::Async)));
        let subscriber = request.subscriber.unwrap();
        assert_eq!(subscriber.success_uri.as_deref(), Some("http://127.0.0.1:1/s"));
        assert_eq!((subscriber.failed_uri.is_some(), subscriber.in_progress_uri), (true, None));
    }

    #[test]
    fn an_empty_request_and_an_empty_selection_ask_for_everything() {
        assert_eq!(read(json!({})), Ok(Request::default()));
        assert_eq!(read(json!({"outputs": {}, "subscriber": {}, "mode": "auto"})), Ok(Request::default()));
    }

    #[test]
    fn inputs_without_the_member_around_them_are_told() {
        insta::assert_snapshot!(read(json!({"stac_items": [], "x": 1})).unwrap_err(), @r#"
        /stac_items: not a member of an execute request; put it under `inputs`: {"inputs": {…}}
        /x: not a member of an execute request; put it under `inputs`: {"inputs": {…}}
        "#);
        assert!(read(json!({"inputs": {}, "aoi": "1,2,3,4"})).is_err());
        assert!(read(json!({"inputs": {}, "id": "not one of ours"})).is_ok());
    }

    #[test]
    fn every_mistake_is_told_with_what_would_be_right() {
        let wrong = json!({
            "inputs": ["a"],
            "outputs": {"catalog": {}, "count": {"transmissionMode": "mail"}, "stac_catalog": "yes"},
            "response": "xml",
            "subscriber": {"successUri": "ftp://x", "failedUri": 3, "inProgressUri": "http://"},
        });
        insta::assert_snapshot!(read(wrong).unwrap_err(), @r#"
        /inputs: it is a list of one; write an object of values by the inputs' names
        /response: it is the string "xml"; write raw or document
        /outputs/catalog: the process has no such output; there are: stac_catalog, count, table
        /outputs/count/transmissionMode: it is the string "mail"; write value or reference
        /outputs/stac_catalog: it is the string "yes"; write {} or {"transmissionMode": "value"}
        /subscriber/successUri: it is the string "ftp://x"; write an http or https URL of at most 2048 characters
        /subscriber/inProgressUri: it is the string "http://"; write an http or https URL of at most 2048 characters
        /subscriber/failedUri: it is the integer 3; write an http or https URL of at most 2048 characters
        "#);
        let format = |media_type: Json| json!({"format": {"mediaType": media_type}});
        let wrong = json!({"outputs": {
            "stac_catalog": format(json!("image/tiff")), "count": {"mediaType": "text/plain"}, "table": format(json!(5)),
        }});
        insta::assert_snapshot!(read(wrong).unwrap_err(), @r#"
        /outputs/stac_catalog/format/mediaType: it is the string "image/tiff"; write one of application/geo+json, application/json
        /outputs/count/mediaType: it is the string "text/plain"; write one of application/json
        /outputs/table/format/mediaType: it is the integer 5; write application/geo+json, application/json, or the media type of the file
        "#);
        let wrong = json!({"outputs": {"count": {"format": "json"}}});
        insta::assert_snapshot!(read(wrong).unwrap_err(), @r#"/outputs/count/format: it is the string "json"; write an object with mediaType"#);
        let right = json!({"outputs": {
            "stac_catalog": format(json!("application/geo+json")), "count": format(json!("application/json")),
            "table": format(json!("text/csv")),
        }});
        assert!(read(right).is_ok());
        insta::assert_snapshot!(read(json!([1])).unwrap_err(), @"the body: it is a list of one; write an object with `inputs`");
    }

    #[test]
    fn a_subscriber_that_a_job_cannot_keep_is_refused_at_its_place() {
        let long = |length: usize| format!("https://x.example/{}", "a".repeat(length - 18));
        let subscriber = |uri: &str| read(json!({"subscriber": {"successUri": uri}})).map(drop);
        let most = URL_LENGTH_MAX as usize;
        assert_eq!(subscriber(&long(most)), Ok(()));
        for refused in [long(most + 1), "HTTP://x.example/a".to_owned(), "https://x.example/a b".to_owned()] {
            assert!(
                subscriber(&refused).unwrap_err().starts_with("/subscriber/successUri: it is the string"),
                "{refused}"
            );
        }
    }
}
