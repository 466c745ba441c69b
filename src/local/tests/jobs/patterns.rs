//! The shapes of application packages that are in use, end to end: the twelve patterns of eoap's application-package-patterns
//! and the four examples of OGC 20-089r1, Annex A, as packages of our own (`tests/packages/patterns`). Scenes come from a
//! loopback server, as STAC items by URL; results are published into a folder.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use libtest_mimic::Trial;
use serde_json::Value as Json;
use weir_api::{FailureClass, Phase};
use weir_cwl::job::InputObject;
use weir_cwl::load::NoFetch;
use weir_cwl::stage_out::StageOut;
use weir_cwl::{Value, uri};
use weir_local::{Finished, JobSpec};

use super::fixture::{Fixture, trials};
use super::web::Web;

const ID: &str = "68046976-7dcb-11f0-90ac-2a20aea25780";
const BOX: &str = r#""bbox": "-34.905,-8.03,-34.83,-7.96""#;

pub fn trials() -> Vec<Trial> {
    trials![
        one_scene_in_one_catalog_out,
        two_scenes_in_one_catalog_out,
        some_scenes_in_a_catalog_of_each_out,
        one_scene_in_two_folders_out,
        one_scene_in_a_catalog_for_each_text_out,
        one_scene_in_a_number_out,
        an_optional_scene_may_be_given_or_not,
        an_optional_catalog_comes_or_does_not,
        a_list_of_catalogs_has_no_place_for_those_that_did_not_come,
        nested_lists_are_flattened_and_published_one_by_one,
        a_file_and_a_scene_in_a_file_and_a_catalog_out,
        a_file_may_stand_in_the_request_itself,
        typed_inputs_and_several_kinds_of_output,
        annex_a_crops_one_band,
        annex_a_crops_some_bands,
        annex_a_puts_two_bands_together,
        annex_a_does_so_for_some_scenes,
        a_folder_of_this_machine_needs_no_step,
        what_is_laid_out_speaks_of_where_it_will_be,
        a_scene_that_cannot_be_had_is_told_by_its_url,
    ]
}

/// A package and where its scenes are.
struct Run {
    fixture: Fixture,
    web: Web,
    package: String,
    entry: String,
}

fn repository(path: &str) -> PathBuf {
    Path::new("../..").canonicalize().unwrap().join(path)
}

impl Run {
    fn new(package: &str, workflow: &str) -> Self {
        let path = repository(&format!("tests/packages/patterns/{package}.cwl"));
        let package = fs::read_to_string(path).unwrap();
        let entry = format!("file:///package.cwl#{workflow}");
        Self { fixture: Fixture::new(), web: Web::serve(repository("tests/data/olinda")), package, entry }
    }

    /// Inputs as a request gives them; `NORTH` and `SOUTH` stand for the URLs of the scenes.
    fn spec(&self, inputs: &str) -> JobSpec {
        let scene = |name: &str| self.web.url(&format!("L7_OLINDA_{name}/L7_OLINDA_{name}.json"));
        let inputs = ["NORTH", "SOUTH"].into_iter().fold(inputs.to_owned(), |inputs, name| {
            inputs.replace(&format!("\"{name}\""), &format!("\"{}\"", scene(name)))
        });
        let package = weir_cwl::load_text(&self.entry, &self.package, self.entry.split('#').nth(1), &NoFetch).unwrap();
        let found = weir_cwl::check::check(&package);
        assert!(!found.has_errors(), "{found}");
        let inputs = InputObject::parse("file:///inputs.json", &inputs).unwrap().inputs(&package).unwrap();
        let documents = BTreeMap::from([("file:///package.cwl".to_owned(), self.package.clone())]);
        let mut spec = JobSpec::new(self.entry.clone(), documents, inputs.values, self.fixture.outdir());
        let to = self.fixture.path().join("published").to_str().unwrap().to_owned();
        spec.job.stage_out = Some(StageOut { to, id: ID.to_owned(), lays_out: false });
        spec
    }

    fn finish(&self, inputs: &str) -> Finished {
        self.fixture.run_spec(&self.spec(inputs))
    }

    /// The outputs of a successful job, one a line.
    fn outputs(&self, inputs: &str) -> String {
        let finished = self.finish(inputs);
        assert_eq!(finished.phase, Phase::Successful, "{:?}", finished.failure);
        let lines = finished.outputs.iter().map(|(id, value)| format!("{id}: {}", self.told(value)));
        lines.collect::<Vec<_>>().join("\n")
    }

    /// A catalog as its place with its items and their assets, a file as its name.
    fn told(&self, value: &Value) -> String {
        match value {
            Value::String(url) => self.catalog(url),
            Value::Array(items) => items.iter().fold(String::new(), |told, item| told + "\n  " + &self.told(item)),
            Value::File(file) => file.name().unwrap(),
            other => weir_cwl::json::compact(other),
        }
    }

    fn catalog(&self, url: &str) -> String {
        let path = PathBuf::from(uri::to_path(url).unwrap());
        let read = |path: &Path| serde_json::from_slice::<Json>(&fs::read(path).unwrap()).unwrap();
        let links = |document: &Json, rel: &str| -> Vec<String> {
            let links = document["links"].as_array().unwrap().iter().filter(|link| link["rel"] == rel);
            links.map(|link| link["href"].as_str().unwrap().to_owned()).collect()
        };
        let [child] = &links(&read(&path), "child")[..] else { panic!("{url} has not one collection") };
        let collection = path.parent().unwrap().join(child);
        let mut items = Vec::new();
        for link in links(&read(&collection), "item") {
            let item_path = collection.parent().unwrap().join(link);
            let item = read(&item_path);
            let mut assets = Vec::new();
            for (key, asset) in item["assets"].as_object().unwrap() {
                let file = item_path.parent().unwrap().join(asset["href"].as_str().unwrap());
                assert!(fs::metadata(&file).unwrap().len() > 1000, "{}", file.display());
                assets.push(key.clone());
            }
            items.push(format!("{}[{}]", item["id"].as_str().unwrap(), assets.join(" ")));
        }
        let below = path.strip_prefix(self.fixture.path().join("published").join(ID)).unwrap();
        format!("{} {}", below.display(), items.join(" "))
    }

    fn published(&self, path: &str) -> Vec<u8> {
        fs::read(self.fixture.path().join("published").join(ID).join(path)).unwrap()
    }
}

fn logs(finished: &Finished) -> Vec<String> {
    let logs = fs::read_dir(finished.folder.logs()).unwrap();
    let mut names: Vec<_> = logs.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn scene_file(scene: &str, name: &str) -> Vec<u8> {
    fs::read(repository(&format!("tests/data/olinda/L7_OLINDA_{scene}/{name}"))).unwrap()
}

fn one_scene_in_one_catalog_out() {
    let run = Run::new("pattern-01", "pattern-1");
    assert_eq!(run.outputs(r#"{"item": "NORTH"}"#), "selected: catalog.json L7_OLINDA_NORTH[green nir]");
    assert_eq!(run.published(&format!("{ID}/L7_OLINDA_NORTH/nir.tif")), scene_file("NORTH", "nir.tif"));
}

fn two_scenes_in_one_catalog_out() {
    let run = Run::new("pattern-02", "pattern-2");
    let inputs =
        r#"{"item_1": {"href": "NORTH"}, "item_2": {"class": "Directory", "location": "SOUTH"}, "bands": ["red"]}"#;
    let finished = run.finish(inputs);
    assert_eq!(finished.phase, Phase::Successful, "{:?}", finished.failure);
    assert_eq!(run.told(&finished.outputs["selected"]), "catalog.json L7_OLINDA_NORTH[red] L7_OLINDA_SOUTH[red]");
    let expected = ["node_stage_in_item_1.log", "node_stage_in_item_2.log", "node_stage_out.log", "step.log"];
    assert_eq!(logs(&finished), expected);
}

fn some_scenes_in_a_catalog_of_each_out() {
    let run = Run::new("pattern-03", "pattern-3");
    let expected = "selected: \n  selected/1/catalog.json L7_OLINDA_SOUTH[green nir]\n  \
                    selected/2/catalog.json L7_OLINDA_NORTH[green nir]";
    assert_eq!(run.outputs(r#"{"items": ["SOUTH", "NORTH"]}"#), expected);
    assert_eq!(run.published("selected/2/2/L7_OLINDA_NORTH/nir.tif"), scene_file("NORTH", "nir.tif"));
    let none = Run::new("pattern-03", "pattern-3");
    assert_eq!(none.outputs(r#"{"items": []}"#), "selected: ");
}

fn one_scene_in_two_folders_out() {
    let run = Run::new("pattern-04", "pattern-4");
    let expected = "ndvi: ndvi/catalog.json index[data]\nndwi: ndwi/catalog.json index[data]";
    assert_eq!(run.outputs(r#"{"item": "SOUTH"}"#), expected);
    assert_eq!(run.published("ndvi/ndvi/index/index.tif"), scene_file("SOUTH", "nir.tif"));
    assert_eq!(run.published("ndwi/ndwi/index/index.tif"), scene_file("SOUTH", "green.tif"));
}

fn one_scene_in_a_catalog_for_each_text_out() {
    let run = Run::new("pattern-05", "pattern-5");
    let expected = "indexed: \n  indexed/1/catalog.json L7_OLINDA_NORTH[nir]\n  \
                    indexed/2/catalog.json L7_OLINDA_NORTH[green]";
    assert_eq!(run.outputs(r#"{"item": "NORTH"}"#), expected);
}

fn one_scene_in_a_number_out() {
    let run = Run::new("pattern-06", "pattern-6");
    let bytes: usize = ["blue", "green", "nir", "red", "swir16", "swir22"]
        .map(|band| scene_file("NORTH", &format!("{band}.tif")).len())
        .iter()
        .sum();
    assert_eq!(run.outputs(r#"{"item": "NORTH"}"#), format!("mean: {}.5", bytes / 6));
    assert!(!run.fixture.path().join("published").exists(), "nothing is published");
}

fn an_optional_scene_may_be_given_or_not() {
    let with = Run::new("pattern-07", "pattern-7");
    let expected = "selected: catalog.json L7_OLINDA_NORTH[green nir] L7_OLINDA_SOUTH[green nir]";
    assert_eq!(with.outputs(r#"{"item_1": "NORTH", "item_2": "SOUTH"}"#), expected);
    for inputs in [r#"{"item_1": "NORTH"}"#, r#"{"item_1": "NORTH", "item_2": null}"#] {
        let without = Run::new("pattern-07", "pattern-7");
        assert_eq!(without.outputs(inputs), "selected: catalog.json L7_OLINDA_NORTH[green nir]");
    }
}

fn an_optional_catalog_comes_or_does_not() {
    let with = Run::new("pattern-08", "pattern-8");
    let expected = "selected: catalog.json L7_OLINDA_NORTH[green nir]";
    assert_eq!(with.outputs(r#"{"item": "NORTH", "produce_output": true}"#), expected);
    assert_eq!(Run::new("pattern-08", "pattern-8").outputs(r#"{"item": "NORTH"}"#), "selected: null");
}

fn a_list_of_catalogs_has_no_place_for_those_that_did_not_come() {
    let run = Run::new("pattern-09", "pattern-9");
    let expected = "indexed: \n  indexed/1/catalog.json L7_OLINDA_NORTH[green]";
    assert_eq!(run.outputs(r#"{"item": "NORTH", "indexes": ["none", "ndwi"]}"#), expected);
}

fn nested_lists_are_flattened_and_published_one_by_one() {
    let run = Run::new("pattern-10", "pattern-10");
    let expected = "indexed: \n  indexed/1/catalog.json L7_OLINDA_NORTH[nir]\n  \
                    indexed/2/catalog.json L7_OLINDA_NORTH[green]\n  indexed/3/catalog.json L7_OLINDA_SOUTH[nir]\n  \
                    indexed/4/catalog.json L7_OLINDA_SOUTH[green]";
    assert_eq!(run.outputs(r#"{"items": ["NORTH", "SOUTH"]}"#), expected);
}

fn a_file_and_a_scene_in_a_file_and_a_catalog_out() {
    let run = Run::new("pattern-11", "pattern-11");
    let dem = run.web.url("L7_OLINDA_SOUTH/swir22.tif");
    let inputs = format!(r#"{{"item": "NORTH", "dem": "{dem}"}}"#);
    let expected = "selected: catalog.json L7_OLINDA_NORTH[green nir]\nrelief: relief.tif";
    assert_eq!(run.outputs(&inputs), expected);
    assert_eq!(fs::read(run.fixture.outdir().join("relief.tif")).unwrap(), scene_file("SOUTH", "swir22.tif"));
}

fn a_file_may_stand_in_the_request_itself() {
    let run = Run::new("pattern-11", "pattern-11");
    let dem = r#"{"class": "File", "basename": "dem.tif", "location": "data:image/tiff;base64,SUkqAP8="}"#;
    let expected = "selected: catalog.json L7_OLINDA_NORTH[green nir]\nrelief: relief.tif";
    assert_eq!(run.outputs(&format!(r#"{{"item": "NORTH", "dem": {dem}}}"#)), expected);
    assert_eq!(fs::read(run.fixture.outdir().join("relief.tif")).unwrap(), b"II*\0\xff");
}

fn typed_inputs_and_several_kinds_of_output() {
    let run = Run::new("pattern-12", "pattern-12");
    let schemas = "https://raw.githubusercontent.com/eoap/schemas/main";
    let uri =
        |name: &str| format!(r#"{{"class": "{schemas}/string_format.yaml#URI", "value": "https://h/{name}.json"}}"#);
    let inputs = format!(
        r#"{{"aoi": {{"class": "{schemas}/ogc.yaml#BBox", "bbox": [-34.905, -8.03, -34.83, -7.96], "crs": "CRS84"}},
            "item": {{"class": "{schemas}/string_format.yaml#URI", "value": "NORTH"}}, "cropped-collection": {},
            "ndwi-collection": {}, "water-bodies-collection": "https://h/w.json"}}"#,
        uri("c"),
        uri("n")
    );
    let expected = "cropped: \n  cropped/1/catalog.json crop_green[data]\n  cropped/2/catalog.json crop_nir[data]\n\
                    ndwi: ndwi/catalog.json norm_diff[data]\nwater_bodies: water_bodies/catalog.json otsu[data]";
    assert_eq!(run.outputs(&inputs), expected);
}

fn annex_a_crops_one_band() {
    let run = Run::new("annex-1", "cropper");
    let inputs = format!(r#"{{"product": "NORTH", "band": "red", {BOX}}}"#);
    assert_eq!(run.outputs(&inputs), "results: catalog.json crop_red[data]");
}

fn annex_a_crops_some_bands() {
    let run = Run::new("annex-2", "cropper");
    let inputs = format!(r#"{{"product": "NORTH", "bands": ["red", "blue"], {BOX}}}"#);
    let expected = "results: \n  results/1/catalog.json crop_red[data]\n  results/2/catalog.json crop_blue[data]";
    assert_eq!(run.outputs(&inputs), expected);
}

fn annex_a_puts_two_bands_together() {
    let run = Run::new("annex-3", "compositer");
    let inputs = format!(r#"{{"product": "SOUTH", "first": "green", "second": "nir", {BOX}}}"#);
    assert_eq!(run.outputs(&inputs), "results: catalog.json norm_diff[data]");
}

fn annex_a_does_so_for_some_scenes() {
    let run = Run::new("annex-4", "composites");
    let inputs = format!(r#"{{"products": ["NORTH", "SOUTH"], "first": "green", "second": "nir", {BOX}}}"#);
    let expected =
        "wf_results: \n  wf_results/1/catalog.json norm_diff[data]\n  wf_results/2/catalog.json norm_diff[data]";
    assert_eq!(run.outputs(&inputs), expected);
}

fn a_folder_of_this_machine_needs_no_step() {
    let run = Run::new("annex-1", "cropper");
    let folder = run.fixture.path().join("scene");
    fs::create_dir(&folder).unwrap();
    for entry in fs::read_dir(repository("tests/data/olinda/L7_OLINDA_NORTH")).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, folder.join(path.file_name().unwrap())).unwrap();
    }
    let catalog = r#"{"links": [{"rel": "item", "href": "./L7_OLINDA_NORTH.json"}]}"#;
    fs::write(folder.join("catalog.json"), catalog).unwrap();
    let product = format!(r#"{{"class": "Directory", "path": "{}"}}"#, folder.display());
    let finished = run.finish(&format!(r#"{{"product": {product}, "band": "red", {BOX}}}"#));
    assert_eq!(finished.phase, Phase::Successful, "{:?}", finished.failure);
    assert_eq!(logs(&finished), ["node_crop.log", "node_stage_out.log"]);
}

fn what_is_laid_out_speaks_of_where_it_will_be() {
    let run = Run::new("pattern-03", "pattern-3");
    let mut spec = run.spec(r#"{"items": ["NORTH", "SOUTH"]}"#);
    spec.job.stage_out = Some(StageOut { to: "s3://results".to_owned(), id: ID.to_owned(), lays_out: true });
    let finished = run.fixture.run_spec(&spec);
    assert_eq!(finished.phase, Phase::Successful, "{:?}", finished.failure);
    let Value::Array(laid_out) = &finished.outputs["selected"] else { panic!("{:?}", finished.outputs) };
    for (value, (name, scene)) in laid_out.iter().zip([("1", "NORTH"), ("2", "SOUTH")]) {
        let Value::Directory(directory) = value else { panic!("{value:?}") };
        assert_eq!(directory.name().unwrap(), name);
        let item = format!("{name}/L7_OLINDA_{scene}/L7_OLINDA_{scene}.json");
        let item = fs::read(Path::new(directory.path.as_ref().unwrap()).join(item)).unwrap();
        let item: Json = serde_json::from_slice(&item).unwrap();
        let expected = format!("s3://results/{ID}/selected/{name}/{name}/L7_OLINDA_{scene}/green.tif");
        assert_eq!(item["assets"]["green"]["href"], expected);
    }
}

fn a_scene_that_cannot_be_had_is_told_by_its_url() {
    let run = Run::new("pattern-01", "pattern-1");
    let missing = run.web.url("nowhere.json?sig=secret");
    let failure = run.finish(&format!(r#"{{"item": "{missing}"}}"#)).failure.unwrap();
    assert_eq!(failure.class, FailureClass::ToolFailed);
    assert_eq!(failure.instance.unwrap().to_string(), "node_stage_in");
    let said = failure.stderr_tail.unwrap();
    assert!(said.contains("/nowhere.json") && said.contains("404") && !said.contains("secret"), "{said}");
}
