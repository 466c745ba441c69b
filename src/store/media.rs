//! Media types by a file name's ending, as published objects carry them.

/// Media type of STAC documents, as the platforms of OGC 20-089r1 send it.
pub const STAC: &str = "application/geo+json";

pub use weir_api::media::type_of;

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
    }
}
