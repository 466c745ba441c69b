//! `stage_in`: a scene's item and assets as a catalog on this machine; `fetch`: a single file.

use crate::document;
use crate::item::{Item, ItemError};
use crate::output::{self, OutputError, OutputFile};
use crate::source::{self, DownloadError, Location, SourceError};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// A scene that could not be staged.
#[derive(Debug, thiserror::Error)]
pub enum StageInError {
    /// The item.
    #[error(transparent)]
    Item(#[from] ItemError),
    /// No asset at all could be had.
    #[error("item {item}: none of its assets could be downloaded; first: {first}")]
    NoAsset {
        /// The item's id.
        item: String,
        /// Why the first one failed.
        first: String,
    },
    /// The result.
    #[error(transparent)]
    Output(#[from] OutputError),
}

/// What was staged.
pub struct Staged {
    /// The catalog.
    pub catalog: PathBuf,
    /// Assets left out, with the reason: a scene is usable without its thumbnail.
    pub missing: Vec<String>,
}

/// Writes `catalog.json`, `<id>/<id>.json` and the item's assets beside it into `folder`.
///
/// An asset that cannot be had is left out of the item with a warning, as the reference's stage-in does; with
/// `only`, assets of other keys are left out silently.
pub fn stage_in(address: &str, only: &[String], folder: &Path) -> Result<Staged, StageInError> {
    let item = Item::read(address)?;
    let place = folder.join(&item.id);
    output::create_dir(&place)?;
    let mut taken = HashSet::from([format!("{}.json", item.id)]);
    let (mut assets, mut missing) = (serde_json::Map::new(), Vec::new());
    for (key, asset) in item.assets().filter(|(key, _)| only.is_empty() || only.contains(key)) {
        match fetch(&item, key, asset, &place, &mut taken) {
            Ok(name) => {
                let mut asset = asset.clone();
                asset["href"] = json!(format!("./{name}"));
                assets.insert(key.clone(), asset);
            }
            // A full disk concerns all that follows too.
            Err(DownloadError::Output(e)) => return Err(e.into()),
            Err(DownloadError::Source(e)) => missing.push(format!("asset `{key}`: {}", crate::one_line(&e))),
        }
    }
    if assets.is_empty()
        && let Some(first) = missing.first()
    {
        return Err(StageInError::NoAsset { item: item.id, first: first.clone() });
    }
    let mut staged = item.document.clone();
    staged["assets"] = Value::Object(assets);
    staged["links"] = json!([
        document::link("root", "../catalog.json", document::JSON),
        document::link("parent", "../catalog.json", document::JSON),
    ]);
    output::write(&place.join(format!("{}.json", item.id)), &document::to_bytes(&staged))?;
    let description = format!("catalog with staged {}", item.id);
    let catalog = document::catalog_of_items(&description, std::iter::once(item.id.as_str()));
    let path = folder.join("catalog.json");
    output::write(&path, &document::to_bytes(&catalog))?;
    Ok(Staged { catalog: path, missing })
}

/// Downloads the file at an address into `folder`, under its own name or another one.
pub fn fetch_file(address: &str, name: Option<&str>, folder: &Path) -> Result<(), DownloadError> {
    let location = Location::parse(address).map_err(DownloadError::Source)?;
    let name = name.map(str::to_owned).or_else(|| location.file_name()).unwrap_or_else(|| "file".to_owned());
    let mut file = OutputFile::create(&folder.join(name))?;
    source::download(&location, &mut file)?;
    Ok(file.commit()?)
}

/// Downloads one asset; gives the name it has in the item's folder.
fn fetch(
    item: &Item,
    key: &str,
    asset: &Value,
    place: &Path,
    taken: &mut HashSet<String>,
) -> Result<String, DownloadError> {
    let href = asset.get("href").and_then(Value::as_str).unwrap_or("");
    let location: Location = item.location.join(href).map_err(DownloadError::Source)?;
    if matches!(location, Location::Path(_)) && !matches!(item.location, Location::Path(_)) {
        let reason = "an item from elsewhere cannot name a file of this machine".to_owned();
        return Err(DownloadError::Source(SourceError::Address { address: href.to_owned(), reason }));
    }
    let base = location.file_name().unwrap_or_else(|| safe(key));
    // Assets of different folders may have one name.
    let mut name = base.clone();
    let mut n = 1;
    while !taken.insert(name.clone()) {
        name = format!("{}{}_{base}", safe(key), if n > 1 { format!("_{n}") } else { String::new() });
        n += 1;
    }
    let mut file = OutputFile::create(&place.join(&name))?;
    source::download(&location, &mut file)?;
    file.commit()?;
    Ok(name)
}

/// An asset's key as part of a file name.
fn safe(key: &str) -> String {
    key.chars().map(|c| if c.is_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_from_elsewhere_reads_no_file_of_this_machine() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("secret"), "s").unwrap();
        let href = format!("file://{}/secret", dir.path().display());
        let document = json!({"type": "Feature", "stac_version": "1.0.0", "id": "i", "assets": {"a": {"href": href}}});
        let fetched = |address: &str| {
            let item = Item::from_document(Location::parse(address).unwrap(), document.clone()).unwrap();
            fetch(&item, "a", &document["assets"]["a"], dir.path(), &mut HashSet::from(["secret".to_owned()]))
        };
        assert_eq!(fetched("/items/i.json").unwrap(), "a_secret");
        for elsewhere in ["https://h/i.json", "s3://b/i.json"] {
            let refused = fetched(elsewhere).unwrap_err().to_string();
            assert!(refused.contains("cannot name a file of this machine"), "{refused}");
        }
    }
}
