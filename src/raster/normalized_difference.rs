//! `normalized_difference`: `(a - b) / (a + b)` of two rasters on one grid, as `norm_diff.tif`.

use crate::limits::TILE_PIXELS;
use crate::output::OutputError;
use crate::sample;
use crate::source::{Location, Source, SourceError};
use crate::tiff::write::{Profile, TileWriter};
use crate::tiff::{self, Compression, Image, Rows, Sample, TiffError, Window};
use std::path::{Path, PathBuf};

/// An index that could not be computed.
#[derive(Debug, thiserror::Error)]
pub enum NormalizedDifferenceError {
    /// An input's bytes.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// An input's format.
    #[error(transparent)]
    Tiff(#[from] TiffError),
    /// The inputs do not lie on each other.
    #[error("{first} and {second} are not on the same grid: {first_grid}, but {second_grid}")]
    Grids {
        /// First raster.
        first: String,
        /// Second raster.
        second: String,
        /// Size, origin and system of the first.
        first_grid: String,
        /// Size, origin and system of the second.
        second_grid: String,
    },
    /// The result.
    #[error(transparent)]
    Output(#[from] OutputError),
}

/// Computes the index of the first bands and writes `norm_diff.tif` into `folder`. Single precision throughout;
/// 0/0 is NaN. Georeference, nodata and number of bands are the first raster's, as in the reference.
pub fn normalized_difference(
    first: &str,
    second: &str,
    compression: Compression,
    folder: &Path,
) -> Result<PathBuf, NormalizedDifferenceError> {
    let mut sources = (Source::open(&Location::parse(first)?)?, Source::open(&Location::parse(second)?)?);
    let images = (tiff::open(&mut sources.0, false)?, tiff::open(&mut sources.1, false)?);
    same_grid(&images.0, &images.1)?;
    let (width, height) = (images.0.width, images.0.height);
    let mut rows = (
        Rows::new(&mut sources.0, &images.0, Window::whole(&images.0), 1)?,
        Rows::new(&mut sources.1, &images.1, Window::whole(&images.1), 1)?,
    );
    let path = folder.join("norm_diff.tif");
    let profile = Profile {
        width,
        height,
        bands: images.0.bands,
        sample: Sample::F32,
        nodata: sample::nodata_for(images.0.nodata.as_deref(), images.0.sample)
            .and_then(|text| sample::nodata_for(Some(text), Sample::F32)),
        geo: &images.0.geo,
        compression,
    };
    let mut writer = TileWriter::create(&path, profile)?;
    let (mut a, mut b, mut bytes) = (Vec::new(), Vec::new(), Vec::new());
    for top in (0..height).step_by(TILE_PIXELS as usize) {
        let count = TILE_PIXELS.min(height - top);
        sample::to_f32(images.0.sample, rows.0.read(top, count)?, &mut a);
        sample::to_f32(images.1.sample, rows.1.read(top, count)?, &mut b);
        let index = a.iter().zip(&b).map(|(a, b)| (a - b) / (a + b));
        sample::first_of_bands(index.map(f32::to_ne_bytes), images.0.bands, &mut bytes);
        writer.write(&bytes)?;
    }
    writer.finish()?;
    Ok(path)
}

/// The reference fails on different sizes only; different places or systems would give a wrong map without a word.
fn same_grid(a: &Image, b: &Image) -> Result<(), NormalizedDifferenceError> {
    let near = |x: f64, y: f64, pixel: f64| (x - y).abs() <= pixel.abs() * 1e-3;
    let (s, t) = (a.geo.transform, b.geo.transform);
    let placed = near(s.c, t.c, s.a) && near(s.f, t.f, s.e) && near(s.a, t.a, s.a) && near(s.e, t.e, s.e);
    if (a.width, a.height) == (b.width, b.height) && placed && a.geo.epsg == b.geo.epsg {
        return Ok(());
    }
    let grid = |i: &Image| {
        let t = i.geo.transform;
        format!("{} x {} pixels of {} at ({}, {}) in {}", i.width, i.height, t.a, t.c, t.f, i.geo.crs_name())
    };
    Err(NormalizedDifferenceError::Grids {
        first: a.location.clone(),
        second: b.location.clone(),
        first_grid: grid(a),
        second_grid: grid(b),
    })
}
