//! Reads a window of an image from top to bottom, a few rows at a time, in few large reads.

use super::decode::Decoder;
use super::{Image, TiffError};
use crate::limits;
use crate::source::Source;

/// A rectangle of pixels of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// First column.
    pub col: u32,
    /// First row.
    pub row: u32,
    /// Columns (> 0).
    pub width: u32,
    /// Rows (> 0).
    pub height: u32,
}

impl Window {
    /// The whole image.
    pub fn whole(image: &Image) -> Self {
        Self { col: 0, row: 0, width: image.width, height: image.height }
    }
}

/// The rows of a window, read forward once. Samples are in native byte order, the bands of a pixel side by side.
pub struct Rows<'a> {
    source: &'a mut Source,
    image: &'a Image,
    window: Window,
    bands: u32,
    decoder: Decoder,
    /// Rows `[first, first + held)` of the window.
    buffer: Vec<u8>,
    first: u32,
    held: u32,
    /// Next row of blocks to decode.
    next_block_row: u32,
    /// Bytes fetched ahead: ranges of the file, sorted.
    fetched: Vec<(u64, Vec<u8>)>,
    /// Rows of blocks below this one are in `fetched`.
    fetched_to: u32,
    void: Vec<u8>,
}

impl<'a> Rows<'a> {
    /// Reads `window` (inside the image), only the first `bands` bands.
    pub fn new(source: &'a mut Source, image: &'a Image, window: Window, bands: u32) -> Result<Self, TiffError> {
        let row_bytes = window.width as usize * bands as usize * image.sample.size();
        if row_bytes.saturating_mul(image.block_height.min(image.height) as usize) > limits::ROWS_BYTES_MAX {
            return Err(image.unsupported(format!(
                "one row of its blocks needs more than {} MiB",
                limits::ROWS_BYTES_MAX >> 20
            )));
        }
        Ok(Self {
            void: void_sample(image),
            source,
            window,
            bands,
            decoder: Decoder::default(),
            buffer: Vec::new(),
            first: 0,
            held: 0,
            next_block_row: window.row / image.block_height,
            fetched: Vec::new(),
            fetched_to: 0,
            image,
        })
    }

    /// Bytes of one row that [`Self::read`] gives.
    pub fn row_bytes(&self) -> usize {
        self.window.width as usize * self.bands as usize * self.image.sample.size()
    }

    /// Rows `row..row + count` of the window. Rows above `row` are given up.
    pub fn read(&mut self, row: u32, count: u32) -> Result<&[u8], TiffError> {
        let row_bytes = self.row_bytes();
        let drop = row.saturating_sub(self.first).min(self.held);
        if drop > 0 {
            self.buffer.drain(..drop as usize * row_bytes);
            self.first += drop;
            self.held -= drop;
        }
        while self.first + self.held < row + count {
            self.decode_block_row()?;
        }
        let from = (row - self.first) as usize * row_bytes;
        Ok(&self.buffer[from..from + count as usize * row_bytes])
    }

    fn columns(&self) -> std::ops::Range<u32> {
        let width = self.image.block_width;
        self.window.col / width..(self.window.col + self.window.width).div_ceil(width)
    }

    fn planes(&self) -> u32 {
        if self.image.planar { self.bands } else { 1 }
    }

    fn block_index(&self, plane: u32, block_row: u32, col: u32) -> usize {
        let (across, down) = (self.image.blocks_across() as usize, self.image.blocks_down() as usize);
        (plane as usize * down + block_row as usize) * across + col as usize
    }

    /// Decodes the next row of blocks and appends its part of the window to the buffer.
    fn decode_block_row(&mut self) -> Result<(), TiffError> {
        let (image, window) = (self.image, self.window);
        let block_row = self.next_block_row;
        if block_row >= self.fetched_to {
            self.fetch(block_row)?;
        }
        let top = block_row * image.block_height;
        let stored_rows = if image.tiled { image.block_height } else { image.block_height.min(image.height - top) };
        let from = window.row.max(top);
        let to = (window.row + window.height).min(top.saturating_add(image.block_height)).min(image.height);
        let (row_bytes, size) = (self.row_bytes(), image.sample.size());
        let start = self.buffer.len();
        self.buffer.resize(start + (to - from) as usize * row_bytes, 0);
        for plane in 0..self.planes() {
            for col in self.columns() {
                let left = col * image.block_width;
                let x0 = window.col.max(left);
                let x1 = (window.col + window.width).min(left.saturating_add(image.block_width));
                let pixels = (x1 - x0) as usize;
                let block = image.blocks[self.block_index(plane, block_row, col)];
                let out_pixel = size * self.bands as usize;
                let out_at = (x0 - window.col) as usize * out_pixel + plane as usize * size;
                if block.bytes == 0 {
                    for row in self.buffer[start..].chunks_exact_mut(row_bytes) {
                        let copied = if image.planar { 1 } else { self.bands as usize };
                        for pixel in row[out_at..].chunks_mut(out_pixel).take(pixels) {
                            pixel.chunks_exact_mut(size).take(copied).for_each(|s| s.copy_from_slice(&self.void));
                        }
                    }
                    continue;
                }
                let stored = stored(&self.fetched, block.offset, block.bytes)
                    .ok_or_else(|| image.corrupt("a block lies outside the bytes fetched for it"))?;
                let samples = self.decoder.decode(image, stored, stored_rows)?;
                let in_pixel = size * image.bands_in_block() as usize;
                let in_row = image.block_width as usize * in_pixel;
                let in_at = (x0 - left) as usize * in_pixel;
                let rows = samples.chunks_exact(in_row).skip((from - top) as usize);
                for (input, output) in rows.zip(self.buffer[start..].chunks_exact_mut(row_bytes)) {
                    let (input, output) = (&input[in_at..in_at + pixels * in_pixel], &mut output[out_at..]);
                    if in_pixel == out_pixel {
                        output[..input.len()].copy_from_slice(input);
                    } else {
                        let copied = in_pixel.min(out_pixel);
                        for (i, o) in input.chunks_exact(in_pixel).zip(output.chunks_mut(out_pixel)) {
                            o[..copied].copy_from_slice(&i[..copied]);
                        }
                    }
                }
            }
        }
        self.held += to - from;
        self.next_block_row += 1;
        Ok(())
    }

    /// Fetches rows of blocks from `block_row` on until about [`limits::FETCH_BYTES`] are held.
    fn fetch(&mut self, block_row: u32) -> Result<(), TiffError> {
        self.fetched.clear();
        let last = (self.window.row + self.window.height).div_ceil(self.image.block_height);
        let mut blocks = Vec::new();
        let mut bytes = 0;
        let mut next = block_row;
        while next < last && (next == block_row || bytes < limits::FETCH_BYTES / 2) {
            for plane in 0..self.planes() {
                for col in self.columns() {
                    let block = self.image.blocks[self.block_index(plane, next, col)];
                    bytes += block.bytes;
                    blocks.push((block.offset, block.bytes));
                }
            }
            next += 1;
        }
        for (offset, length) in coalesce(blocks) {
            let read = self.source.read(offset, length)?;
            self.fetched.push((offset, read));
        }
        self.fetched_to = next;
        Ok(())
    }
}

/// Joins neighbouring ranges (offset, length) to reads of at most about [`limits::FETCH_BYTES`].
fn coalesce(mut ranges: Vec<(u64, u64)>) -> Vec<(u64, u64)> {
    ranges.retain(|&(_, length)| length > 0);
    ranges.sort_unstable();
    let mut joined: Vec<(u64, u64)> = Vec::new();
    for (offset, length) in ranges {
        match joined.last_mut() {
            Some((start, total))
                if offset <= *start + *total + limits::FETCH_GAP_BYTES
                    && offset + length - *start <= limits::FETCH_BYTES.max(*total) =>
            {
                *total = (*total).max(offset + length - *start);
            }
            _ => joined.push((offset, length)),
        }
    }
    joined
}

fn stored(fetched: &[(u64, Vec<u8>)], offset: u64, length: u64) -> Option<&[u8]> {
    let at = fetched.partition_point(|(start, _)| *start <= offset).checked_sub(1)?;
    // A range that starts earlier may still be the one that holds the block.
    fetched[..=at].iter().rev().find_map(|(start, bytes)| {
        let from = usize::try_from(offset - start).ok()?;
        bytes.get(from..from.checked_add(usize::try_from(length).ok()?)?)
    })
}

/// The sample of which never written blocks consist: nodata, or zero (GDAL's reading of sparse files).
fn void_sample(image: &Image) -> Vec<u8> {
    use super::Sample;
    let value = image.nodata_value().unwrap_or(0.0);
    match image.sample {
        Sample::U8 => (value as u8).to_ne_bytes().to_vec(),
        Sample::I8 => (value as i8).to_ne_bytes().to_vec(),
        Sample::U16 => (value as u16).to_ne_bytes().to_vec(),
        Sample::I16 => (value as i16).to_ne_bytes().to_vec(),
        Sample::U32 => (value as u32).to_ne_bytes().to_vec(),
        Sample::I32 => (value as i32).to_ne_bytes().to_vec(),
        Sample::F32 => (value as f32).to_ne_bytes().to_vec(),
        Sample::F64 => value.to_ne_bytes().to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_blocks_become_one_read_and_distant_ones_do_not() {
        assert_eq!(coalesce(vec![(100, 50), (0, 100), (150, 10)]), vec![(0, 160)]);
        assert_eq!(coalesce(vec![(0, 10), (10_000_000, 10), (5, 0)]), vec![(0, 10), (10_000_000, 10)]);
        let half = limits::FETCH_BYTES / 2 + 1;
        assert_eq!(coalesce(vec![(0, half), (half, half)]), vec![(0, half), (half, half)]);
    }

    #[test]
    fn a_block_is_found_inside_its_range() {
        let fetched = vec![(10, vec![1, 2, 3, 4]), (100, vec![5, 6])];
        assert_eq!(stored(&fetched, 11, 2), Some(&[2, 3][..]));
        assert_eq!(stored(&fetched, 100, 2), Some(&[5, 6][..]));
        assert_eq!(stored(&fetched, 12, 5), None);
        assert_eq!(stored(&fetched, 5, 1), None);
    }
}
