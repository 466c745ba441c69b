//! The main job: water masks and a STAC catalog from the bundled scenes.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::{Workshop, repository};

const JOB: &str = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee";

fn read_json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))).unwrap()
}

#[test]
fn the_demo_publishes_a_stac_catalog_with_one_mask_for_each_scene() {
    let workshop = Workshop::new();
    let done = workshop.weir_ok(&["demo", "--job-id", JOB, "--json"]);
    let report = done.json();
    assert_eq!(report["status"], "successful");
    assert_eq!(report["steps"].as_array().unwrap().len(), 10, "4 crops, 2 indices, 2 masks, stac, stage_out");

    let results = workshop.path().join("weir-results").join(JOB);
    let catalog = read_json(&results.join("catalog.json"));
    assert_eq!(catalog["type"], "Catalog");
    let collection = read_json(&results.join(JOB).join("collection.json"));
    assert_eq!(collection["id"], JOB);
    for (scene, shape) in [("L7_OLINDA_NORTH", [179, 290]), ("L7_OLINDA_SOUTH", [159, 290])] {
        let folder = results.join(JOB).join(scene);
        let item = read_json(&folder.join(format!("{scene}.json")));
        assert_eq!(item["id"], scene);
        assert_eq!(item["properties"]["proj:shape"], serde_json::json!(shape));
        assert_eq!(item["properties"]["proj:epsg"], 31985);
        assert!(folder.join("otsu.tif").is_file());
    }
}

#[test]
fn logs_have_the_names_that_clients_know() {
    let workshop = Workshop::new();
    let report = workshop.weir_ok(&["demo", "--json"]).json();
    let mut names: Vec<String> =
        fs::read_dir(report["logs"].as_str().unwrap().replace("FOLDER", workshop.path().to_str().unwrap()))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
    names.sort();
    assert_eq!(
        names,
        [
            "node_crop.log",
            "node_crop_2.log",
            "node_crop_3.log",
            "node_crop_4.log",
            "node_normalized_difference.log",
            "node_normalized_difference_2.log",
            "node_otsu.log",
            "node_otsu_2.log",
            "node_stac.log",
            "node_stage_out.log",
        ]
    );
}

#[test]
fn the_public_packages_shape_gives_the_same_masks_through_the_image_map() {
    let workshop = Workshop::new();
    workshop.weir_ok(&["demo", "--job-id", JOB, "--quiet"]);
    let public = repository("tests/packages/water-bodies-python.cwl");
    workshop.weir_ok(&["run", public.to_str().unwrap(), "weir-demo/inputs.yaml", "--outdir", "public", "--quiet"]);
    for scene in ["L7_OLINDA_NORTH", "L7_OLINDA_SOUTH"] {
        let ours = workshop.path().join(format!("weir-results/{JOB}/{JOB}/{scene}/otsu.tif"));
        let mut found = Vec::new();
        find(&workshop.path().join("public"), scene, &mut found);
        assert_eq!(fs::read(&ours).unwrap(), fs::read(found[0].join("otsu.tif")).unwrap(), "{scene}");
    }
}

fn find(folder: &Path, name: &str, found: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if path.file_name().unwrap() == name {
                found.push(path.clone());
            }
            find(&path, name, found);
        }
    }
}

#[test]
fn the_line_at_the_end_of_the_demo_does_the_same_by_hand() {
    let workshop = Workshop::new();
    let done = workshop.weir_ok(&["demo"]);
    let line = done.stdout.lines().find(|line| line.contains("weir run weir-demo/")).expect("a weir run line");
    let words: Vec<&str> = line.split_whitespace().skip(1).chain(["--job-id", JOB, "--quiet"]).collect();
    workshop.weir_ok(&words);
    assert!(workshop.path().join(format!("weir-results/{JOB}/{JOB}/L7_OLINDA_SOUTH/otsu.tif")).is_file());
}

#[test]
fn a_scene_that_is_not_there_fails_with_the_urls_name_and_the_steps_log() {
    let workshop = Workshop::new();
    workshop.weir_ok(&["demo", "--quiet"]);
    let missing = "stac_items=[\"file:///nowhere/item.json\"]";
    let done = workshop.weir(&["run", "weir-demo/water-bodies.cwl", "weir-demo/inputs.yaml", "-i", missing]);
    assert_eq!(done.code, Some(1));
    assert!(done.stdout.contains("/nowhere/item.json"), "{}", done.stdout);
    assert!(done.stdout.contains("node_crop"), "{}", done.stdout);
}

#[test]
fn validate_prints_the_ogc_process_description() {
    let workshop = Workshop::new();
    let package = repository("manifests/water-bodies/water-bodies.cwl");
    let description = workshop.weir_ok(&["validate", package.to_str().unwrap()]).json();
    assert_eq!(description["id"], "water-bodies");
    assert_eq!(description["version"], "1.0.0");
    assert_eq!(description["inputs"]["aoi"]["minOccurs"], 1);
    assert_eq!(description["inputs"]["bands"]["minOccurs"], 0);
    assert_eq!(description["inputs"]["bands"]["schema"]["default"], serde_json::json!(["green", "nir"]));
    assert_eq!(description["outputs"]["stac_catalog"]["metadata"][0]["value"], "Directory");
}

/// `weir store` on a free port; it is stopped when this is dropped.
struct Store {
    process: std::process::Child,
    endpoint: String,
}

impl Store {
    fn start(workshop: &Workshop) -> Self {
        use std::io::{BufRead, BufReader};
        let mut process = workshop
            .command(&[
                "store",
                "--dir",
                "objects",
                "--listen",
                "127.0.0.1:0",
                "--bucket",
                "results",
                "--fsync",
                "false",
            ])
            .envs([("WEIR_STORE_ACCESS_KEY", "key"), ("WEIR_STORE_SECRET_KEY", "secret-of-the-store")])
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        while !line.contains("http://") {
            line.clear();
            assert!(said.read_line(&mut line).unwrap() > 0, "the store ended before it listened");
        }
        let endpoint = line[line.find("http://").unwrap()..].split_whitespace().next().unwrap().to_owned();
        Self { process, endpoint }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn results_go_to_an_s3_store_and_its_keys_stay_out_of_the_state() {
    let workshop = Workshop::new();
    let store = Store::start(&workshop);
    let demo = |secret: &str, id: &str| {
        workshop
            .command(&["demo", "--stage-out", "s3://results", "--job-id", id, "--json"])
            .envs([
                ("AWS_ACCESS_KEY_ID", "key"),
                ("AWS_SECRET_ACCESS_KEY", secret),
                ("AWS_REGION", "us-east-1"),
                ("AWS_ENDPOINT_URL", &store.endpoint),
            ])
            .output()
            .unwrap()
    };
    let done = demo("secret-of-the-store", JOB);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let report: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(report["outputs"]["stac_catalog"], format!("s3://results/{JOB}/catalog.json"));
    let mut holding = Vec::new();
    holds(&workshop.path().join(".weir"), b"secret-of-the-store", &mut holding);
    assert!(holding.is_empty(), "the secret stands in {holding:?}");

    let refused = demo("wrong", "bbbbbbbb-bbbb-4ccc-8ddd-eeeeeeeeeeee");
    assert_eq!(refused.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&refused.stdout).unwrap();
    assert_eq!(report["failure"]["instance"], "node_stage_out");
}

#[test]
fn a_scene_and_a_file_in_an_object_store_are_staged_in() {
    let workshop = Workshop::new();
    let store = Store::start(&workshop);
    let weir = |arguments: &[&str]| {
        let keys = [("AWS_ACCESS_KEY_ID", "key"), ("AWS_SECRET_ACCESS_KEY", "secret-of-the-store")];
        let mut command = workshop.command(arguments);
        let done = command.envs(keys).env("AWS_REGION", "us-east-1").env("AWS_ENDPOINT_URL", &store.endpoint).output();
        let done = done.unwrap();
        assert!(
            done.status.success(),
            "{}{}",
            String::from_utf8_lossy(&done.stdout),
            String::from_utf8_lossy(&done.stderr)
        );
    };
    weir(&["demo", "--stage-out", "s3://results", "--job-id", JOB, "--quiet"]);
    let package = "cwlVersion: v1.2\nclass: CommandLineTool\nid: copy\nbaseCommand: [sh, -c, 'cp \"$0\"/*/otsu.tif \
                   scene.tif; cp \"$1\" .']\ninputs:\n  scene: {type: Directory, inputBinding: {position: 1}}\n  mask: {type: \
                   File, inputBinding: {position: 2}}\noutputs:\n  masks: {type: 'File[]', outputBinding: {glob: '*.tif'}}\n";
    workshop.write("copy.cwl", package);
    let item = format!("s3://results/{JOB}/{JOB}/L7_OLINDA_NORTH");
    let (scene, mask) = (format!("scene={item}/L7_OLINDA_NORTH.json"), format!("mask={item}/otsu.tif"));
    weir(&["run", "copy.cwl", "-i", &scene, "-i", &mask, "--outdir", "copied", "--job-id", "copy", "--quiet"]);
    let copied = |name: &str| fs::read(workshop.path().join("copied").join(name)).unwrap();
    assert!(copied("otsu.tif").len() > 1000);
    assert_eq!(copied("scene.tif"), copied("otsu.tif"));
    let mut holding = Vec::new();
    holds(&workshop.path().join(".weir"), b"secret-of-the-store", &mut holding);
    assert!(holding.is_empty(), "the secret stands in {holding:?}");
}

/// Files below a folder that hold these bytes.
fn holds(folder: &Path, wanted: &[u8], found: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            holds(&path, wanted, found);
        } else if fs::read(&path).unwrap_or_default().windows(wanted.len()).any(|window| window == wanted) {
            found.push(path);
        }
    }
}
