//! One block's stored bytes to samples in the machine's byte order.

use super::{Compression, Image, Predictor, Sample, TiffError};
use std::borrow::Cow;

/// Decodes blocks of one image; holds what the codecs reuse from block to block.
#[derive(Default)]
pub struct Decoder {
    deflate: Option<libdeflater::Decompressor>,
    zstd: Option<zstd::bulk::Decompressor<'static>>,
}

impl Decoder {
    /// Samples of a block of `rows` rows, [`Image::bands_in_block`] bands side by side, native byte order.
    /// The result has exactly `rows × block_width × bands × size` bytes.
    pub fn decode<'a>(&mut self, image: &Image, stored: &'a [u8], rows: u32) -> Result<Cow<'a, [u8]>, TiffError> {
        let row_bytes = image.block_width as usize * image.bands_in_block() as usize * image.sample.size();
        let wanted = row_bytes * rows as usize;
        // A strip may hold more rows than the image still has: room for a whole block.
        let room = row_bytes * image.block_height as usize;
        let short = |got: usize| image.corrupt(format!("a block holds {got} bytes instead of {wanted}"));
        let mut samples = match image.compression {
            Compression::None => Cow::Borrowed(stored.get(..wanted).ok_or_else(|| short(stored.len()))?),
            Compression::Deflate => {
                let mut out = vec![0; room];
                let decompressor = self.deflate.get_or_insert_with(libdeflater::Decompressor::new);
                let got = decompressor
                    .zlib_decompress(stored, &mut out)
                    .map_err(|e| image.corrupt(format!("a block cannot be inflated: {e}")))?;
                finish(out, got, wanted).ok_or_else(|| short(got))?
            }
            Compression::Lzw => {
                let mut out = vec![0; room];
                let got = lzw(stored, &mut out).map_err(|e| image.corrupt(e))?;
                finish(out, got, wanted).ok_or_else(|| short(got))?
            }
            Compression::Zstd => {
                let mut out = vec![0; room];
                if self.zstd.is_none() {
                    self.zstd = Some(zstd::bulk::Decompressor::new().map_err(|e| image.corrupt(e.to_string()))?);
                }
                let got = match &mut self.zstd {
                    Some(decompressor) => decompressor.decompress_to_buffer(stored, &mut out),
                    None => Ok(0),
                }
                .map_err(|e| image.corrupt(format!("a block cannot be decompressed: {e}")))?;
                finish(out, got, wanted).ok_or_else(|| short(got))?
            }
        };
        if image.predictor == Predictor::Float {
            undo_float(samples.to_mut(), image, row_bytes);
            return Ok(samples);
        }
        if image.big_endian != cfg!(target_endian = "big") && image.sample.size() > 1 {
            samples.to_mut().chunks_exact_mut(image.sample.size()).for_each(<[u8]>::reverse);
        }
        if image.predictor == Predictor::Horizontal {
            undo_horizontal(samples.to_mut(), image, row_bytes);
        }
        Ok(samples)
    }
}

fn finish<'a>(mut out: Vec<u8>, got: usize, wanted: usize) -> Option<Cow<'a, [u8]>> {
    (got >= wanted).then(|| {
        out.truncate(wanted);
        Cow::Owned(out)
    })
}

fn lzw(stored: &[u8], out: &mut [u8]) -> Result<usize, String> {
    if stored.first() == Some(&0) && stored.get(1).is_some_and(|b| b & 1 == 1) {
        return Err("a block is in the LZW of before TIFF 6.0, which is not read".into());
    }
    let mut decoder = weezl::decode::Configuration::with_tiff_size_switch(weezl::BitOrder::Msb, 8).build();
    let (mut input, mut filled) = (stored, 0);
    while filled < out.len() {
        let result = decoder.decode_bytes(input, &mut out[filled..]);
        input = &input[result.consumed_in..];
        filled += result.consumed_out;
        match result.status {
            Ok(weezl::LzwStatus::Done | weezl::LzwStatus::NoProgress) => break,
            Ok(weezl::LzwStatus::Ok) if result.consumed_in == 0 && result.consumed_out == 0 => break,
            Ok(weezl::LzwStatus::Ok) => {}
            Err(e) => return Err(format!("a block cannot be decompressed: {e}")),
        }
    }
    Ok(filled)
}

/// Sums up horizontal differences in the samples' own width (TIFF 6.0 §14).
fn undo_horizontal(samples: &mut [u8], image: &Image, row_bytes: usize) {
    let bands = image.bands_in_block() as usize;
    for row in samples.chunks_exact_mut(row_bytes) {
        match image.sample {
            Sample::U8 | Sample::I8 => {
                for i in bands..row.len() {
                    row[i] = row[i].wrapping_add(row[i - bands]);
                }
            }
            Sample::U16 | Sample::I16 => sum::<2>(row, bands, |a, b| {
                u16::from_ne_bytes(a).wrapping_add(u16::from_ne_bytes(b)).to_ne_bytes()
            }),
            Sample::U32 | Sample::I32 | Sample::F32 => sum::<4>(row, bands, |a, b| {
                u32::from_ne_bytes(a).wrapping_add(u32::from_ne_bytes(b)).to_ne_bytes()
            }),
            Sample::F64 => sum::<8>(row, bands, |a, b| {
                u64::from_ne_bytes(a).wrapping_add(u64::from_ne_bytes(b)).to_ne_bytes()
            }),
        }
    }
}

fn sum<const N: usize>(row: &mut [u8], bands: usize, add: impl Fn([u8; N], [u8; N]) -> [u8; N]) {
    for band in 0..bands {
        let mut total = [0; N];
        for sample in row.chunks_exact_mut(N).skip(band).step_by(bands) {
            let mut value = [0; N];
            value.copy_from_slice(sample);
            total = add(total, value);
            sample.copy_from_slice(&total);
        }
    }
}

/// Sums up byte differences, then joins the byte planes, most significant first (Technical Note 3).
fn undo_float(samples: &mut [u8], image: &Image, row_bytes: usize) {
    let (bands, size) = (image.bands_in_block() as usize, image.sample.size());
    let values = row_bytes / size;
    let mut joined = vec![0; row_bytes];
    for row in samples.chunks_exact_mut(row_bytes) {
        for i in bands..row.len() {
            row[i] = row[i].wrapping_add(row[i - bands]);
        }
        for (value, out) in joined.chunks_exact_mut(size).enumerate() {
            for (plane, byte) in out.iter_mut().enumerate() {
                *byte = row[plane * values + value];
            }
            if cfg!(target_endian = "little") {
                out.reverse();
            }
        }
        row.copy_from_slice(&joined);
    }
}
