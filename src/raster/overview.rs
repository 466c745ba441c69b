//! Overviews of a 0/1 mask, pixel for pixel as GDAL's COG driver makes them (CUBIC, the driver's default).
//!
//! Their pixels matter because the statistics of a STAC item are read through them.
//! Each level comes from the one before, half its size rounded down. The kernel is the cubic convolution of Keys
//! (1981) with a = -0.5, widened by the ratio; nodata pixels are left out, and where no run of valid pixels covers
//! half the kernel the result is nodata. A mask has two values, so a table of all patterns under a kernel replaces
//! the sums.

use crate::limits::TILE_PIXELS;

/// Widths and heights of the overviews of an image, largest first: halved until both sides fit a tile.
pub fn sizes(mut width: u32, mut height: u32) -> Vec<(u32, u32)> {
    let mut sizes = Vec::new();
    while width > TILE_PIXELS || height > TILE_PIXELS {
        (width, height) = ((width / 2).max(1), (height / 2).max(1));
        sizes.push((width, height));
    }
    sizes
}

/// The next overview of a mask of 0s and 1s. `nodata`: the value that is void, where 0 or 1 is.
pub fn halve(mask: &[u8], (width, height): (u32, u32), (to_width, to_height): (u32, u32), nodata: Option<u8>) -> Vec<u8> {
    let columns = kernels(width, to_width);
    let rows = kernels(height, to_height);
    match nodata {
        Some(void @ (0 | 1)) => halve_valid(mask, width, &columns, &rows, void),
        _ => halve_values(mask, width, &columns, &rows),
    }
}

/// The source pixels under the kernel of one output pixel, and their weights.
#[derive(Debug, PartialEq)]
struct Kernel {
    start: usize,
    weights: Vec<f64>,
}

impl Kernel {
    fn end(&self) -> usize {
        self.start + self.weights.len()
    }
}

/// Half width of the kernel at ratio 1, pixels.
const RADIUS: f64 = 2.0;

fn kernels(from: u32, to: u32) -> Vec<Kernel> {
    let ratio = f64::from(from) / f64::from(to);
    let scale = (1.0 / ratio).min(1.0);
    let radius = RADIUS / scale;
    (0..to)
        .map(|i| {
            let centre = (f64::from(i) + 0.5) * ratio;
            let start = (centre - radius + 0.5).floor().max(0.0);
            let stop = (centre + radius + 0.5).floor().min(f64::from(from));
            let mut x = scale * (start - centre + 0.5);
            let weights = (start as usize..stop as usize)
                .map(|_| {
                    let weight = cubic(x);
                    x += scale;
                    weight
                })
                .collect();
            Kernel { start: start as usize, weights }
        })
        .collect()
}

/// Cubic convolution, a = -0.5 (Keys 1981, eq. 15).
fn cubic(x: f64) -> f64 {
    let (x, x2) = (x.abs(), x * x);
    if x <= 1.0 {
        x2 * (1.5 * x - 2.5) + 1.0
    } else if x <= 2.0 {
        x2 * (-0.5 * x + 2.5) - 4.0 * x + 2.0
    } else {
        0.0
    }
}

/// For each kernel the index of its table: kernels with equal weights share one.
fn tables<T>(kernels: &[Kernel], value: impl Fn(&[f64], usize) -> T) -> (Vec<Vec<T>>, Vec<usize>) {
    let mut tables = Vec::new();
    let mut of: Vec<(&[f64], usize)> = Vec::new();
    for kernel in kernels {
        // Neighbours are equal where the ratio is exactly 2; edges differ.
        let known = of.iter().rev().take(4).find(|(weights, _)| *weights == kernel.weights).map(|(_, table)| *table);
        let table = known.unwrap_or_else(|| {
            tables.push((0..1 << kernel.weights.len()).map(|pattern| value(&kernel.weights, pattern)).collect());
            tables.len() - 1
        });
        of.push((&kernel.weights, table));
    }
    (tables, of.into_iter().map(|(_, table)| table).collect())
}

/// Whether the pixels of a pattern make a valid result. The last pixel is the lowest bit.
fn is_valid(weights: &[f64], pattern: usize) -> bool {
    let n = weights.len();
    let (mut run, mut longest, mut sum) = (0, 0, 0.0);
    for (i, weight) in weights.iter().enumerate() {
        if pattern >> (n - 1 - i) & 1 == 1 {
            run += 1;
            longest = longest.max(run);
            sum += weight;
        } else {
            run = 0;
        }
    }
    longest >= n / 2 && sum > 0.0
}

/// The weighted mean of a pattern's ones, with the weights made to sum up to 1.
fn mean(weights: &[f64], pattern: usize) -> f64 {
    let n = weights.len();
    let inverse = normaliser(weights);
    weights.iter().enumerate().filter(|(i, _)| pattern >> (n - 1 - i) & 1 == 1).map(|(_, w)| w * inverse).sum()
}

fn normaliser(weights: &[f64]) -> f64 {
    let sum: f64 = weights.iter().sum();
    if sum == 0.0 { 1.0 } else { 1.0 / sum }
}

/// One of the two values is void: a valid result can only be the other one.
fn halve_valid(mask: &[u8], width: u32, columns: &[Kernel], rows: &[Kernel], void: u8) -> Vec<u8> {
    let (across, across_of) = tables(columns, is_valid);
    let (down, down_of) = tables(rows, is_valid);
    let mut out = Vec::with_capacity(columns.len() * rows.len());
    // One shift register of rows for each output column.
    let mut registers = vec![0u16; columns.len()];
    let mut source = mask.chunks_exact(width as usize);
    let mut next = 0;
    for (kernel, table) in rows.iter().zip(down_of) {
        for line in source.by_ref().take(kernel.end() - next) {
            sweep(line, columns, |i, pattern| {
                registers[i] = registers[i] << 1 | u16::from(across[across_of[i]][pattern]);
            }, void ^ 1);
        }
        next = kernel.end();
        let (table, low) = (&down[table], (1usize << kernel.weights.len()) - 1);
        out.extend(registers.iter().map(|&r| if table[usize::from(r) & low] { void ^ 1 } else { void }));
    }
    out
}

/// No value is void: a result is 1 where the weighted mean rounds to 1.
fn halve_values(mask: &[u8], width: u32, columns: &[Kernel], rows: &[Kernel]) -> Vec<u8> {
    let (across, across_of) = tables(columns, mean);
    let mut out = Vec::with_capacity(columns.len() * rows.len());
    let mut held: std::collections::VecDeque<Vec<f64>> = std::collections::VecDeque::new();
    let mut first = 0;
    let mut source = mask.chunks_exact(width as usize);
    let mut sums = vec![0.0; columns.len()];
    for kernel in rows {
        while first < kernel.start && held.pop_front().is_some() {
            first += 1;
        }
        for line in source.by_ref().take(kernel.end() - first - held.len()) {
            let mut filtered = vec![0.0; columns.len()];
            sweep(line, columns, |i, pattern| filtered[i] = across[across_of[i]][pattern], 1);
            held.push_back(filtered);
        }
        let inverse = normaliser(&kernel.weights);
        sums.fill(0.0);
        for (weight, line) in kernel.weights.iter().zip(&held) {
            let weight = weight * inverse;
            sums.iter_mut().zip(line).for_each(|(sum, value)| *sum += value * weight);
        }
        // GDAL keeps single precision from here on, which swallows the last bits of the sums above.
        out.extend(sums.iter().map(|&sum| (sum as f32 + 0.5) as u8));
    }
    out
}

/// Calls `each(output column, pattern)` for one line; a pixel equal to `one` is a 1 in the pattern.
fn sweep(line: &[u8], columns: &[Kernel], mut each: impl FnMut(usize, usize), one: u8) {
    let mut register = 0usize;
    let mut next = 0;
    for (i, kernel) in columns.iter().enumerate() {
        for &pixel in &line[next..kernel.end()] {
            register = register << 1 | usize::from(pixel == one);
        }
        next = kernel.end();
        each(i, register & ((1 << kernel.weights.len()) - 1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides_are_halved_until_they_fit_a_tile() {
        assert_eq!(sizes(5460, 7205), vec![(2730, 3602), (1365, 1801), (682, 900), (341, 450)]);
        assert_eq!(sizes(5000, 3), vec![(2500, 1), (1250, 1), (625, 1), (312, 1)]);
        assert_eq!(sizes(512, 512), vec![]);
    }

    #[test]
    fn uniform_masks_stay_uniform() {
        for nodata in [None, Some(0), Some(1), Some(255)] {
            for value in [0, 1] {
                let out = halve(&vec![value; 13 * 9], (13, 9), (6, 4), nodata);
                assert_eq!(out, vec![value; 24], "nodata {nodata:?}");
            }
        }
    }

    #[test]
    fn a_lone_pixel_vanishes_where_zero_is_nodata() {
        let mut mask = vec![0; 16 * 16];
        mask[8 * 16 + 8] = 1;
        assert_eq!(halve(&mask, (16, 16), (8, 8), Some(0)), vec![0; 64]);
    }

    #[test]
    fn a_kernel_never_needs_more_than_the_register_holds() {
        for from in 2..3000 {
            for kernel in kernels(from, from / 2) {
                assert!(kernel.weights.len() <= 13 && kernel.end() <= from as usize);
            }
        }
    }
}
