//! The STAC documents that these steps write: catalogs, collections, links, times.

use serde_json::{Value, json};

/// The version written (that of the mission's example results).
pub const STAC_VERSION: &str = "1.0.0";

/// A link without title.
pub fn link(rel: &str, href: &str, media_type: &str) -> Value {
    json!({ "rel": rel, "href": href, "type": media_type })
}

/// Media type of links to catalogs, collections and, inside results, items.
pub const JSON: &str = "application/json";

/// Media type of links from a catalog to its items.
pub const GEO_JSON: &str = "application/geo+json";

/// A catalog.
pub fn catalog(id: &str, description: &str, links: Vec<Value>) -> Value {
    json!({ "type": "Catalog", "id": id, "stac_version": STAC_VERSION, "description": description, "links": links })
}

/// A self-contained catalog of items that lie in folders named by their ids.
pub fn catalog_of_items<'a>(description: &str, ids: impl Iterator<Item = &'a str>) -> Value {
    let mut links = vec![link("root", "./catalog.json", JSON)];
    links.extend(ids.map(|id| link("item", &format!("./{id}/{id}.json"), GEO_JSON)));
    catalog("catalog", description, links)
}

/// The document as it is written: indented by two, as pystac does.
pub fn to_bytes(document: &Value) -> Vec<u8> {
    // A JSON value always has a text.
    serde_json::to_vec_pretty(document).unwrap_or_default()
}

/// A time as pystac writes it: UTC with `Z`, microseconds only where there are some. `None`: not a time.
pub fn datetime(text: &str) -> Option<String> {
    use jiff::civil;
    use jiff::tz::TimeZone;
    let text = text.trim();
    let time = text.parse::<jiff::Timestamp>().ok().or_else(|| {
        let civil = text.parse::<civil::DateTime>().ok().or_else(|| Some(text.parse::<civil::Date>().ok()?.at(0, 0, 0, 0)))?;
        civil.to_zoned(TimeZone::UTC).ok().map(|z| z.timestamp())
    })?;
    Some(utc(time))
}

/// Now, likewise.
pub fn now() -> String {
    utc(jiff::Timestamp::now())
}

/// A time in the form that [`datetime`] gives.
pub fn utc(time: jiff::Timestamp) -> String {
    let format = if time.subsec_microsecond() == 0 && time.subsec_millisecond() == 0 { "%Y-%m-%dT%H:%M:%SZ" } else { "%Y-%m-%dT%H:%M:%S.%6fZ" };
    time.strftime(format).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_pystac_does() {
        assert_eq!(datetime("2021-07-13T19:03:24Z").unwrap(), "2021-07-13T19:03:24Z");
        assert_eq!(datetime("2020-05-18T13:37:00.5Z").unwrap(), "2020-05-18T13:37:00.500000Z");
        assert_eq!(datetime("2020-05-18T13:37:00.000001+02:00").unwrap(), "2020-05-18T11:37:00.000001Z");
        assert_eq!(datetime("2020-05-18").unwrap(), "2020-05-18T00:00:00Z");
        assert_eq!(datetime("yesterday"), None);
    }
}
