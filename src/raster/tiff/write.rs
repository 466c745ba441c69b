//! Writes tiled TIFF: [`TileWriter`] streams one image, [`write_cog`] an image with its overviews as a COG.
//!
//! Tiles are [`limits::TILE_PIXELS`] square, the bands of a pixel side by side, bytes in little endian.

use super::{Compression, Georeference, Sample};
use crate::limits::{self, TILE_PIXELS};
use crate::output::{OutputError, OutputFile};
use std::path::Path;

/// What is the same for an image and its overviews.
#[derive(Clone, Debug)]
pub struct Profile<'a> {
    /// Width at full resolution, pixels.
    pub width: u32,
    /// Height at full resolution, pixels.
    pub height: u32,
    /// Bands.
    pub bands: u32,
    /// Type of the samples.
    pub sample: Sample,
    /// `GDAL_NODATA`.
    pub nodata: Option<&'a str>,
    /// Where the image lies.
    pub geo: &'a Georeference,
    /// How tiles are stored.
    pub compression: Compression,
}

impl Profile<'_> {
    fn pixel_bytes(&self) -> usize {
        self.bands as usize * self.sample.size()
    }

    fn tile_bytes(&self) -> usize {
        TILE_PIXELS as usize * TILE_PIXELS as usize * self.pixel_bytes()
    }
}

/// Compresses tiles; holds what is reused from tile to tile.
pub struct Encoder {
    compression: Compression,
    sample_bytes: usize,
    pixel_bytes: usize,
    deflate: libdeflater::Compressor,
    lzw: weezl::encode::Encoder,
    tile: Vec<u8>,
}

impl Encoder {
    /// An encoder for tiles of this profile.
    pub fn new(profile: &Profile) -> Self {
        Self {
            compression: profile.compression,
            sample_bytes: profile.sample.size(),
            pixel_bytes: profile.pixel_bytes(),
            deflate: libdeflater::Compressor::new(libdeflater::CompressionLvl::fastest()),
            lzw: weezl::encode::Configuration::with_tiff_size_switch(weezl::BitOrder::Msb, 8).build(),
            tile: vec![0; profile.tile_bytes()],
        }
    }

    /// Cuts up to [`TILE_PIXELS`] rows of native samples, `width` pixels each, into tiles from left to right.
    pub fn tiles<E>(&mut self, rows: &[u8], width: u32, mut each: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        let row_bytes = width as usize * self.pixel_bytes;
        let tile_row = TILE_PIXELS as usize * self.pixel_bytes;
        for left in (0..row_bytes).step_by(tile_row) {
            let held = tile_row.min(row_bytes - left);
            let filled = rows.len() / row_bytes * tile_row;
            for (out, row) in self.tile.chunks_exact_mut(tile_row).zip(rows.chunks_exact(row_bytes)) {
                out[..held].copy_from_slice(&row[left..left + held]);
                out[held..].fill(0);
            }
            self.tile[filled..].fill(0);
            if cfg!(target_endian = "big") && self.sample_bytes > 1 {
                self.tile.chunks_exact_mut(self.sample_bytes).for_each(<[u8]>::reverse);
            }
            match self.compression {
                Compression::None => each(&self.tile)?,
                Compression::Deflate => {
                    let mut out = vec![0; self.deflate.zlib_compress_bound(self.tile.len())];
                    let length = self.deflate.zlib_compress(&self.tile, &mut out).unwrap_or(0);
                    each(&out[..length])?;
                }
                Compression::Lzw => {
                    self.lzw.reset();
                    let mut out = Vec::with_capacity(self.tile.len() / 8);
                    let result = self.lzw.into_vec(&mut out).encode_all(&self.tile);
                    debug_assert!(result.status.is_ok(), "encoding to memory cannot fail");
                    each(&out)?;
                }
                Compression::Zstd => {
                    // Compressing memory to memory fails only for want of memory.
                    let out = zstd::bulk::compress(&self.tile, 1).unwrap_or_default();
                    each(&out)?;
                }
            }
        }
        Ok(())
    }
}

/// Streams one image without overviews: tiles are written as rows arrive, the directory lies at the start.
pub struct TileWriter<'a> {
    file: OutputFile,
    profile: Profile<'a>,
    encoder: Encoder,
    big: bool,
    level: Level,
    at: u64,
}

/// Size of one level and where its tiles lie.
#[derive(Clone, Debug, Default)]
struct Level {
    width: u32,
    height: u32,
    offsets: Vec<u64>,
    lengths: Vec<u64>,
}

impl Level {
    fn tiles(&self) -> usize {
        self.width.div_ceil(TILE_PIXELS) as usize * self.height.div_ceil(TILE_PIXELS) as usize
    }

    /// A level of this size whose places are not known yet: its directory has the final length.
    fn planned(width: u32, height: u32) -> Self {
        let mut level = Self { width, height, ..Self::default() };
        level.offsets = vec![0; level.tiles()];
        level.lengths = level.offsets.clone();
        level
    }
}

impl<'a> TileWriter<'a> {
    /// Starts a file.
    pub fn create(path: &Path, profile: Profile<'a>) -> Result<Self, OutputError> {
        let planned = Level::planned(profile.width, profile.height);
        let big = planned.tiles() as u64 * profile.tile_bytes() as u64 > limits::CLASSIC_TIFF_BYTES_MAX;
        let header = header(&profile, std::slice::from_ref(&planned), big, b"");
        let mut file = OutputFile::create(path)?;
        file.write(&header)?;
        let level = Level { width: profile.width, height: profile.height, ..Level::default() };
        Ok(Self { file, encoder: Encoder::new(&profile), profile, big, level, at: header.len() as u64 })
    }

    /// Appends rows of native samples: [`TILE_PIXELS`] of them, fewer only at the end of the image.
    pub fn write(&mut self, rows: &[u8]) -> Result<(), OutputError> {
        let Self { file, encoder, profile, level, at, .. } = self;
        encoder.tiles(rows, profile.width, |tile| {
            level.offsets.push(*at);
            level.lengths.push(tile.len() as u64);
            *at += tile.len() as u64;
            file.write(tile)
        })
    }

    /// Completes the directory and puts the file into its place.
    pub fn finish(mut self) -> Result<(), OutputError> {
        debug_assert_eq!(self.level.offsets.len(), self.level.tiles(), "every tile is written");
        self.file.write_start(&header(&self.profile, std::slice::from_ref(&self.level), self.big, b""))?;
        self.file.commit()
    }
}

/// One level of a COG: its size and its compressed tiles, row by row.
pub struct CogLevel {
    /// Width, pixels.
    pub width: u32,
    /// Height, pixels.
    pub height: u32,
    /// Tiles, as [`Encoder::tiles`] gives them.
    pub tiles: Vec<Vec<u8>>,
}

/// The note that tells GDAL how a COG is laid out (GDAL's COG driver, "header ghost area").
const GHOST: &[u8] = b"GDAL_STRUCTURAL_METADATA_SIZE=000140 bytes\nLAYOUT=IFDS_BEFORE_DATA\nBLOCK_ORDER=ROW_MAJOR\n\
BLOCK_LEADER=SIZE_AS_UINT4\nBLOCK_TRAILER=LAST_4_BYTES_REPEATED\nKNOWN_INCOMPATIBLE_EDITION=NO\n ";

/// Writes a cloud-optimized GeoTIFF. `levels` starts with full resolution, then overviews, largest first.
pub fn write_cog(path: &Path, profile: &Profile, levels: &[CogLevel]) -> Result<(), OutputError> {
    let mut placed: Vec<Level> = levels.iter().map(|l| Level::planned(l.width, l.height)).collect();
    let stored: u64 = levels.iter().flat_map(|l| &l.tiles).map(|t| t.len() as u64 + 8).sum();
    let big = stored > limits::CLASSIC_TIFF_BYTES_MAX;
    let mut at = header(profile, &placed, big, GHOST).len() as u64;
    // Smallest overview first, full resolution last: a reader of overviews stays near the start.
    for (level, place) in levels.iter().zip(&mut placed).rev() {
        for (i, tile) in level.tiles.iter().enumerate() {
            place.offsets[i] = at + 4;
            place.lengths[i] = tile.len() as u64;
            at += tile.len() as u64 + 8;
        }
    }
    let mut file = OutputFile::create(path)?;
    file.write(&header(profile, &placed, big, GHOST))?;
    for tile in levels.iter().rev().flat_map(|l| &l.tiles) {
        // Leader: the length; trailer: the last four bytes again.
        let length = u32::try_from(tile.len()).unwrap_or(u32::MAX);
        file.write(&length.to_le_bytes())?;
        file.write(tile)?;
        file.write(&tile[tile.len().saturating_sub(4)..])?;
    }
    file.commit()
}

/// The bytes before the first tile: file header, ghost area, then a directory with its values for each level.
fn header(profile: &Profile, levels: &[Level], big: bool, ghost: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let head: u64 = if big { 16 } else { 8 };
    let mut first = head + ghost.len() as u64;
    first += first % 2;
    if big {
        out.extend_from_slice(b"II\x2b\0\x08\0\0\0");
        out.extend_from_slice(&first.to_le_bytes());
    } else {
        out.extend_from_slice(b"II\x2a\0");
        out.extend_from_slice(&low32(first));
    }
    out.extend_from_slice(ghost);
    out.resize(usize::try_from(first).unwrap_or(0), 0);
    for (i, level) in levels.iter().enumerate() {
        directory(&mut out, &fields(profile, level, i > 0, big), big, i + 1 < levels.len());
    }
    if out.len() % 2 == 1 {
        out.push(0);
    }
    out
}

fn low32(value: u64) -> [u8; 4] {
    u32::try_from(value).unwrap_or(u32::MAX).to_le_bytes()
}

/// One field: tag, type, number of values, their bytes.
type Field = (u16, u16, u64, Vec<u8>);

fn fields(profile: &Profile, level: &Level, overview: bool, big: bool) -> Vec<Field> {
    let shorts = |values: &[u16]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    let doubles = |values: &[f64]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    let short = |tag, value: u16| (tag, 3, 1, shorts(&[value]));
    let long = |tag, value: u32| (tag, 4, 1, value.to_le_bytes().to_vec());
    let (bits, format) = profile.sample.bits_and_format();
    let bands = profile.bands as usize;
    let samples = u16::try_from(profile.bands).unwrap_or(u16::MAX);
    let mut fields: Vec<Field> = vec![
        long(256, level.width),
        long(257, level.height),
        (258, 3, bands as u64, shorts(&vec![bits; bands])),
        short(259, profile.compression.tag()),
        short(262, 1),
        short(277, samples),
        short(284, 1),
        long(322, TILE_PIXELS),
        long(323, TILE_PIXELS),
        if big {
            (324, 16, level.offsets.len() as u64, level.offsets.iter().flat_map(|v| v.to_le_bytes()).collect())
        } else {
            (324, 4, level.offsets.len() as u64, level.offsets.iter().flat_map(|&v| low32(v)).collect())
        },
        (325, 4, level.lengths.len() as u64, level.lengths.iter().flat_map(|&v| low32(v)).collect()),
        (339, 3, bands as u64, shorts(&vec![format; bands])),
    ];
    if overview {
        fields.push(long(254, 1));
    }
    if bands > 1 {
        fields.push((338, 3, bands as u64 - 1, shorts(&vec![0; bands - 1])));
    }
    if let Some(nodata) = profile.nodata {
        fields.push((42113, 2, nodata.len() as u64 + 1, [nodata.as_bytes(), b"\0"].concat()));
    }
    if !overview {
        let geo = profile.geo;
        let t = geo.transform;
        if t.is_upright() && t.a > 0.0 && t.e < 0.0 {
            fields.push((33550, 12, 3, doubles(&[t.a, -t.e, 0.0])));
            fields.push((33922, 12, 6, doubles(&[0.0, 0.0, 0.0, t.c, t.f, 0.0])));
        } else {
            let matrix = [t.a, t.b, 0.0, t.c, t.d, t.e, 0.0, t.f, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0];
            fields.push((34264, 12, 16, doubles(&matrix)));
        }
        let keys = geo.directory();
        fields.push((34735, 3, keys.len() as u64, shorts(&keys)));
        if !geo.doubles.is_empty() {
            fields.push((34736, 12, geo.doubles.len() as u64, doubles(&geo.doubles)));
        }
        if !geo.ascii.is_empty() {
            fields.push((34737, 2, geo.ascii.len() as u64, geo.ascii.clone()));
        }
    }
    fields.sort_by_key(|f| f.0);
    fields
}

/// Appends a directory and, behind it, the values that do not fit into its entries.
fn directory(out: &mut Vec<u8>, fields: &[Field], big: bool, more: bool) {
    let (count_bytes, entry_bytes, inline) = if big { (8, 20, 8) } else { (2, 12, 4) };
    let start = out.len();
    let values_at = start + count_bytes + fields.len() * entry_bytes + inline;
    let mut values = Vec::new();
    let offset = |out: &mut Vec<u8>, at: usize| {
        if big { out.extend_from_slice(&(at as u64).to_le_bytes()) } else { out.extend_from_slice(&low32(at as u64)) }
    };
    if big {
        out.extend_from_slice(&(fields.len() as u64).to_le_bytes());
    } else {
        out.extend_from_slice(&u16::try_from(fields.len()).unwrap_or(u16::MAX).to_le_bytes());
    }
    for (tag, kind, count, bytes) in fields {
        out.extend_from_slice(&tag.to_le_bytes());
        out.extend_from_slice(&kind.to_le_bytes());
        if big { out.extend_from_slice(&count.to_le_bytes()) } else { out.extend_from_slice(&low32(*count)) }
        if bytes.len() <= inline {
            out.extend_from_slice(bytes);
            out.resize(out.len() + inline - bytes.len(), 0);
        } else {
            if (values_at + values.len()) % 2 == 1 {
                values.push(0);
            }
            offset(out, values_at + values.len());
            values.extend_from_slice(bytes);
        }
    }
    if (values_at + values.len()) % 2 == 1 {
        values.push(0);
    }
    let next = if more { values_at + values.len() } else { 0 };
    offset(out, next);
    out.extend_from_slice(&values);
}
