//! Media types by a file name's ending, as published objects carry them.

/// Media type of STAC documents, as the platforms of OGC 20-089r1 send it.
pub const STAC: &str = "application/geo+json";

/// The media type of a file; `None` where nothing better than bytes is known.
pub fn type_of(name: &str) -> Option<&'static str> {
    let ending = name.rsplit_once('.')?.1.to_ascii_lowercase();
    Some(match ending.as_str() {
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
        _ => return None,
    })
}

/// Whether a path of a laid out results tree is one of its STAC documents: `catalog.json`, `<id>/collection.json` and
/// `<id>/<item>/<item>.json`.
pub fn is_stac(path: &str) -> bool {
    match path.split('/').collect::<Vec<_>>()[..] {
        ["catalog.json"] | [_, "collection.json"] => true,
        [_, item, document] => document.strip_suffix(".json") == Some(item),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_of_a_results_tree_are_told_from_its_assets() {
        for document in ["catalog.json", "job/collection.json", "job/scene/scene.json"] {
            assert!(is_stac(document), "{document}");
        }
        for asset in ["job/scene/otsu.tif", "job/scene/data.json", "scene.json", "job/a/b/b.json"] {
            assert!(!is_stac(asset), "{asset}");
        }
        assert_eq!(type_of("OTSU.TIF"), Some("image/tiff; application=geotiff"));
        assert_eq!(type_of("Makefile"), None);
    }
}
