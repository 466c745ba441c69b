//! The raster steps of the water-bodies workflow, as library and as the program `weir-eo`.
//!
//! One file a step: [`stage_in`] (and `fetch`), [`crop`], [`normalized_difference`], [`otsu`], [`stac`], [`stage_out`].
//! Below them, pure: [`tiff`] (format), [`threshold`], [`overview`], [`band_statistics`], [`sample`] (casts), [`crs`],
//! [`item`] and [`document`] (STAC). At the edges: [`source`] (files, HTTP, S3), [`output`] (files whole or not
//! at all), [`destination`] (folder or bucket).
//! [`limits`] holds every limit. The arithmetic is that of the Python reference (rasterio 1.4 on GDAL 3.9,
//! scikit-image 0.25, rio-stac 0.11, numpy 2): every pixel and every statistic is equal.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    clippy::cast_possible_wrap,
    clippy::float_cmp,
    reason = "pixel arithmetic converts on purpose; sizes are checked against `limits` first; equal means equal to the bit"
)]

pub mod band_statistics;
mod cli;
pub mod crop;
pub mod crs;
pub mod destination;
pub mod document;
pub mod item;
pub mod limits;
pub mod normalized_difference;
pub mod otsu;
pub mod output;
pub mod overview;
pub mod sample;
pub mod source;
pub mod stac;
pub mod stage_in;
pub mod stage_out;
pub mod threshold;
pub mod tiff;

pub use cli::main;

pub(crate) use cli::one_line;
