//! `stage_out`: a step's folder as results: `<id>/catalog.json`, `<id>/<id>/collection.json`,
//! `<id>/<id>/<item>/<item>.json` and its assets.
//!
//! An owner marker is written first, `catalog.json` last: whoever sees the catalog sees complete results, and results of
//! one owner are never written over by another.

use crate::destination::Destination;
use crate::document;
use crate::item::{self, Item, ItemError};
use crate::limits;
use crate::source::{DownloadError, Location};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// Results that could not be laid out.
#[derive(Debug, thiserror::Error)]
pub enum StageOutError {
    /// A document of the folder.
    #[error(transparent)]
    Item(#[from] ItemError),
    /// Reading the folder.
    #[error("cannot read {}", path.display())]
    Folder {
        /// The folder or file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// There is nothing to lay out.
    #[error("{}: there is no file in it", .0.display())]
    Empty(PathBuf),
    /// Two items would be written over each other.
    #[error("two items have the id `{0}`; each item of the results needs its own")]
    SameId(String),
    /// The results are someone else's.
    #[error("{url} belongs to another owner (`{owner}`); nothing was written")]
    ForeignOwner {
        /// The results.
        url: String,
        /// Whose they are.
        owner: String,
    },
    /// A result could not be stored.
    #[error(transparent)]
    Store(#[from] DownloadError),
}

/// The key of the marker, below `<id>/`.
const MARKER: &str = ".weir-owner";

/// Media type of all stored STAC documents, as the mission's stage-out sends it.
const DOCUMENT: &str = "application/geo+json";

/// An item and the files that its assets are.
struct Product {
    document: Value,
    id: String,
    /// Asset key, file, name among the results, media type.
    files: Vec<(String, PathBuf, String, String)>,
}

/// Lays out `folder` (or a single file) as results `id` and gives the URL of their catalog.
/// Run again by the same `owner` it writes the same keys again.
pub fn stage_out(folder: &Path, to: &Destination, id: &str, owner: &str) -> Result<String, StageOutError> {
    let catalog_path = folder.join("catalog.json");
    let (catalog, results) = if catalog_path.is_file() {
        let location = Location::Path(catalog_path);
        let catalog = item::read_json(&location)?;
        let results = item::items_of(&location, &catalog)?.iter().map(of_item).collect();
        (catalog, results)
    } else {
        (document::catalog("catalog", "results", &[]), of_files(folder)?)
    };
    let mut ids = HashSet::new();
    if let Some(twice) = results.iter().find(|r| !ids.insert(r.id.as_str())) {
        return Err(StageOutError::SameId(twice.id.clone()));
    }

    let there = to.claim(&format!("{id}/{MARKER}"), owner)?;
    if there != owner {
        return Err(StageOutError::ForeignOwner { url: to.url(&format!("{id}/")), owner: there });
    }
    let (catalog_key, collection_key) = (format!("{id}/catalog.json"), format!("{id}/{id}/collection.json"));
    for result in &results {
        let key = format!("{id}/{id}/{0}/{0}.json", result.id);
        let mut document = result.document.clone();
        for (asset, file, name, media_type) in &result.files {
            let asset_key = format!("{id}/{id}/{}/{name}", result.id);
            to.put_file(&asset_key, file, media_type)?;
            document["assets"][asset]["href"] = json!(to.href(&key, &asset_key));
        }
        let titled = |rel| titled(document::link(rel, &to.href(&key, &collection_key), document::JSON));
        let mut links =
            vec![titled("collection"), document::link("root", &to.href(&key, &catalog_key), document::JSON)];
        links.extend(self_link(to, &key));
        links.push(titled("parent"));
        document["links"] = json!(links);
        document["collection"] = json!(id);
        to.put(&key, &document::to_bytes(&document), DOCUMENT)?;
    }
    let collection = collection(to, id, &collection_key, &catalog_key, &results);
    to.put(&collection_key, &document::to_bytes(&collection), DOCUMENT)?;
    let mut links = vec![document::link("root", &to.href(&catalog_key, &catalog_key), document::JSON)];
    links.push(titled(document::link("child", &to.href(&catalog_key, &collection_key), document::JSON)));
    links.extend(self_link(to, &catalog_key));
    let mut catalog = catalog;
    catalog["links"] = json!(links);
    to.put(&catalog_key, &document::to_bytes(&catalog), DOCUMENT)?;
    Ok(to.url(&catalog_key))
}

fn titled(mut link: Value) -> Value {
    link["title"] = json!("Processing results");
    link
}

/// Absolute self links only where results do not move.
fn self_link(to: &Destination, key: &str) -> Option<Value> {
    (!matches!(to, Destination::Folder(_))).then(|| document::link("self", &to.url(key), document::JSON))
}

fn collection(to: &Destination, id: &str, key: &str, catalog_key: &str, results: &[Product]) -> Value {
    let mut links = vec![
        document::link("root", &to.href(key, catalog_key), document::JSON),
        document::link("parent", &to.href(key, catalog_key), document::JSON),
    ];
    links.extend(
        results
            .iter()
            .map(|r| document::link("item", &to.href(key, &format!("{id}/{id}/{0}/{0}.json", r.id)), document::JSON)),
    );
    links.extend(self_link(to, key));
    let boxes: Vec<[f64; 4]> = results.iter().filter_map(|r| flat_box(&r.document)).collect();
    let whole = boxes.into_iter().reduce(|a, b| [a[0].min(b[0]), a[1].min(b[1]), a[2].max(b[2]), a[3].max(b[3])]);
    let mut times: Vec<String> = results
        .iter()
        .filter_map(|r| document::datetime(r.document.pointer("/properties/datetime")?.as_str()?))
        .collect();
    // All are in UTC and of one form, so the text's order is the time's.
    times.sort();
    json!({
        "type": "Collection",
        "id": id,
        "stac_version": document::STAC_VERSION,
        "title": "Processing results",
        "description": "description",
        "keywords": ["eoepca"],
        "license": "proprietary",
        "extent": {
            "spatial": { "bbox": [whole.unwrap_or([-180.0, -90.0, 180.0, 90.0])] },
            "temporal": { "interval": [[times.first(), times.last()]] },
        },
        "links": links,
    })
}

/// The horizontal part of an item's box.
fn flat_box(document: &Value) -> Option<[f64; 4]> {
    let numbers: Vec<f64> = document.get("bbox")?.as_array()?.iter().filter_map(Value::as_f64).collect();
    match numbers[..] {
        [w, s, e, n] | [w, s, _, e, n, _] => Some([w, s, e, n]),
        _ => None,
    }
}

/// An item of a catalog: its assets that are files of this machine move, those elsewhere keep their address.
fn of_item(item: &Item) -> Product {
    let mut taken = HashSet::from([format!("{}.json", item.id)]);
    let mut files = Vec::new();
    for (key, asset) in item.assets() {
        let href = asset.get("href").and_then(Value::as_str).unwrap_or("");
        let Ok(Location::Path(path)) = item.location.join(href) else { continue };
        let base = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let media_type = asset.get("type").and_then(Value::as_str).unwrap_or_else(|| media_type(&base)).to_owned();
        files.push((key.clone(), path, unused(&base, key, &mut taken), media_type));
    }
    Product { document: item.document.clone(), id: item.id.clone(), files }
}

fn unused(base: &str, key: &str, taken: &mut HashSet<String>) -> String {
    let key: String = key.chars().map(|c| if c == '/' { '_' } else { c }).collect();
    let mut name = base.to_owned();
    while !taken.insert(name.clone()) {
        name = format!("{key}_{name}");
    }
    name
}

/// Files without a catalog: an item each, with one asset `data` and nothing known about place or time of the scene.
fn of_files(folder: &Path) -> Result<Vec<Product>, StageOutError> {
    let mut files = Vec::new();
    collect(folder, &mut files)?;
    files.sort();
    if files.is_empty() {
        return Err(StageOutError::Empty(folder.to_owned()));
    }
    let mut ids = HashSet::new();
    files
        .into_iter()
        .take(limits::CATALOG_ITEMS_MAX)
        .map(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let within = path.strip_prefix(folder).ok().filter(|p| !p.as_os_str().is_empty());
            let stem = within.unwrap_or(Path::new(&name)).with_extension("").to_string_lossy().replace('/', "_");
            // a.tif and a.json beside it: the second keeps its whole name.
            let id = if ids.insert(stem.clone()) { stem } else { unused(&name.replace('/', "_"), "file", &mut ids) };
            let written = path
                .metadata()
                .and_then(|m| m.modified())
                .map_err(|source| StageOutError::Folder { path: path.clone(), source })?;
            let time = jiff::Timestamp::try_from(written).map_or_else(|_| document::now(), document::utc);
            let media_type = media_type(&name).to_owned();
            let document = json!({
                "type": "Feature",
                "stac_version": document::STAC_VERSION,
                "stac_extensions": [],
                "id": id,
                "geometry": null,
                "properties": { "datetime": time },
                "links": [],
                "assets": { "data": { "href": name, "type": media_type, "roles": ["data"] } },
            });
            let name = if name == format!("{id}.json") { format!("data_{name}") } else { name };
            Ok(Product { document, id, files: vec![("data".into(), path, name, media_type)] })
        })
        .collect()
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) -> Result<(), StageOutError> {
    let fail = |source| StageOutError::Folder { path: path.to_owned(), source };
    if path.metadata().map_err(fail)?.is_file() {
        files.push(path.to_owned());
        return Ok(());
    }
    for entry in std::fs::read_dir(path).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let kind = entry.file_type().map_err(fail)?;
        if kind.is_dir() {
            collect(&entry.path(), files)?;
        } else if entry.path().is_file() {
            files.push(entry.path());
        }
    }
    Ok(())
}

/// Media type by a file name's ending.
fn media_type(name: &str) -> &'static str {
    let ending = name.rsplit_once('.').map_or("", |(_, e)| e).to_ascii_lowercase();
    match ending.as_str() {
        "tif" | "tiff" => "image/tiff; application=geotiff",
        "json" => "application/json",
        "geojson" => "application/geo+json",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "txt" | "log" => "text/plain",
        "csv" => "text/csv",
        "xml" => "application/xml",
        "html" => "text/html",
        "nc" => "application/x-netcdf",
        "zip" => "application/zip",
        "gpkg" => "application/geopackage+sqlite3",
        "parquet" => "application/vnd.apache.parquet",
        _ => "application/octet-stream",
    }
}

/// Checks that an id can be a folder and a key.
pub fn check_id(id: &str) -> Result<(), String> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':' | '+');
    if id.is_empty() || id.starts_with('.') || !id.chars().all(good) {
        return Err(format!("`{id}` cannot name results: letters, digits, `-`, `_`, `.` are allowed"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(dir: &Path) -> Vec<String> {
        let mut found = Vec::new();
        collect(dir, &mut found).unwrap();
        let mut found: Vec<_> = found.iter().map(|p| p.strip_prefix(dir).unwrap().display().to_string()).collect();
        found.sort();
        found
    }

    #[test]
    fn a_catalog_is_laid_out_with_its_collection() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("in"), dir.path().join("out"));
        std::fs::create_dir_all(from.join("s")).unwrap();
        std::fs::write(from.join("s/otsu.tif"), b"pixels").unwrap();
        let item = json!({"type": "Feature", "stac_version": "1.0.0", "id": "s", "bbox": [1, 2, 3, 4],
            "properties": {"datetime": "2020-01-01T00:00:00Z"}, "links": [], "assets": {"data": {"href": "otsu.tif"}}});
        std::fs::write(from.join("s/s.json"), item.to_string()).unwrap();
        let catalog = document::catalog_of_items("water-bodies", ["s"].into_iter());
        std::fs::write(from.join("catalog.json"), catalog.to_string()).unwrap();
        let place = Destination::Folder(to.clone());
        let url = stage_out(&from, &place, "job", "job").unwrap();
        assert_eq!(url, format!("file://{}/job/catalog.json", to.display()));
        let expected = [
            "job/.weir-owner",
            "job/catalog.json",
            "job/job/collection.json",
            "job/job/s/otsu.tif",
            "job/job/s/s.json",
        ];
        assert_eq!(files(&to), expected);
        let read = |key: &str| serde_json::from_slice::<Value>(&std::fs::read(to.join(key)).unwrap()).unwrap();
        assert_eq!(read("job/job/s/s.json")["assets"]["data"]["href"], "./otsu.tif");
        assert_eq!(read("job/job/collection.json")["extent"]["spatial"]["bbox"][0], json!([1.0, 2.0, 3.0, 4.0]));
        assert!(stage_out(&from, &place, "job", "job").is_ok(), "the same owner may repeat it");
        let foreign = stage_out(&from, &place, "job", "other").unwrap_err();
        assert!(foreign.to_string().contains("belongs to another owner (`job`)"), "{foreign}");
    }

    #[test]
    fn what_is_laid_out_speaks_of_its_final_place_and_needs_no_credentials() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("in"), dir.path().join("out"));
        std::fs::create_dir_all(&from).unwrap();
        std::fs::write(from.join("a.tif"), b"pixels").unwrap();
        let place = Destination::layout("s3://results/some/where", &to).unwrap();
        let url = stage_out(&from, &place, "job", "job").unwrap();
        assert_eq!(url, "s3://results/some/where/job/catalog.json");
        let expected = ["job/catalog.json", "job/job/a/a.json", "job/job/a/a.tif", "job/job/collection.json"];
        assert_eq!(files(&to), expected, "no owner marker: whoever copies the tree claims its place");
        let read = |key: &str| serde_json::from_slice::<Value>(&std::fs::read(to.join(key)).unwrap()).unwrap();
        let item = read("job/job/a/a.json");
        assert_eq!(item["assets"]["data"]["href"], "s3://results/some/where/job/job/a/a.tif");
        let links: Vec<_> = item["links"].as_array().unwrap().iter().map(|link| link["href"].clone()).collect();
        let at = |key: &str| json!(format!("s3://results/some/where/job/{key}"));
        let (collection, item) = (at("job/collection.json"), at("job/a/a.json"));
        assert_eq!(links, [collection.clone(), at("catalog.json"), item, collection]);
        let catalog = read("job/catalog.json");
        assert!(catalog["links"].as_array().unwrap().iter().any(|link| link["rel"] == "self"), "{catalog}");
    }

    #[test]
    fn files_without_catalog_become_minimal_items() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("in"), dir.path().join("out"));
        std::fs::create_dir_all(from.join("deep")).unwrap();
        std::fs::write(from.join("a.txt"), b"a").unwrap();
        std::fs::write(from.join("deep/a.csv"), b"b").unwrap();
        stage_out(&from, &Destination::Folder(to.clone()), "job", "job").unwrap();
        let expected = [
            "job/.weir-owner",
            "job/catalog.json",
            "job/job/a/a.json",
            "job/job/a/a.txt",
            "job/job/collection.json",
            "job/job/deep_a/a.csv",
            "job/job/deep_a/deep_a.json",
        ];
        assert_eq!(files(&to), expected);
    }

    #[test]
    fn an_id_cannot_leave_the_destination() {
        assert!(check_id("../x").is_err() && check_id("a/b").is_err() && check_id("").is_err());
        assert!(check_id("68046976-7dcb-11f0-90ac-2a20aea25780").is_ok());
    }
}
