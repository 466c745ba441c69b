//! TIFF as the steps need it: one image described by [`Image`], read by rows ([`Rows`]), written by tiles ([`mod@write`]).
//!
//! Sources: TIFF 6.0 (Adobe 1992), `TIFF Technical Note 3` (floating point predictor), the `BigTIFF` design,
//! OGC 19-008r4 (GeoTIFF 1.1), and GDAL's documented extras (`GDAL_NODATA`, sparse tiles, COG ghost area).

pub mod decode;
pub mod geo;
pub mod read;
pub mod rows;
pub mod write;

pub use geo::{GeoTags, Georeference, Transform};
pub use read::open;
pub use rows::{Rows, Window};

use crate::source::SourceError;

/// What can be wrong with a raster file.
#[derive(Debug, thiserror::Error)]
pub enum TiffError {
    /// The bytes could not be fetched.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The file is no TIFF, or breaks the format's rules.
    #[error("{location}: not a readable TIFF: {reason}")]
    Corrupt {
        /// The raster.
        location: String,
        /// Which rule is broken.
        reason: String,
    },
    /// The file is a TIFF that these steps do not read.
    #[error("{location}: {reason}")]
    Unsupported {
        /// The raster.
        location: String,
        /// What it uses and what would be read.
        reason: String,
    },
}

/// Type of one sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sample {
    /// Unsigned 8-bit.
    U8,
    /// Signed 8-bit.
    I8,
    /// Unsigned 16-bit.
    U16,
    /// Signed 16-bit.
    I16,
    /// Unsigned 32-bit.
    U32,
    /// Signed 32-bit.
    I32,
    /// IEEE single precision.
    F32,
    /// IEEE double precision.
    F64,
}

impl Sample {
    /// Bytes of one sample.
    pub const fn size(self) -> usize {
        match self {
            Self::U8 | Self::I8 => 1,
            Self::U16 | Self::I16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    /// `BitsPerSample` and `SampleFormat` (TIFF 6.0 §19) as this crate stores them.
    pub const fn bits_and_format(self) -> (u16, u16) {
        match self {
            Self::U8 => (8, 1),
            Self::I8 => (8, 2),
            Self::U16 => (16, 1),
            Self::I16 => (16, 2),
            Self::U32 => (32, 1),
            Self::I32 => (32, 2),
            Self::F32 => (32, 3),
            Self::F64 => (64, 3),
        }
    }

    /// The type with these `BitsPerSample` and `SampleFormat`, if it is one that is read.
    pub fn from_bits_and_format(bits: u64, format: u64) -> Option<Self> {
        [Self::U8, Self::I8, Self::U16, Self::I16, Self::U32, Self::I32, Self::F32, Self::F64].into_iter().find(
            |sample| {
                let (b, f) = sample.bits_and_format();
                (u64::from(b), u64::from(f)) == (bits, format)
            },
        )
    }

    /// The name that numpy and STAC (`raster:bands[].data_type`) give the type.
    pub const fn name(self) -> &'static str {
        match self {
            Self::U8 => "uint8",
            Self::I8 => "int8",
            Self::U16 => "uint16",
            Self::I16 => "int16",
            Self::U32 => "uint32",
            Self::I32 => "int32",
            Self::F32 => "float32",
            Self::F64 => "float64",
        }
    }
}

/// Compression of tiles and strips.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Compression {
    /// Stored as they are.
    None,
    /// zlib streams.
    Deflate,
    /// TIFF's LZW (most significant bit first).
    Lzw,
    /// Zstandard frames.
    Zstd,
}

impl Compression {
    /// The value of the `Compression` tag.
    pub const fn tag(self) -> u16 {
        match self {
            Self::None => 1,
            Self::Lzw => 5,
            Self::Deflate => 8,
            Self::Zstd => 50000,
        }
    }
}

/// What is done to the samples before compression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Predictor {
    /// Nothing.
    None,
    /// Horizontal differences of integers (TIFF 6.0 §14).
    Horizontal,
    /// Byte planes of floating point values, differenced (Technical Note 3).
    Float,
}

/// Where one tile or strip lies in the file. `bytes == 0`: it was never written (sparse) and is void.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Offset from the start of the file, bytes.
    pub offset: u64,
    /// Stored length, bytes.
    pub bytes: u64,
}

/// One image of a file, validated: what every reader below relies on.
#[derive(Clone, Debug)]
pub struct Image {
    /// The file, for messages.
    pub location: String,
    /// Width, pixels (> 0).
    pub width: u32,
    /// Height, pixels (> 0).
    pub height: u32,
    /// Bands (> 0).
    pub bands: u32,
    /// Type of all samples.
    pub sample: Sample,
    /// The file's byte order.
    pub big_endian: bool,
    /// Compression of the blocks.
    pub compression: Compression,
    /// Predictor of the blocks.
    pub predictor: Predictor,
    /// Bands in planes of their own (`PlanarConfiguration` 2) instead of side by side in each pixel.
    pub planar: bool,
    /// Width of a block: the tile's, or the image's where it is stored in strips.
    pub block_width: u32,
    /// Height of a block, pixels; the last strip may be shorter.
    pub block_height: u32,
    /// Whether blocks are tiles, which are always stored in full.
    pub tiled: bool,
    /// All blocks in the file's order: row by row, plane by plane.
    pub blocks: Vec<Block>,
    /// `GDAL_NODATA` as written, e.g. `0` or `nan`.
    pub nodata: Option<String>,
    /// Where the image lies on earth.
    pub geo: Georeference,
    /// Transparency stored beside the pixels (alpha band or mask image), which these steps would ignore.
    pub transparency: Option<&'static str>,
    /// The overviews, largest first (only their own pixels; no further overviews).
    pub overviews: Vec<Image>,
}

impl Image {
    /// Blocks across.
    pub fn blocks_across(&self) -> u32 {
        self.width.div_ceil(self.block_width)
    }

    /// Blocks down.
    pub fn blocks_down(&self) -> u32 {
        self.height.div_ceil(self.block_height)
    }

    /// Bands that one block holds.
    pub fn bands_in_block(&self) -> u32 {
        if self.planar { 1 } else { self.bands }
    }

    /// The nodata value as a number, where there is one.
    pub fn nodata_value(&self) -> Option<f64> {
        parse_nodata(self.nodata.as_deref()?)
    }

    pub(crate) fn corrupt(&self, reason: impl Into<String>) -> TiffError {
        TiffError::Corrupt { location: self.location.clone(), reason: reason.into() }
    }

    pub(crate) fn unsupported(&self, reason: impl Into<String>) -> TiffError {
        TiffError::Unsupported { location: self.location.clone(), reason: reason.into() }
    }
}

/// Reads GDAL's spelling of a nodata value.
pub fn parse_nodata(text: &str) -> Option<f64> {
    let text = text.trim();
    match text.to_ascii_lowercase().as_str() {
        "-1.#ind" | "-nan" => Some(f64::NAN),
        other => other.parse().ok(),
    }
}
