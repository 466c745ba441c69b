//! `crop`: the part of one band that an area covers, as `crop_<band>.tif`.

use crate::crs::{Crs, CrsError};
use crate::item::{Item, ItemError};
use crate::limits::TILE_PIXELS;
use crate::output::OutputError;
use crate::sample;
use crate::source::{Source, SourceError};
use crate::tiff::write::{Profile, TileWriter};
use crate::tiff::{self, Compression, Rows, Sample, TiffError, Transform, Window};
use std::path::{Path, PathBuf};

/// A crop that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CropError {
    /// The item.
    #[error(transparent)]
    Item(#[from] ItemError),
    /// The asset's bytes.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The asset's format.
    #[error(transparent)]
    Tiff(#[from] TiffError),
    /// A coordinate system.
    #[error("cannot place the area of interest on {location}: {source}")]
    Crs {
        /// The raster.
        location: String,
        /// What is wrong.
        #[source]
        source: CrsError,
    },
    /// The asset cannot be cropped faithfully.
    #[error("{location}: {reason}")]
    Raster {
        /// The raster.
        location: String,
        /// What it has and what is needed.
        reason: String,
    },
    /// The area lies elsewhere.
    #[error("the area of interest does not overlap {location}: area {} and raster {} in {crs}", show_box(area), show_box(raster))]
    NoOverlap {
        /// The raster.
        location: String,
        /// The area's box in the raster's system: west, south, east, north.
        area: [f64; 4],
        /// The raster's box.
        raster: [f64; 4],
        /// The system of both.
        crs: String,
    },
    /// The result.
    #[error(transparent)]
    Output(#[from] OutputError),
}

fn show_box(b: &[f64; 4]) -> String {
    format!("({}, {}, {}, {})", b[0], b[1], b[2], b[3])
}

/// An area of interest: west, south, east, north in x, y order of its coordinate system.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Area(pub [f64; 4]);

impl std::str::FromStr for Area {
    type Err = String;

    /// Reads `minx,miny,maxx,maxy`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("expected minx,miny,maxx,maxy (four numbers with commas between), not `{text}`");
        let numbers = text.split(',').map(|n| n.trim().parse::<f64>().ok().filter(|v| v.is_finite()));
        let numbers: Vec<f64> = numbers.collect::<Option<_>>().ok_or_else(wrong)?;
        numbers.try_into().map(Self).map_err(|_| wrong())
    }
}

/// Crops the asset of `item` that has `band` and writes `crop_<band>.tif` into `folder`.
pub fn crop(
    item: &Item,
    area: Area,
    crs: &Crs,
    band: &str,
    compression: Compression,
    folder: &Path,
) -> Result<PathBuf, CropError> {
    let location = item.band(band)?;
    let name = location.to_string();
    let mut source = Source::open(&location)?;
    let image = tiff::open(&mut source, false)?;
    let refuse = |reason: String| CropError::Raster { location: name.clone(), reason };
    if let Some(what) = image.transparency {
        return Err(refuse(format!("it has {what}; only rasters whose void pixels are a nodata value are cropped")));
    }
    let transform = image.geo.transform;
    if !transform.is_upright() {
        return Err(refuse("its pixels are rotated against its coordinate system".into()));
    }
    let misplaced = |source| CropError::Crs { location: name.clone(), source };
    let code = image.geo.epsg.ok_or_else(|| refuse("it has no EPSG code; the area cannot be placed on it".into()))?;
    let raster_crs = Crs::from_code(u32::from(code)).map_err(misplaced)?;
    // Only two corners are projected, as in the reference: the box around them, not around the area.
    let [west, south, east, north] = area.0;
    let (x0, y0) = crs.transform(&raster_crs, west, south).map_err(misplaced)?;
    let (x1, y1) = crs.transform(&raster_crs, east, north).map_err(misplaced)?;
    let area = [x0.min(x1), y0.min(y1), x0.max(x1), y0.max(y1)];
    let window = window(&transform, image.width, image.height, area).ok_or_else(|| CropError::NoOverlap {
        location: name.clone(),
        area,
        raster: transform.bounds(image.width, image.height),
        crs: image.geo.crs_name(),
    })?;
    let mut geo = image.geo.clone();
    geo.transform = transform.window(window.col, window.row);
    let inside = inside(&geo.transform, window.width, window.height, area);
    let fill = sample::fill_u16(image.nodata_value().unwrap_or(0.0), image.sample);

    let path = folder.join(format!("crop_{band}.tif"));
    let profile = Profile {
        width: window.width,
        height: window.height,
        bands: image.bands,
        sample: Sample::U16,
        nodata: sample::nodata_for(image.nodata.as_deref(), image.sample)
            .and_then(|text| sample::nodata_for(Some(text), Sample::U16)),
        geo: &geo,
        compression,
    };
    let mut rows = Rows::new(&mut source, &image, window, image.bands)?;
    let mut writer = TileWriter::create(&path, profile)?;
    let (mut pixels, mut bytes) = (Vec::new(), Vec::new());
    let bands = image.bands as usize;
    for top in (0..window.height).step_by(TILE_PIXELS as usize) {
        let count = TILE_PIXELS.min(window.height - top);
        sample::to_u16(image.sample, rows.read(top, count)?, &mut pixels);
        for (row, line) in (top..).zip(pixels.chunks_exact_mut(window.width as usize * bands)) {
            if inside.rows.contains(&row) {
                line[..inside.columns.start as usize * bands].fill(fill);
                line[inside.columns.end as usize * bands..].fill(fill);
            } else {
                line.fill(fill);
            }
        }
        bytes.clear();
        bytes.extend(pixels.iter().flat_map(|v| v.to_ne_bytes()));
        writer.write(&bytes)?;
    }
    writer.finish()?;
    Ok(path)
}

/// The pixels that a box touches, cut to the raster; `None` if there are none.
fn window(transform: &Transform, width: u32, height: u32, [west, south, east, north]: [f64; 4]) -> Option<Window> {
    let inverse = transform.inverse();
    let corners = [(west, south), (west, north), (east, south), (east, north)].map(|(x, y)| inverse.apply(x, y));
    let span = |values: [f64; 4], size: u32| {
        let low = values.iter().copied().fold(f64::INFINITY, f64::min).floor().max(0.0);
        let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max).ceil().min(f64::from(size));
        (low < high).then_some((low as u32, (high - low) as u32))
    };
    let (col, width) = span(corners.map(|c| c.0), width)?;
    let (row, height) = span(corners.map(|c| c.1), height)?;
    Some(Window { col, row, width, height })
}

/// Rows and columns whose pixels count as inside the box.
#[derive(Debug, PartialEq)]
struct Inside {
    rows: std::ops::Range<u32>,
    columns: std::ops::Range<u32>,
}

/// The pixels of a window whose centre lies in a box, by the rule of GDAL's polygon filler: rows with the centre
/// on an edge belong to the box on both sides; columns do so on the right side only.
fn inside(transform: &Transform, width: u32, height: u32, [west, south, east, north]: [f64; 4]) -> Inside {
    // As GDAL inverts an upright geotransform.
    let col = |x: f64| -transform.c / transform.a + x * (1.0 / transform.a);
    let row = |y: f64| -transform.f / transform.e + y * (1.0 / transform.e);
    let (left, right) = (col(west).min(col(east)), col(west).max(col(east)));
    let (top, bottom) = (row(south).min(row(north)), row(south).max(row(north)));
    let clip = |value: f64, size: u32| value.clamp(0.0, f64::from(size)) as u32;
    let columns = clip((left + 0.5).floor(), width)..clip((right + 0.5).floor(), width);
    let rows = clip((top - 0.5).ceil(), height)..clip((bottom - 0.5).floor() + 1.0, height);
    if columns.is_empty() { Inside { rows: 0..0, columns: 0..0 } } else { Inside { rows, columns } }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRID: Transform = Transform { a: 1.0, b: 0.0, c: 0.0, d: 0.0, e: -1.0, f: 20.0 };

    fn crop_of(area: [f64; 4]) -> Option<(Window, Inside)> {
        let window = window(&GRID, 20, 20, area)?;
        let moved = GRID.window(window.col, window.row);
        Some((window, inside(&moved, window.width, window.height, area)))
    }

    #[test]
    fn centres_on_the_edge_count_as_rasterio_counts_them() {
        let (window, inside) = crop_of([5.5, 5.5, 9.5, 9.5]).unwrap();
        assert_eq!(window, Window { col: 5, row: 10, width: 5, height: 5 });
        assert_eq!(inside, Inside { rows: 0..5, columns: 1..5 });
        assert_eq!(crop_of([5.2, 5.2, 9.2, 9.2]).unwrap().1, Inside { rows: 1..5, columns: 0..4 });
        assert_eq!(crop_of([-3.5, -3.5, 4.5, 4.5]).unwrap().1, Inside { rows: 0..5, columns: 0..5 });
    }

    #[test]
    fn an_area_between_centres_keeps_a_window_without_pixels() {
        let (window, inside) = crop_of([5.6, 5.6, 5.9, 5.9]).unwrap();
        assert_eq!((window.width, window.height), (1, 1));
        assert!(inside.columns.is_empty() && inside.rows.is_empty());
    }

    #[test]
    fn areas_that_only_touch_do_not_overlap() {
        assert!(crop_of([20.0, 0.0, 30.0, 10.0]).is_none());
        assert!(crop_of([5.0, 5.0, 5.0, 9.0]).is_none());
        assert!(crop_of([100.0, 100.0, 110.0, 110.0]).is_none());
    }

    #[test]
    fn the_tutorial_scene_gives_the_known_window() {
        let tile = Transform { a: 10.0, b: 0.0, c: 600_000.0, d: 0.0, e: -10.0, f: 4_500_000.0 };
        let area = [636_994.4642, 4_410_559.3240, 691_586.0319, 4_482_599.9715];
        let window = window(&tile, 10980, 10980, area).unwrap();
        assert_eq!(window, Window { col: 3699, row: 1740, width: 5460, height: 7205 });
        let inside = inside(&tile.window(3699, 1740), 5460, 7205, area);
        assert_eq!(inside.rows, 0..7204, "the last row's centre lies outside");
    }

    #[test]
    fn an_area_is_four_numbers() {
        assert_eq!("-121.399,39.834, -120.74,40.472".parse(), Ok(Area([-121.399, 39.834, -120.74, 40.472])));
        for bad in ["", "1,2,3", "1,2,3,4,5", "1,2,3,x", "1,2,3,nan", "1;2;3;4"] {
            assert!(bad.parse::<Area>().is_err(), "{bad}");
        }
    }
}
