//! What an output is, by its value in the CWL output object.

use serde_json::Value as Json;

/// An output, by how it is shown.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape<'a> {
    /// Published STAC catalogs, by the URLs of their `catalog.json`: one feature collection.
    Catalogs(Vec<String>),
    /// A File, or a Directory that is no catalog: an item with one asset.
    Entry(&'a Json),
    /// Several of these: one feature collection.
    Entries(Vec<&'a Json>),
    /// Any other value, null included.
    Value(&'a Json),
}

/// Name of the document that a STAC result begins with.
const CATALOG: &str = "catalog.json";

impl<'a> Shape<'a> {
    /// Of a value. A staged Directory is the URL of its catalog, an array of them one URL as well.
    pub fn of(value: &'a Json) -> Self {
        match value {
            Json::Array(items) if !items.is_empty() => {
                let some: Vec<&Json> = items.iter().filter(|item| !item.is_null()).collect();
                let catalogs: Option<Vec<String>> = some.iter().map(|item| catalog(item)).collect();
                match catalogs {
                    Some(catalogs) if !catalogs.is_empty() => Self::Catalogs(catalogs),
                    _ if !some.is_empty() && some.iter().all(|item| is_entry(item)) => Self::Entries(some),
                    _ => Self::Value(value),
                }
            }
            one => match catalog(one) {
                Some(catalog) => Self::Catalogs(vec![catalog]),
                None if is_entry(one) => Self::Entry(one),
                None => Self::Value(one),
            },
        }
    }
}

fn catalog(value: &Json) -> Option<String> {
    if let Some(url) = value.as_str() {
        let is_url = weir_cwl::uri::is_absolute(url) && !url.contains(char::is_whitespace);
        return (is_url && url.ends_with("/catalog.json")).then(|| url.to_owned());
    }
    let location = value.get("location")?.as_str()?;
    let listing = value.get("listing")?.as_array()?;
    let has_catalog = listing.iter().any(|entry| entry.get("basename").and_then(Json::as_str) == Some(CATALOG));
    has_catalog.then(|| format!("{}/{CATALOG}", location.trim_end_matches('/')))
}

fn is_entry(value: &Json) -> bool {
    let class = value.get("class").and_then(Json::as_str);
    matches!(class, Some("File" | "Directory")) && value.get("location").is_some_and(Json::is_string)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn catalogs_files_and_values_are_told_apart() {
        let catalogs = |value: &Json| if let Shape::Catalogs(catalogs) = Shape::of(value) { catalogs } else { vec![] };
        assert_eq!(catalogs(&json!("s3://r/1/catalog.json")), ["s3://r/1/catalog.json"]);
        assert_eq!(catalogs(&json!(["s3://r/1/catalog.json", null])), ["s3://r/1/catalog.json"]);
        let folder = json!({"class": "Directory", "location": "s3://r/1/d/", "listing": [{"class": "File", "basename": "catalog.json"}]});
        assert_eq!(catalogs(&folder), ["s3://r/1/d/catalog.json"]);
        let file = json!({"class": "File", "location": "s3://r/1/o/a.tif"});
        assert_eq!(Shape::of(&file), Shape::Entry(&file));
        let files = json!([file, null, file]);
        assert_eq!(Shape::of(&files), Shape::Entries(vec![&file, &file]));
        for value in [
            json!(null),
            json!("catalog.json"),
            json!([]),
            json!([1]),
            json!([null]),
            json!({"class": "File", "contents": ""}),
        ] {
            assert_eq!(Shape::of(&value), Shape::Value(&value));
        }
    }
}
