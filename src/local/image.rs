//! The image map: which container images run natively, and as which program.

use std::collections::BTreeMap;

/// Image name without tag and digest -> argv prefix that takes the place of `baseCommand`. An empty prefix means that the
/// image is ours and its `baseCommand` runs as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageMap(BTreeMap<String, Vec<String>>);

/// Places where the images of the public water-bodies package are published.
const WATER_BODIES: [&str; 3] =
    ["ghcr.io/eoap/mastering-app-package", "ghcr.io/terradue/ogc-eo-application-package-hands-on", "localhost"];

/// Their last path segments and our tool of the same purpose.
const STEPS: [(&str, &str); 7] = [
    ("crop", "crop"),
    ("norm_diff", "normalized_difference"),
    ("norm-diff", "normalized_difference"),
    ("otsu", "otsu"),
    ("stac", "stac"),
    ("stage-in", "stage_in"),
    ("stage-out", "stage_out"),
];

impl Default for ImageMap {
    fn default() -> Self {
        let mut map = BTreeMap::from([("weir-eo".to_owned(), Vec::new())]);
        for place in WATER_BODIES {
            for (image, tool) in STEPS {
                map.insert(format!("{place}/{image}"), vec!["weir-eo".to_owned(), tool.to_owned()]);
            }
        }
        Self(map)
    }
}

impl ImageMap {
    /// Adds or replaces an entry.
    pub fn insert(&mut self, image: &str, prefix: Vec<String>) {
        self.0.insert(name(image).to_owned(), prefix);
    }

    /// The argv prefix for an image reference as a package writes it; `None` if it is not mapped.
    pub fn get(&self, image: &str) -> Option<&[String]> {
        let name = name(image);
        let short = name.rsplit('/').next().filter(|short| *short == "weir-eo");
        self.0.get(name).or_else(|| self.0.get(short?)).map(Vec::as_slice)
    }
}

/// An image reference without tag and digest. A colon before the last slash belongs to the registry's port.
fn name(image: &str) -> &str {
    let image = image.split('@').next().unwrap_or(image);
    let last = image.rfind('/').map_or(0, |slash| slash + 1);
    image[last..].find(':').map_or(image, |colon| &image[..last + colon])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_digests_and_ports_do_not_matter() {
        assert_eq!(name("a/b:1"), "a/b");
        assert_eq!(name("localhost:5000/b"), "localhost:5000/b");
        assert_eq!(name("localhost:5000/b:1@sha256:00"), "localhost:5000/b");
        assert_eq!(name("b"), "b");
    }

    #[test]
    fn the_images_of_the_public_package_are_ours() {
        let map = ImageMap::default();
        let crop = map.get("ghcr.io/eoap/mastering-app-package/crop@sha256:324a0735");
        assert_eq!(crop, Some(["weir-eo".to_owned(), "crop".to_owned()].as_slice()));
        let difference = map.get("localhost/norm-diff:latest").unwrap();
        assert_eq!(difference, ["weir-eo", "normalized_difference"]);
        assert_eq!(map.get("registry.example/eo/weir-eo:1"), Some([].as_slice()));
        assert_eq!(map.get("docker.io/library/python:3.12"), None);
    }
}
