//! Media types and the endings of file names.

/// Endings and what they stand for; the first of a media type is the one that names get.
const TYPES: [(&str, &str); 19] = [
    ("tif", "image/tiff; application=geotiff"),
    ("tiff", "image/tiff; application=geotiff"),
    ("jp2", "image/jp2"),
    ("png", "image/png"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("json", "application/json"),
    ("geojson", "application/geo+json"),
    ("txt", "text/plain"),
    ("log", "text/plain"),
    ("csv", "text/csv"),
    ("xml", "application/xml"),
    ("html", "text/html"),
    ("yaml", "application/yaml"),
    ("yml", "application/yaml"),
    ("nc", "application/x-netcdf"),
    ("zip", "application/zip"),
    ("gpkg", "application/geopackage+sqlite3"),
    ("parquet", "application/vnd.apache.parquet"),
];

/// The media type of a file by its name's ending; `None` where nothing better than bytes is known.
pub fn type_of(name: &str) -> Option<&'static str> {
    let ending = name.rsplit_once('.')?.1.to_ascii_lowercase();
    TYPES.iter().find(|(known, _)| *known == ending).map(|(_, media_type)| *media_type)
}

/// `type/subtype` of a media type, in lower case, without parameters.
pub fn essence(media_type: &str) -> String {
    media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// The ending of names of files of a media type, with its dot; empty where none is known.
pub fn ending(media_type: &str) -> String {
    let known = TYPES.iter().find(|(_, known)| essence(known) == essence(media_type));
    known.map_or_else(String::new, |(ending, _)| format!(".{ending}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_media_types_tell_of_each_other() {
        assert_eq!(type_of("OTSU.TIF"), Some("image/tiff; application=geotiff"));
        assert_eq!(type_of("Makefile"), None);
        assert_eq!(ending("image/tiff"), ".tif");
        assert_eq!(ending("application/geo+json; charset=utf-8"), ".geojson");
        assert_eq!(ending("x/y"), "");
    }
}
