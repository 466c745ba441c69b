//! STAC items and catalogs as these steps read them (STAC 1.0; eo extension).

use crate::limits;
use crate::source::{self, Location, SourceError};
use serde_json::Value;

/// An item that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ItemError {
    /// The document could not be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// It is not JSON.
    #[error("{location}: not a JSON document: {reason}")]
    NotJson {
        /// The document.
        location: String,
        /// Where and what the parser stumbled over.
        reason: String,
    },
    /// It is JSON, but no STAC item.
    #[error("{location}: not a STAC item: {reason}")]
    NotAnItem {
        /// The document.
        location: String,
        /// What is missing or wrong.
        reason: String,
    },
    /// No asset has the band.
    #[error("item {item}: no data asset has a band with common name `{band}`; there are: {known}")]
    NoBand {
        /// The item's id.
        item: String,
        /// The name asked for.
        band: String,
        /// The names that exist.
        known: String,
    },
    /// An asset breaks a rule that choosing an asset relies on.
    #[error("item {item}: asset `{asset}` {reason}")]
    Asset {
        /// The item's id.
        item: String,
        /// The asset's key.
        asset: String,
        /// What is missing or wrong.
        reason: &'static str,
    },
}

/// A STAC item.
#[derive(Clone, Debug)]
pub struct Item {
    /// Where it was read.
    pub location: Location,
    /// Its id: not empty, usable as a folder's name.
    pub id: String,
    /// The document.
    pub document: Value,
}

impl Item {
    /// Reads an item, or the first item of the catalog in a folder (as stage-in leaves it).
    pub fn read(address: &str) -> Result<Self, ItemError> {
        let location = Location::parse(address)?;
        if let Location::Path(path) = &location
            && path.is_dir()
        {
            let catalog = Location::Path(path.join("catalog.json"));
            let document = read_json(&catalog)?;
            return items_of(&catalog, &document)?.into_iter().next().ok_or_else(|| ItemError::NotAnItem {
                location: catalog.to_string(),
                reason: "the catalog links no item".into(),
            });
        }
        let document = read_json(&location)?;
        Self::from_document(location, document)
    }

    /// Checks a document.
    pub fn from_document(location: Location, document: Value) -> Result<Self, ItemError> {
        let fail = |reason: String| ItemError::NotAnItem { location: location.to_string(), reason };
        match document.get("type").and_then(Value::as_str) {
            Some("Feature") => {}
            Some(other) => return Err(fail(format!("its type is {other:?}; an item is a \"Feature\""))),
            None => return Err(fail("it has no `type`; an item is a \"Feature\"".into())),
        }
        if document.get("stac_version").is_none() {
            return Err(fail("it has no `stac_version`".into()));
        }
        let id = document.get("id").and_then(Value::as_str).unwrap_or("");
        if id.is_empty() || id.contains(['/', '\0']) || matches!(id, "." | "..") {
            return Err(fail(format!("its id is {id:?}, which cannot name a folder")));
        }
        if !document.get("assets").is_some_and(Value::is_object) {
            return Err(fail("it has no `assets`".into()));
        }
        Ok(Self { id: id.to_owned(), location, document })
    }

    /// Its assets in the document's order.
    pub fn assets(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.document.get("assets").and_then(Value::as_object).into_iter().flatten()
    }

    /// Its datetime, where there is one.
    pub fn datetime(&self) -> Option<&str> {
        self.document.pointer("/properties/datetime")?.as_str()
    }

    /// Where the first data asset with a band of this common name lies.
    ///
    /// The rules are the reference's: assets in the document's order, role `data`, `eo:bands[].common_name`.
    /// An asset without `roles` before the match is an error there and so here.
    pub fn band(&self, name: &str) -> Result<Location, ItemError> {
        let mut known: Vec<&str> = Vec::new();
        for (key, asset) in self.assets() {
            let wrong = |reason| ItemError::Asset { item: self.id.clone(), asset: key.clone(), reason };
            let roles = asset.get("roles").and_then(Value::as_array).ok_or_else(|| wrong("has no `roles`"))?;
            if !roles.iter().any(|r| r == "data") {
                continue;
            }
            let bands = asset.get("eo:bands").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
            let names: Vec<&str> = bands.iter().filter_map(|b| b.get("common_name")?.as_str()).collect();
            if names.contains(&name) {
                let href = asset.get("href").and_then(Value::as_str).ok_or_else(|| wrong("has no `href`"))?;
                return Ok(self.location.join(href)?);
            }
            known.extend(names.into_iter().filter(|n| !known.contains(n)).collect::<Vec<_>>());
        }
        let known = if known.is_empty() { "none (no `eo:bands` with `common_name`)".into() } else { known.join(", ") };
        Err(ItemError::NoBand { item: self.id.clone(), band: name.to_owned(), known })
    }
}

/// Reads a JSON document.
pub fn read_json(location: &Location) -> Result<Value, ItemError> {
    let bytes = source::read_document(location)?;
    serde_json::from_slice(&bytes)
        .map_err(|e| ItemError::NotJson { location: location.to_string(), reason: e.to_string() })
}

/// The items that a catalog links itself (`rel` = `item`), in order.
pub fn items_of(location: &Location, catalog: &Value) -> Result<Vec<Item>, ItemError> {
    let links = catalog.get("links").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let is_item = |l: &&Value| l.get("rel").is_some_and(|r| r == "item");
    links
        .iter()
        .filter(is_item)
        .take(limits::CATALOG_ITEMS_MAX)
        .filter_map(|l| l.get("href")?.as_str())
        .map(|href| {
            let place = location.join(href)?;
            let document = read_json(&place)?;
            Item::from_document(place, document)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn item(assets: &Value) -> Item {
        let document = json!({"type": "Feature", "stac_version": "1.0.0", "id": "i", "assets": assets});
        Item::from_document(Location::parse("http://h/items/i").unwrap(), document).unwrap()
    }

    #[test]
    fn the_first_data_asset_with_the_band_is_taken() {
        let item = item(&json!({
            "thumb": {"href": "t.jpg", "roles": ["overview"], "eo:bands": [{"common_name": "green"}]},
            "B03": {"href": "../B03.tif", "roles": ["data"], "eo:bands": [{"common_name": "green"}]},
            "B03-jp2": {"href": "B03.jp2", "roles": ["data"], "eo:bands": [{"common_name": "green"}]},
        }));
        assert_eq!(item.band("green").unwrap(), Location::Http("http://h/B03.tif".into()));
    }

    /// The shape of Earth Search v1 (`sentinel-2-l2a`): assets are keyed by common names, and the original JPEG 2000 files
    /// have the same bands.
    #[test]
    fn bands_of_sentinel_2_items_are_found() {
        let asset = |href: &str, bands: &[&str], roles: &[&str]| {
            let bands: Vec<Value> = bands.iter().map(|name| json!({"name": name, "common_name": name})).collect();
            json!({"href": href, "type": "image/tiff; application=geotiff; profile=cloud-optimized", "eo:bands": bands, "roles": roles})
        };
        let folder = "https://sentinel-cogs.s3.us-west-2.amazonaws.com/sentinel-s2-l2a-cogs/10/T/FK/2021/7/S2B_10TFK_20210713_0_L2A";
        let data = ["data", "reflectance"];
        let item = item(&json!({
            "aot": {"href": format!("{folder}/AOT.tif"), "roles": data},
            "green": asset(&format!("{folder}/B03.tif"), &["green"], &data),
            "nir": asset(&format!("{folder}/B08.tif"), &["nir"], &data),
            "thumbnail": {"href": format!("{folder}/thumbnail.jpg"), "roles": ["thumbnail"]},
            "visual": asset(&format!("{folder}/TCI.tif"), &["red", "green", "blue"], &["visual"]),
            "green-jp2": asset("s3://sentinel-s2-l2a/tiles/10/T/FK/2021/7/13/0/R10m/B03.jp2", &["green"], &data),
        }));
        for (band, file) in [("green", "B03.tif"), ("nir", "B08.tif")] {
            assert_eq!(item.band(band).unwrap(), Location::Http(format!("{folder}/{file}")));
        }
    }

    #[test]
    fn a_missing_band_lists_those_that_exist() {
        let item =
            item(&json!({"a": {"href": "a", "roles": ["data"], "eo:bands": [{"common_name": "red"}, {"name": "x"}]}}));
        assert_eq!(
            item.band("green").unwrap_err().to_string(),
            "item i: no data asset has a band with common name `green`; there are: red"
        );
    }

    #[test]
    fn an_asset_without_roles_is_an_error_as_in_the_reference() {
        let item = item(&json!({"a": {"href": "a", "eo:bands": [{"common_name": "green"}]}}));
        assert_eq!(item.band("green").unwrap_err().to_string(), "item i: asset `a` has no `roles`");
    }
}
