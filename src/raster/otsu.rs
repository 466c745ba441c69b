//! `otsu`: the water mask of an index raster, as the cloud-optimized `otsu.tif`.

use crate::limits::{self, TILE_PIXELS};
use crate::output::OutputError;
use crate::sample;
use crate::source::{Location, Source, SourceError};
use crate::threshold::{self, Extent, Histogram};
use crate::tiff::write::{CogLevel, Encoder, Profile, write_cog};
use crate::tiff::{self, Compression, Image, Rows, Sample, TiffError, Window};
use crate::overview;
use std::path::{Path, PathBuf};

/// A mask that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum OtsuError {
    /// The input's bytes.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The input's format.
    #[error(transparent)]
    Tiff(#[from] TiffError),
    /// No value to choose a threshold from.
    #[error("{location}: it has no finite value, so there is no threshold (only nodata in the area?)")]
    NothingFinite {
        /// The raster.
        location: String,
    },
    /// The result.
    #[error(transparent)]
    Output(#[from] OutputError),
}

/// A threshold in the type of the raster.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Threshold {
    /// Of float32 values.
    Float(f32),
    /// Of whole numbers.
    Integer(i64),
}

impl std::fmt::Display for Threshold {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Float(t) => write!(f, "{:?} float32", f64::from(*t)),
            Self::Integer(t) => write!(f, "{t}.0 int64"),
        }
    }
}

/// Computes the mask of the first band (1 where it is above the threshold) and writes `otsu.tif` into `folder`.
/// The raster is read three times, some rows at a time; the mask is held in memory, one byte a pixel.
pub fn otsu(raster: &str, compression: Compression, folder: &Path) -> Result<(PathBuf, Threshold), OtsuError> {
    let mut source = Source::open(&Location::parse(raster)?)?;
    let image = tiff::open(&mut source, false)?;
    if u64::from(image.width) * u64::from(image.height) * u64::from(image.bands) > limits::MASK_PIXELS_MAX {
        return Err(image.unsupported(format!("a mask of more than {} Mi pixels is not made", limits::MASK_PIXELS_MAX >> 20)).into());
    }
    let threshold = match image.sample {
        Sample::F32 => float_threshold(&mut source, &image)?.map(Threshold::Float),
        Sample::U8 | Sample::I8 | Sample::U16 | Sample::I16 => Some(Threshold::Integer(integer_threshold(&mut source, &image)?)),
        other => return Err(image.unsupported(format!("otsu reads float32 and 8 and 16-bit integers, not {}", other.name())).into()),
    };
    let threshold = threshold.ok_or_else(|| OtsuError::NothingFinite { location: image.location.clone() })?;

    let nodata = sample::nodata_for(image.nodata.as_deref(), image.sample)
        .and_then(|text| sample::nodata_for(Some(text), Sample::U8));
    let (width, height) = (image.width, image.height);
    let profile = Profile { width, height, bands: image.bands, sample: Sample::U8, nodata, geo: &image.geo, compression };
    let mut encoder = Encoder::new(&profile);
    let mut mask = Vec::with_capacity(width as usize * height as usize);
    let mut levels = vec![CogLevel { width, height, tiles: Vec::new() }];
    let mut pixels = Vec::new();
    each_rows(&mut source, &image, |values| {
        let from = mask.len();
        match threshold {
            Threshold::Float(t) => mask.extend(values.iter().map(|&v| u8::from(v > t))),
            // Up to 16 bits, so single precision is exact.
            Threshold::Integer(t) => mask.extend(values.iter().map(|&v| u8::from(v as i64 > t))),
        }
        tiles(&mut encoder, &mask[from..], &profile, width, &mut pixels, &mut levels[0].tiles);
    })?;
    let void = nodata.and_then(tiff::parse_nodata).map(|v| v as u8);
    let mut size = (width, height);
    for next in overview::sizes(width, height) {
        mask = overview::halve(&mask, size, next, void);
        size = next;
        let mut level = CogLevel { width: size.0, height: size.1, tiles: Vec::new() };
        for rows in mask.chunks(size.0 as usize * TILE_PIXELS as usize) {
            tiles(&mut encoder, rows, &profile, size.0, &mut pixels, &mut level.tiles);
        }
        levels.push(level);
    }
    let path = folder.join("otsu.tif");
    write_cog(&path, &profile, &levels)?;
    Ok((path, threshold))
}

/// Compresses one row of tiles. Bands after the first are zero, as in the reference.
fn tiles(encoder: &mut Encoder, rows: &[u8], profile: &Profile, width: u32, pixels: &mut Vec<u8>, out: &mut Vec<Vec<u8>>) {
    let rows = if profile.bands == 1 {
        rows
    } else {
        sample::first_of_bands(rows.iter().map(|&v| [v]), profile.bands, pixels);
        pixels
    };
    let kept: Result<(), std::convert::Infallible> = encoder.tiles(rows, width, |tile| {
        out.push(tile.to_vec());
        Ok(())
    });
    let Ok(()) = kept;
}

fn each_rows(source: &mut Source, image: &Image, mut each: impl FnMut(&[f32])) -> Result<(), TiffError> {
    let mut rows = Rows::new(source, image, Window::whole(image), 1)?;
    let mut values = Vec::new();
    for top in (0..image.height).step_by(TILE_PIXELS as usize) {
        sample::to_f32(image.sample, rows.read(top, TILE_PIXELS.min(image.height - top))?, &mut values);
        each(&values);
    }
    Ok(())
}

/// `None`: no finite value. A constant raster's threshold is its value.
fn float_threshold(source: &mut Source, image: &Image) -> Result<Option<f32>, TiffError> {
    let mut extent = Extent::default();
    each_rows(source, image, |values| extent.add(values))?;
    let Some((low, high)) = extent.get() else { return Ok(None) };
    if low == high {
        return Ok(Some(low));
    }
    let mut histogram = Histogram::new(low, high);
    each_rows(source, image, |values| histogram.add(values))?;
    Ok(Some(histogram.threshold()))
}

fn integer_threshold(source: &mut Source, image: &Image) -> Result<i64, TiffError> {
    const LOWEST: i64 = i16::MIN as i64;
    let mut counts = vec![0u64; (u16::MAX as i64 - LOWEST + 1) as usize];
    each_rows(source, image, |values| {
        for &v in values {
            counts[(v as i64 - LOWEST) as usize] += 1;
        }
    })?;
    let first = counts.iter().position(|&n| n > 0).unwrap_or(0);
    let last = counts.iter().rposition(|&n| n > 0).unwrap_or(0);
    let low = LOWEST + first as i64;
    Ok(if first == last { low } else { threshold::of_integers(low, &counts[first..=last]) })
}
