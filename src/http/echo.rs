//! The built-in process `echo` (18-062r2, `/req/core/test-process`): every tenant has it, nobody can change it.
//!
//! It runs through the engine like any package; only a `pause` needs a pod. The shape of its description is what the
//! official suite of Part 1 builds its requests from.

use std::sync::{Arc, LazyLock};

use serde_json::{Map, Value as Json, json};

use crate::backend::{Deployed, ProcessRecord};
use crate::names::ProcessId;

/// Its id.
pub const ID: &str = "echo";

/// Seconds of a pause at most; `weir-eo pause` has the same limit.
const PAUSE_SECONDS_MAX: u32 = 600;

/// Its package.
pub const PACKAGE: &str = include_str!("echo.cwl");

/// The process, as if it were deployed.
pub fn process() -> Arc<ProcessRecord> {
    static PROCESS: LazyLock<Arc<ProcessRecord>> = LazyLock::new(|| Arc::new(record()));
    Arc::clone(&PROCESS)
}

#[expect(clippy::expect_used, reason = "a package of our own, read by a test")]
fn record() -> ProcessRecord {
    let id: ProcessId = ID.parse().expect("an id");
    let package = weir_cwl::load_text("weir:echo.cwl", PACKAGE, None, &weir_cwl::load::NoFetch).expect("a package");
    let deployed = Deployed { cwl: PACKAGE.to_owned(), workflow: Some(ID.to_owned()), ..Deployed::default() };
    ProcessRecord {
        id,
        description: Arc::new(description()),
        mutable: false,
        package: Arc::new(package),
        deployed: Arc::new(deployed),
        version: None,
    }
}

/// Written by hand: a CWL type cannot say all that the suite looks for. An output of the first input's name, a list, a
/// bounding box beside its format, a choice of types, a choice of images; nothing but the first is mandatory.
fn description() -> Map<String, Json> {
    let text = || json!({"type": "string"});
    let list = || json!({"type": "array", "items": {"type": "integer"}});
    let text_or_object = || json!({"oneOf": [{"type": "string"}, {"type": "object"}]});
    let bbox = || {
        json!({"allOf": [{"format": "ogc-bbox"}, {
            "type": "object",
            "required": ["bbox"],
            "properties": {
                "bbox": {"type": "array", "items": {"type": "number"}},
                "crs": {"type": "string"},
            },
        }]})
    };
    let image =
        |media_type: &str| json!({"type": "string", "contentEncoding": "binary", "contentMediaType": media_type});
    let images = json!({"oneOf": [image("image/tiff; application=geotiff"), image("image/jp2")]});
    let seconds = json!({"type": "number", "minimum": 0, "maximum": PAUSE_SECONDS_MAX});
    let optional = |title: &str, most: u32, schema: Json| json!({"title": title, "minOccurs": 0, "maxOccurs": most, "schema": schema});
    let output = |title: &str, schema: Json| json!({"title": title, "schema": schema});
    let description = json!({
        "id": ID,
        "title": "Echo",
        "description": "Gives back what it is given, after a pause if one is asked for. For tests of clients and servers.",
        "version": env!("CARGO_PKG_VERSION"),
        "mutable": false,
        "jobControlOptions": ["sync-execute", "async-execute", "dismiss"],
        "outputTransmission": ["value", "reference"],
        "inputs": {
            "echoInput": {"title": "A text", "minOccurs": 1, "maxOccurs": 1, "schema": text()},
            "arrayInput": optional("Some integers", 10, list()),
            "bboxInput": optional("A bounding box", 1, bbox()),
            "mixedInput": optional("A text or an object", 1, text_or_object()),
            "imageInput": optional("An image, which is looked at and left alone", 1, images),
            "pause": optional("Seconds that the job takes at least", 1, seconds),
        },
        "outputs": {
            "echoInput": output("The text", text()),
            "arrayInput": output("The integers", list()),
            "mixedInput": output("The text or object", text_or_object()),
            "bboxInput": output("The bounding box", bbox()),
        },
    });
    match description {
        Json::Object(description) => description,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::execution::inputs::{References, read, wanted};

    #[expect(clippy::needless_pass_by_value, reason = "requests are written where they are read")]
    fn inputs(given: Json) -> Result<Json, String> {
        read(&process(), given.as_object().unwrap(), &References::new())
            .map(Json::Object)
            .map_err(|mistakes| mistakes.to_string())
    }

    #[test]
    fn the_package_has_what_the_description_says() {
        let process = process();
        let entry = &process.package.processes[process.package.entry.0];
        let described: Vec<&String> = process.description["inputs"].as_object().unwrap().keys().collect();
        assert_eq!(entry.header().inputs.iter().map(|input| &input.id).collect::<Vec<_>>(), described);
        let found = weir_cwl::check::check(&process.package);
        assert!(!found.has_errors(), "{found}");
    }

    #[test]
    fn the_official_suites_requests_are_taken() {
        let given = json!({
            "echoInput": "teststring",
            "mixedInput": {"value": "teststring"},
            "arrayInput": [1, 2, 3],
            "bboxInput": {"bbox": [51.9, 7, 52, 7.1], "crs": "http://www.opengis.net/def/crs/OGC/1.3/CRS84"},
            "imageInput": {"value": "SUkqAA==", "format": {"mediaType": "image/tiff; application=geotiff", "encoding": "base64"}},
            "pause": 5,
        });
        let read = inputs(given).unwrap();
        assert_eq!(
            (&read["mixedInput"], &read["arrayInput"], &read["pause"]),
            (&json!("teststring"), &json!([1, 2, 3]), &json!(5))
        );
    }

    #[test]
    fn an_image_by_reference_is_passed_on_and_one_that_is_none_refused() {
        let given = json!({"echoInput": "a", "imageInput": {"href": "https://unreachable.example/a.tif"}});
        assert_eq!(wanted(&process(), given.as_object().unwrap()), []);
        assert_eq!(inputs(given).unwrap()["imageInput"]["href"], "https://unreachable.example/a.tif");
        let given = json!({"echoInput": "a", "mixedInput": {"href": "https://x.example/text"}});
        assert_eq!(wanted(&process(), given.as_object().unwrap()).len(), 1);
        let given = json!({"echoInput": "a", "arrayInput": (0..11).collect::<Vec<_>>()});
        assert_eq!(inputs(given).unwrap_err(), "/inputs/arrayInput: there are 11 values; write 0 to 10");
        let wrong = json!({"echoInput": "a", "imageInput": {"type": "wrong/type_1"}});
        insta::assert_snapshot!(inputs(wrong).unwrap_err(), @"/inputs/imageInput: it is an object with type; write image/tiff; application=geotiff in base64, or image/jp2 in base64");
    }
}
