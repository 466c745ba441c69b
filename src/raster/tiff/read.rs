//! A file's header and directories to a validated [`Image`].

use super::geo::GeoTags;
use super::{Block, Compression, Image, Predictor, Sample, TiffError};
use crate::limits;
use crate::source::Source;
use std::collections::HashSet;

/// Reads the first image of a file; its overviews too if `with_overviews`.
///
/// Reads some ten KiB of a cloud-optimized file, more where directories lie scattered.
/// Every count and offset is checked against the file's size and [`limits`] before it is believed.
pub fn open(source: &mut Source, with_overviews: bool) -> Result<Image, TiffError> {
    let location = source.location().to_string();
    let mut file = File { size: source.size(), location, source, start: 0, cache: Vec::new(), big_endian: false, big: false };
    let mut next = file.header()?;
    let mut seen = HashSet::new();
    let mut first: Option<Image> = None;
    let mut transparency = None;
    let mut overviews = Vec::new();
    while next != 0 && seen.len() < limits::DIRECTORIES_MAX && seen.insert(next) {
        // What follows the image may be damaged or private: only the image itself must be readable.
        let (directory, following) = match file.directory(next) {
            Ok(read) => read,
            Err(_) if first.is_some() && !with_overviews => break,
            Err(e) => return Err(e),
        };
        let kind = file.number(&directory, tag::NEW_SUBFILE_TYPE)?.unwrap_or(0);
        if first.is_none() {
            first = Some(file.image(&directory, true)?);
        } else if kind & 4 != 0 {
            transparency = Some("a mask image");
        } else if kind & 1 != 0 && with_overviews {
            overviews.push(file.image(&directory, false)?);
        }
        next = following;
    }
    let mut image = first.ok_or_else(|| file.corrupt("it has no image"))?;
    image.transparency = image.transparency.or(transparency);
    let georeference = image.geo.clone();
    overviews.sort_by_key(|o| std::cmp::Reverse(u64::from(o.width) * u64::from(o.height)));
    for overview in &mut overviews {
        overview.geo = georeference.clone();
        overview.nodata = image.nodata.clone();
        if (overview.bands, overview.sample) != (image.bands, image.sample) {
            return Err(image.corrupt("an overview has other bands or samples than the image"));
        }
    }
    image.overviews = overviews;
    Ok(image)
}

/// Tag numbers (TIFF 6.0, GeoTIFF, GDAL).
mod tag {
    pub const NEW_SUBFILE_TYPE: u16 = 254;
    pub const WIDTH: u16 = 256;
    pub const HEIGHT: u16 = 257;
    pub const BITS_PER_SAMPLE: u16 = 258;
    pub const COMPRESSION: u16 = 259;
    pub const FILL_ORDER: u16 = 266;
    pub const STRIP_OFFSETS: u16 = 273;
    pub const SAMPLES_PER_PIXEL: u16 = 277;
    pub const ROWS_PER_STRIP: u16 = 278;
    pub const STRIP_BYTE_COUNTS: u16 = 279;
    pub const PLANAR_CONFIGURATION: u16 = 284;
    pub const PREDICTOR: u16 = 317;
    pub const TILE_WIDTH: u16 = 322;
    pub const TILE_HEIGHT: u16 = 323;
    pub const TILE_OFFSETS: u16 = 324;
    pub const TILE_BYTE_COUNTS: u16 = 325;
    pub const EXTRA_SAMPLES: u16 = 338;
    pub const SAMPLE_FORMAT: u16 = 339;
    pub const MODEL_PIXEL_SCALE: u16 = 33550;
    pub const MODEL_TIEPOINT: u16 = 33922;
    pub const MODEL_TRANSFORMATION: u16 = 34264;
    pub const GEO_KEY_DIRECTORY: u16 = 34735;
    pub const GEO_DOUBLE_PARAMS: u16 = 34736;
    pub const GEO_ASCII_PARAMS: u16 = 34737;
    pub const GDAL_NODATA: u16 = 42113;
}

/// One entry of a directory; `value` holds the bytes that stand where the offset would.
struct Entry {
    tag: u16,
    kind: u16,
    count: u64,
    value: [u8; 8],
}

/// Bytes of one value of a TIFF field type; 0 for types that do not exist.
const fn type_bytes(kind: u16) -> u64 {
    match kind {
        1 | 2 | 6 | 7 => 1,
        3 | 8 => 2,
        4 | 9 | 11 | 13 => 4,
        5 | 10 | 12 | 16 | 17 | 18 => 8,
        _ => 0,
    }
}

/// The file while its directories are read: bytes near the last read are kept.
struct File<'a> {
    source: &'a mut Source,
    location: String,
    size: u64,
    start: u64,
    cache: Vec<u8>,
    big_endian: bool,
    big: bool,
}

impl File<'_> {
    fn corrupt(&self, reason: impl Into<String>) -> TiffError {
        TiffError::Corrupt { location: self.location.clone(), reason: reason.into() }
    }

    fn unsupported(&self, reason: impl Into<String>) -> TiffError {
        TiffError::Unsupported { location: self.location.clone(), reason: reason.into() }
    }

    fn bytes(&mut self, offset: u64, length: u64) -> Result<Vec<u8>, TiffError> {
        let end = offset.checked_add(length).filter(|&end| end <= self.size);
        let Some(end) = end else {
            return Err(self.corrupt(format!("it ends at byte {} but refers to byte {}", self.size, offset.saturating_add(length))));
        };
        if offset < self.start || end > self.start + self.cache.len() as u64 {
            let wanted = length.max(limits::HEADER_FETCH_BYTES as u64).min(self.size - offset);
            self.cache = self.source.read(offset, wanted)?;
            self.start = offset;
        }
        let from = usize::try_from(offset - self.start).unwrap_or(usize::MAX);
        let to = usize::try_from(end - self.start).unwrap_or(usize::MAX);
        Ok(self.cache.get(from..to).unwrap_or_default().to_vec())
    }

    fn integer(&self, bytes: &[u8]) -> u64 {
        let fold = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
        if self.big_endian { bytes.iter().fold(0, fold) } else { bytes.iter().rev().fold(0, fold) }
    }

    /// Reads the file header; gives the offset of the first directory.
    fn header(&mut self) -> Result<u64, TiffError> {
        if self.size < 8 {
            return Err(self.corrupt(format!("it has only {} bytes", self.size)));
        }
        let head = self.bytes(0, 8)?;
        self.big_endian = match &head[..2] {
            b"II" => false,
            b"MM" => true,
            _ => return Err(self.corrupt("it does not start with a TIFF header")),
        };
        match self.integer(&head[2..4]) {
            42 => Ok(self.integer(&head[4..8])),
            43 => {
                self.big = true;
                let head = self.bytes(0, 16)?;
                Ok(self.integer(&head[8..16]))
            }
            _ => Err(self.corrupt("it does not start with a TIFF header")),
        }
    }

    /// Reads a directory; gives its entries and the offset of the next one (0: none).
    fn directory(&mut self, offset: u64) -> Result<(Vec<Entry>, u64), TiffError> {
        let (count_bytes, entry_bytes, offset_bytes) = if self.big { (8, 20, 8) } else { (2, 12, 4) };
        let count_field = self.bytes(offset, count_bytes)?;
        let count = self.integer(&count_field);
        if count == 0 || count > limits::DIRECTORY_ENTRIES_MAX {
            return Err(self.corrupt(format!("a directory claims {count} entries")));
        }
        let body = self.bytes(offset + count_bytes, count * entry_bytes + offset_bytes)?;
        let (entries, next) = body.split_at(body.len() - usize::from(self.big) * 4 - 4);
        let next = self.integer(next);
        let value_at = if self.big { 12 } else { 8 };
        let entries = entries
            .chunks_exact(value_at + if self.big { 8 } else { 4 })
            .map(|e| {
                let mut value = [0; 8];
                value[..e.len() - value_at].copy_from_slice(&e[value_at..]);
                Entry {
                    tag: self.integer(&e[..2]) as u16,
                    kind: self.integer(&e[2..4]) as u16,
                    count: self.integer(&e[4..value_at]),
                    value,
                }
            })
            .collect();
        Ok((entries, next))
    }

    fn raw(&mut self, entry: &Entry) -> Result<Vec<u8>, TiffError> {
        let bytes = type_bytes(entry.kind).checked_mul(entry.count).filter(|&b| b <= limits::TAG_BYTES_MAX);
        let Some(bytes) = bytes else {
            return Err(self.corrupt(format!("tag {} claims {} values", entry.tag, entry.count)));
        };
        let inline = if self.big { 8 } else { 4 };
        if bytes <= inline {
            return Ok(entry.value[..usize::try_from(bytes).unwrap_or(0)].to_vec());
        }
        let offset = self.integer(&entry.value[..usize::try_from(inline).unwrap_or(4)]);
        self.bytes(offset, bytes)
    }

    fn numbers(&mut self, directory: &[Entry], tag: u16) -> Result<Option<Vec<u64>>, TiffError> {
        let Some(entry) = directory.iter().find(|e| e.tag == tag) else { return Ok(None) };
        if !matches!(entry.kind, 1 | 3 | 4 | 13 | 16 | 18) {
            return Err(self.corrupt(format!("tag {tag} has type {}, not an unsigned integer", entry.kind)));
        }
        let size = usize::try_from(type_bytes(entry.kind)).unwrap_or(1);
        let raw = self.raw(entry)?;
        Ok(Some(raw.chunks_exact(size).map(|v| self.integer(v)).collect()))
    }

    fn number(&mut self, directory: &[Entry], tag: u16) -> Result<Option<u64>, TiffError> {
        Ok(self.numbers(directory, tag)?.and_then(|v| v.first().copied()))
    }

    fn doubles(&mut self, directory: &[Entry], tag: u16) -> Result<Vec<f64>, TiffError> {
        let Some(entry) = directory.iter().find(|e| e.tag == tag && e.kind == 12) else { return Ok(Vec::new()) };
        let raw = self.raw(entry)?;
        Ok(raw.chunks_exact(8).map(|v| f64::from_bits(self.integer(v))).collect())
    }

    fn ascii(&mut self, directory: &[Entry], tag: u16) -> Result<Option<Vec<u8>>, TiffError> {
        let Some(entry) = directory.iter().find(|e| e.tag == tag && e.kind == 2) else { return Ok(None) };
        self.raw(entry).map(Some)
    }

    fn required(&mut self, directory: &[Entry], tag: u16, name: &str) -> Result<u64, TiffError> {
        self.number(directory, tag)?.ok_or_else(|| self.corrupt(format!("it has no {name}")))
    }

    fn side(&mut self, directory: &[Entry], tag: u16, name: &str) -> Result<u32, TiffError> {
        let pixels = self.required(directory, tag, name)?;
        match u32::try_from(pixels) {
            Ok(p) if p > 0 && pixels <= limits::SIDE_PIXELS_MAX => Ok(p),
            _ => Err(self.corrupt(format!("its {name} is {pixels}"))),
        }
    }

    fn image(&mut self, directory: &[Entry], georeferenced: bool) -> Result<Image, TiffError> {
        let width = self.side(directory, tag::WIDTH, "width")?;
        let height = self.side(directory, tag::HEIGHT, "height")?;
        let bands = self.number(directory, tag::SAMPLES_PER_PIXEL)?.unwrap_or(1);
        if bands == 0 || bands > limits::BANDS_MAX {
            return Err(self.corrupt(format!("it claims {bands} bands")));
        }
        let sample = self.sample(directory)?;
        let compression = self.compression(directory)?;
        let predictor = match (self.number(directory, tag::PREDICTOR)?.unwrap_or(1), compression) {
            (_, Compression::None) | (1, _) => Predictor::None,
            (2, _) => Predictor::Horizontal,
            (3, _) if matches!(sample, Sample::F32 | Sample::F64) => Predictor::Float,
            (other, _) => return Err(self.corrupt(format!("predictor {other} does not exist for {}", sample.name()))),
        };
        if self.number(directory, tag::FILL_ORDER)?.unwrap_or(1) != 1 {
            return Err(self.unsupported("its bits are in reversed order (FillOrder 2), which is not read"));
        }
        let planar = match self.number(directory, tag::PLANAR_CONFIGURATION)?.unwrap_or(1) {
            1 => false,
            2 => bands > 1,
            other => return Err(self.corrupt(format!("its planar configuration is {other}"))),
        };
        let alpha = self.numbers(directory, tag::EXTRA_SAMPLES)?.unwrap_or_default().iter().any(|e| matches!(e, 1 | 2));
        let nodata = self.ascii(directory, tag::GDAL_NODATA)?.map(|text| {
            String::from_utf8_lossy(&text).trim_end_matches('\0').trim().to_owned()
        });
        let nodata = nodata.filter(|text| !text.is_empty());
        if let Some(text) = &nodata
            && super::parse_nodata(text).is_none()
        {
            return Err(self.corrupt(format!("its nodata value is not a number: {text:?}")));
        }
        let tags = GeoTags {
            scale: self.doubles(directory, tag::MODEL_PIXEL_SCALE)?,
            tiepoint: self.doubles(directory, tag::MODEL_TIEPOINT)?,
            matrix: self.doubles(directory, tag::MODEL_TRANSFORMATION)?,
            directory: self
                .numbers(directory, tag::GEO_KEY_DIRECTORY)?
                .unwrap_or_default()
                .into_iter()
                .map(|v| v as u16)
                .collect(),
            doubles: self.doubles(directory, tag::GEO_DOUBLE_PARAMS)?,
            ascii: self.ascii(directory, tag::GEO_ASCII_PARAMS)?.unwrap_or_default(),
        };
        let geo = match tags.georeference() {
            Ok(geo) => geo,
            Err(reason) if georeferenced => return Err(self.unsupported(reason)),
            // Overviews have none of their own; `open` gives them the image's.
            Err(_) => super::Georeference {
                transform: super::Transform { a: 1.0, b: 0.0, c: 0.0, d: 0.0, e: -1.0, f: 0.0 },
                epsg: None,
                keys: Vec::new(),
                doubles: Vec::new(),
                ascii: Vec::new(),
            },
        };
        let mut image = Image {
            location: self.location.clone(),
            width,
            height,
            bands: u32::try_from(bands).unwrap_or(1),
            sample,
            big_endian: self.big_endian,
            compression,
            predictor,
            planar,
            block_width: width,
            block_height: height,
            tiled: false,
            blocks: Vec::new(),
            nodata,
            geo,
            transparency: alpha.then_some("an alpha band"),
            overviews: Vec::new(),
        };
        self.blocks(directory, &mut image)?;
        Ok(image)
    }

    fn sample(&mut self, directory: &[Entry]) -> Result<Sample, TiffError> {
        let bits = self.numbers(directory, tag::BITS_PER_SAMPLE)?.unwrap_or_else(|| vec![1]);
        let formats = self.numbers(directory, tag::SAMPLE_FORMAT)?.unwrap_or_else(|| vec![1]);
        let bit = bits.first().copied().unwrap_or(1);
        let format = formats.first().copied().unwrap_or(1);
        if bits.iter().any(|&b| b != bit) || formats.iter().any(|&f| f != format) {
            return Err(self.unsupported("its bands have different types, which is not read"));
        }
        let format = if format == 4 { 1 } else { format };
        Sample::from_bits_and_format(bit, format).ok_or_else(|| {
            let kind = match format {
                1 => "unsigned integer",
                2 => "signed integer",
                3 => "floating point",
                _ => "complex or unknown",
            };
            self.unsupported(format!(
                "its samples are {bit}-bit {kind}; 8 to 32-bit integers and 32 or 64-bit floating point are read"
            ))
        })
    }

    fn compression(&mut self, directory: &[Entry]) -> Result<Compression, TiffError> {
        let name = match self.number(directory, tag::COMPRESSION)?.unwrap_or(1) {
            1 => return Ok(Compression::None),
            5 => return Ok(Compression::Lzw),
            8 | 32946 => return Ok(Compression::Deflate),
            50000 => return Ok(Compression::Zstd),
            2..=4 => "fax".to_owned(),
            6 | 7 => "JPEG".to_owned(),
            32773 => "PackBits".to_owned(),
            34712 => "JPEG 2000".to_owned(),
            34887 => "LERC".to_owned(),
            34925 => "LZMA".to_owned(),
            50001 => "WebP".to_owned(),
            other => format!("number {other}"),
        };
        Err(self.unsupported(format!("its compression is {name}; none, deflate, LZW and Zstandard are read")))
    }

    fn blocks(&mut self, directory: &[Entry], image: &mut Image) -> Result<(), TiffError> {
        image.tiled = directory.iter().any(|e| e.tag == tag::TILE_WIDTH);
        let (offset_tag, count_tag) = if image.tiled {
            image.block_width = self.side(directory, tag::TILE_WIDTH, "tile width")?;
            image.block_height = self.side(directory, tag::TILE_HEIGHT, "tile height")?;
            (tag::TILE_OFFSETS, tag::TILE_BYTE_COUNTS)
        } else {
            let rows = self.number(directory, tag::ROWS_PER_STRIP)?.unwrap_or(u64::from(image.height));
            let rows = u32::try_from(rows).unwrap_or(u32::MAX).min(image.height);
            if rows == 0 {
                return Err(self.corrupt("its strips have no rows"));
            }
            image.block_height = rows;
            (tag::STRIP_OFFSETS, tag::STRIP_BYTE_COUNTS)
        };
        let offsets = self.numbers(directory, offset_tag)?.ok_or_else(|| self.corrupt("it has no block offsets"))?;
        let row_bytes = u64::from(image.block_width) * u64::from(image.bands_in_block()) * image.sample.size() as u64;
        let counts = match self.numbers(directory, count_tag)? {
            Some(counts) => counts,
            None if image.compression == Compression::None => {
                vec![row_bytes.saturating_mul(u64::from(image.block_height)); offsets.len()]
            }
            None => return Err(self.corrupt("it has no block lengths")),
        };
        let planes = u64::from(if image.planar { image.bands } else { 1 });
        let wanted = u64::from(image.blocks_across()) * u64::from(image.blocks_down()) * planes;
        if offsets.len() as u64 != wanted || counts.len() as u64 != wanted {
            return Err(self.corrupt(format!(
                "{wanted} blocks are needed, but {} offsets and {} lengths are given",
                offsets.len(),
                counts.len()
            )));
        }
        image.blocks = offsets.into_iter().zip(counts).map(|(offset, bytes)| Block { offset, bytes }).collect();
        if let Some(b) = image.blocks.iter().find(|b| b.offset.checked_add(b.bytes).is_none_or(|end| end > self.size)) {
            return Err(self.corrupt(format!(
                "it has {} bytes, but a block of {} bytes is said to lie at byte {} (truncated?)",
                self.size, b.bytes, b.offset
            )));
        }
        // No codec makes a block much larger: a length beyond that is damage, and would cost as much memory.
        let decoded = row_bytes.saturating_mul(u64::from(image.block_height));
        let plausible = decoded.saturating_mul(2).saturating_add(64 << 10);
        if let Some(b) = image.blocks.iter().find(|b| b.bytes > plausible) {
            return Err(self.corrupt(format!("a block of {decoded} bytes is said to be stored in {} bytes", b.bytes)));
        }
        split_large_strips(image, row_bytes);
        if row_bytes.saturating_mul(u64::from(image.block_height)) > limits::BLOCK_BYTES_MAX as u64 {
            return Err(self.unsupported(format!(
                "its blocks of {} x {} pixels are larger than {} MiB",
                image.block_width,
                image.block_height,
                limits::BLOCK_BYTES_MAX >> 20
            )));
        }
        Ok(())
    }
}

/// Uncompressed strips can be read in parts: cuts them so that a part has at most a MiB.
fn split_large_strips(image: &mut Image, row_bytes: u64) {
    let rows = u32::try_from(((1 << 20) / row_bytes.max(1)).max(1)).unwrap_or(1);
    if image.tiled || image.compression != Compression::None || rows >= image.block_height {
        return;
    }
    let (strip_rows, strips) = (image.block_height, image.blocks_down());
    let full = |b: &Block| b.bytes == 0 || b.bytes >= row_bytes * u64::from(strip_rows);
    let last_rows = image.height - (strips - 1) * strip_rows;
    let whole = image.blocks.iter().enumerate().all(|(i, b)| {
        full(b) || (i as u32 % strips == strips - 1 && b.bytes >= row_bytes * u64::from(last_rows))
    });
    // Parts must meet the strips' edges, so only the last strip's last part may be short.
    let Some(rows) = (1..=rows).rev().find(|r| strips == 1 || strip_rows % r == 0).filter(|_| whole) else { return };
    let mut parts = Vec::new();
    for (i, block) in image.blocks.iter().enumerate() {
        let held = if i as u32 % strips == strips - 1 { last_rows } else { strip_rows };
        for first in (0..held).step_by(rows as usize) {
            let part = u64::from(rows.min(held - first)) * row_bytes;
            parts.push(match block.bytes {
                0 => *block,
                _ => Block { offset: block.offset + u64::from(first) * row_bytes, bytes: part },
            });
        }
    }
    image.block_height = rows;
    image.blocks = parts;
}
