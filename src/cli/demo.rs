//! `weir demo`: the example package, its inputs and its scenes in a folder, then exactly what `weir run` does. The same inputs
//! stand beside as an execute request, for `weir serve --local`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use serde_json::json;

use super::{DemoArgs, documents, paths, run};

const PACKAGE: &str = include_str!("../../manifests/water-bodies/water-bodies.cwl");

/// Around Olinda and Recife, Brazil: sea, coast, lakes, towns.
const AREA_OF_INTEREST: &str = "-34.905,-8.03,-34.83,-7.96";

struct Scene {
    id: &'static str,
    item: &'static str,
    assets: &'static [(&'static str, &'static [u8])],
}

macro_rules! scene {
    ($id:literal, $($asset:literal),*) => {
        Scene {
            id: $id,
            item: include_str!(concat!("../../tests/data/olinda/", $id, "/", $id, ".json")),
            assets: &[$(($asset, include_bytes!(concat!("../../tests/data/olinda/", $id, "/", $asset)))),*],
        }
    };
}

/// Landsat 7 ETM+, 28.5 m; the acquisition date is not recorded in the source and nominal in the items.
const SCENES: [Scene; 2] = [
    scene!("L7_OLINDA_NORTH", "blue.tif", "green.tif", "red.tif", "nir.tif", "swir16.tif", "swir22.tif"),
    scene!("L7_OLINDA_SOUTH", "blue.tif", "green.tif", "red.tif", "nir.tif", "swir16.tif", "swir22.tif"),
];

/// The files of the example.
struct Example {
    /// The package.
    package: PathBuf,
    /// Its inputs, with absolute `file:` URLs of the scenes' items.
    inputs: PathBuf,
}

/// Writes the example under `dir`. What is there already is written again, so that a second demo is like the first.
fn write_example(dir: &Path) -> Result<Example> {
    let write = |path: &Path, content: &[u8]| {
        std::fs::write(path, content).with_context(|| format!("cannot write the example to {}", path.display()))
    };
    let create = |path: &Path| {
        std::fs::create_dir_all(path).with_context(|| format!("cannot create the folder {}", path.display()))
    };
    create(dir)?;
    let absolute = dir.canonicalize().with_context(|| format!("cannot resolve {}", dir.display()))?;
    let mut items = Vec::new();
    for scene in &SCENES {
        let folder = absolute.join("scenes").join(scene.id);
        create(&folder)?;
        let item = folder.join(format!("{}.json", scene.id));
        write(&item, scene.item.as_bytes())?;
        for (name, content) in scene.assets {
            write(&folder.join(name), content)?;
        }
        items.push(documents::file_url(&item)?);
    }
    let example = Example { package: dir.join("water-bodies.cwl"), inputs: dir.join("inputs.yaml") };
    write(&example.package, PACKAGE.as_bytes())?;
    write(&example.inputs, inputs(&items).as_bytes())?;
    write(&dir.join("execute.json"), execute_request(&items).as_bytes())?;
    Ok(example)
}

/// What `weir run` reads.
fn inputs(items: &[String]) -> String {
    let mut list = String::new();
    for item in items {
        let _ = writeln!(list, "  - {item}");
    }
    format!(
        "# Two overlapping Landsat 7 scenes; the area of interest is minx,miny,maxx,maxy in EPSG:4326.\n\
         stac_items:\n{list}aoi: \"{AREA_OF_INTEREST}\"\nepsg: EPSG:4326\nbands: [green, nir]\n"
    )
}

/// The same as the body of an OGC execution.
fn execute_request(items: &[String]) -> String {
    let inputs = json!({"stac_items": items, "aoi": AREA_OF_INTEREST, "epsg": "EPSG:4326", "bands": ["green", "nir"]});
    format!("{:#}\n", json!({"inputs": inputs}))
}

/// What the user would type for this program: its path if it was called by one, as `cargo run` does.
fn program() -> String {
    let called = std::env::args().next().unwrap_or_default();
    if called.contains('/') { paths::shown(Path::new(&called)) } else { "weir".to_owned() }
}

/// A word as a shell reads it back.
fn shell_word(word: &str) -> String {
    if !word.is_empty() && word.chars().all(|c| c.is_alphanumeric() || "/._-:".contains(c)) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Writes the example and runs it.
pub fn demo(args: &DemoArgs) -> Result<ExitCode> {
    let example = write_example(&args.dir)?;
    let mut execution = args.execution.clone();
    let stage_out = execution.stage_out.get_or_insert_with(|| "weir-results".to_owned()).clone();
    let (package, inputs) = (example.package.display().to_string(), example.inputs.display().to_string());
    let by_hand = [&program(), "run", &package, &inputs, "--stage-out", &stage_out].map(shell_word).join(" ");
    run::start(&package, Some(&example.inputs), &[], &execution, Some(&by_hand))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_words_back() {
        assert_eq!(shell_word("weir-demo/inputs.yaml"), "weir-demo/inputs.yaml");
        assert_eq!(shell_word("my scenes"), "'my scenes'");
        assert_eq!(shell_word("Ada's"), r"'Ada'\''s'");
    }
}
