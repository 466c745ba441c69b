//! `stac`: a catalog with one item for each scene and its mask.

use crate::band_statistics::raster_bands;
use crate::crs::{Crs, CrsError};
use crate::document;
use crate::item::{Item, ItemError};
use crate::output::{self, OutputError, OutputFile};
use crate::source::{self, DownloadError, Location, Source, SourceError};
use crate::tiff::{self, Image, TiffError};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// A catalog that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum StacError {
    /// An item.
    #[error(transparent)]
    Item(#[from] ItemError),
    /// A mask's bytes.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A mask's format.
    #[error(transparent)]
    Tiff(#[from] TiffError),
    /// A mask has no place on earth.
    #[error("{location}: its footprint cannot be given in longitude and latitude: {reason}")]
    Footprint {
        /// The mask.
        location: String,
        /// What is missing or wrong.
        reason: String,
    },
    /// Two items would be written over each other.
    #[error("two items have the id `{0}`; each item of a catalog needs its own")]
    SameId(String),
    /// The item's time.
    #[error("item {item}: its datetime is not a time: `{datetime}`")]
    Datetime {
        /// The item's id.
        item: String,
        /// As given.
        datetime: String,
    },
    /// A mask could not be copied.
    #[error(transparent)]
    Download(#[from] DownloadError),
    /// The result.
    #[error(transparent)]
    Output(#[from] OutputError),
}

/// Writes `catalog.json` and, for each pair of item and mask, `<id>/<id>.json` and a copy of the mask into `folder`.
pub fn stac<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>, folder: &Path) -> Result<PathBuf, StacError> {
    let mut ids: Vec<String> = Vec::new();
    for (item, mask) in pairs {
        let item = Item::read(item)?;
        if ids.contains(&item.id) {
            return Err(StacError::SameId(item.id));
        }
        let location = Location::parse(mask)?;
        let mut source = Source::open(&location)?;
        let image = tiff::open(&mut source, true)?;
        let name = location.file_name().unwrap_or_else(|| "mask.tif".into());
        let document = describe(&item, &name, &mut source, &image)?;
        let place = folder.join(&item.id);
        output::create_dir(&place)?;
        let mut copy = OutputFile::create(&place.join(&name))?;
        source::download(&location, &mut copy)?;
        copy.commit()?;
        output::write(&place.join(format!("{}.json", item.id)), &document::to_bytes(&document))?;
        ids.push(item.id);
    }
    let catalog = document::catalog_of_items("water-bodies", ids.iter().map(String::as_str));
    let path = folder.join("catalog.json");
    output::write(&path, &document::to_bytes(&catalog))?;
    Ok(path)
}

/// The item of a mask: place and statistics are the mask's, id and time the scene's.
fn describe(item: &Item, name: &str, source: &mut Source, image: &Image) -> Result<Value, StacError> {
    let nowhere = |reason: String| StacError::Footprint { location: image.location.clone(), reason };
    let epsg = image.geo.epsg.ok_or_else(|| nowhere("it has no EPSG code".into()))?;
    let transform = image.geo.transform;
    if !transform.is_upright() {
        return Err(nowhere("its pixels are rotated against its coordinate system".into()));
    }
    let bounds = transform.bounds(image.width, image.height);
    let [west, south, east, north] = bounds;
    let corners = [(west, south), (east, south), (east, north), (west, north), (west, south)];
    let systems = |e: CrsError| nowhere(e.to_string());
    let raster_crs = Crs::from_code(u32::from(epsg)).map_err(systems)?;
    let wgs84 = Crs::from_code(u32::from(Crs::WGS84)).map_err(systems)?;
    let footprint: Vec<(f64, f64)> =
        corners.iter().map(|&(x, y)| raster_crs.transform(&wgs84, x, y)).collect::<Result<_, _>>().map_err(systems)?;
    let least = |of: fn(&(f64, f64)) -> f64| footprint.iter().map(of).fold(f64::INFINITY, f64::min);
    let most = |of: fn(&(f64, f64)) -> f64| footprint.iter().map(of).fold(f64::NEG_INFINITY, f64::max);
    let datetime = match item.datetime() {
        Some(text) => document::datetime(text)
            .ok_or_else(|| StacError::Datetime { item: item.id.clone(), datetime: text.to_owned() })?,
        None => document::now(),
    };
    let t = transform;
    Ok(json!({
        "type": "Feature",
        "stac_version": document::STAC_VERSION,
        "stac_extensions": [
            "https://stac-extensions.github.io/projection/v1.1.0/schema.json",
            "https://stac-extensions.github.io/raster/v1.1.0/schema.json",
        ],
        "id": item.id,
        "geometry": { "type": "Polygon", "coordinates": [footprint] },
        "bbox": [least(|p| p.0), least(|p| p.1), most(|p| p.0), most(|p| p.1)],
        "properties": {
            "proj:epsg": epsg,
            "proj:geometry": { "type": "Polygon", "coordinates": [corners] },
            "proj:bbox": bounds,
            "proj:shape": [image.height, image.width],
            "proj:transform": [t.a, t.b, t.c, t.d, t.e, t.f, 0.0, 0.0, 1.0],
            "datetime": datetime,
        },
        "links": [
            document::link("root", "../catalog.json", document::JSON),
            document::link("parent", "../catalog.json", document::JSON),
        ],
        "assets": {
            "data": {
                "href": name,
                "type": "image/tiff; application=geotiff",
                "raster:bands": raster_bands(source, image)?,
                "roles": ["data", "visual"],
            },
        },
    }))
}
