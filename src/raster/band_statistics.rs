//! `raster:bands` of a STAC item, as rio-stac 0.11 computes it: statistics and histogram of an array of at most
//! 1024 x 1024 pixels, read through the overviews by nearest neighbour.

use crate::source::Source;
use crate::tiff::{Image, Rows, Sample, TiffError, Window};
use serde_json::{Value, json};

/// Longer side of the array that is looked at, pixels (rio-stac's `raster_max_size`).
const SIDE: u32 = 1024;

/// How much finer than wanted an overview may be passed over for a coarser one (GDAL's oversampling threshold).
const OVERSAMPLING: f64 = 1.2;

/// Bins of the histogram.
const BINS: usize = 10;

/// The `raster:bands` array of an image of whole numbers.
pub fn raster_bands(source: &mut Source, image: &Image) -> Result<Value, TiffError> {
    if matches!(image.sample, Sample::F32 | Sample::F64) {
        return Err(image.unsupported(format!(
            "its statistics are not computed, because it is {}; a mask of whole numbers is expected, as otsu writes it",
            image.sample.name()
        )));
    }
    let (width, height) = decimated(image.width, image.height);
    let level = level_for(image, width, height);
    let bands = image.bands as usize;
    let mut values = vec![Vec::with_capacity(width as usize * height as usize); bands];
    let columns = nearest(level.width, width);
    let mut rows = Rows::new(source, level, Window::whole(level), image.bands)?;
    for row in nearest(level.height, height) {
        let line = samples(image.sample, rows.read(row, 1)?);
        for (band, out) in values.iter_mut().enumerate() {
            out.extend(columns.iter().map(|&col| line[col as usize * bands + band]));
        }
    }
    let nodata = image.nodata_value().filter(|_| crate::sample::nodata_for(image.nodata.as_deref(), image.sample).is_some());
    Ok(values.iter().map(|v| band(image.sample, v, nodata)).collect())
}

/// Width and height of the array for an image.
fn decimated(width: u32, height: u32) -> (u32, u32) {
    if width.max(height) <= SIDE {
        return (width, height);
    }
    let ratio = f64::from(height) / f64::from(width);
    if ratio > 1.0 {
        ((f64::from(SIDE) / ratio).ceil() as u32, SIDE)
    } else {
        (SIDE, (f64::from(SIDE) * ratio).ceil() as u32)
    }
}

/// The level that GDAL reads an array of this size from.
fn level_for(image: &Image, width: u32, height: u32) -> &Image {
    let factor = |w: u32, h: u32| {
        (f64::from(image.width) / f64::from(w)).min(f64::from(image.height) / f64::from(h))
    };
    let wanted = factor(width, height);
    let mut best = (1.0, image);
    for overview in &image.overviews {
        let f = factor(overview.width, overview.height);
        if wanted > 1.0 && f < wanted * OVERSAMPLING && f > best.0 {
            best = (f, overview);
        }
    }
    best.1
}

/// The source pixel of each output pixel.
fn nearest(from: u32, to: u32) -> Vec<u32> {
    let scale = f64::from(from) / f64::from(to);
    (0..to).map(|i| (((f64::from(i) + 0.5) * scale + 1e-10).floor() as u32).min(from - 1)).collect()
}

fn samples(sample: Sample, bytes: &[u8]) -> Vec<f64> {
    let mut out = Vec::with_capacity(bytes.len() / sample.size());
    crate::sample::to_f64(sample, bytes, &mut out);
    out
}

fn band(sample: Sample, values: &[f64], nodata: Option<f64>) -> Value {
    let valid: Vec<f64> = values.iter().copied().filter(|v| Some(*v) != nodata).collect();
    let number = |v: f64| json!(v as i64);
    let count = valid.len() as f64;
    let mean = if valid.is_empty() { 0.0 } else { valid.iter().sum::<f64>() / count };
    // Masked pixels take part in numpy's sum as zeros, which decides how the sum is rounded.
    let squares: Vec<f64> =
        values.iter().map(|v| if Some(*v) == nodata { 0.0 } else { (v - mean) * (v - mean) }).collect();
    let stddev = if valid.is_empty() { 0.0 } else { (pairwise(&squares) / count).sqrt() };
    let low = valid.iter().copied().fold(f64::INFINITY, f64::min);
    let high = valid.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    // Without nodata the mask is a single `False`: one pixel is counted as valid (rio-stac's arithmetic).
    let share = if nodata.is_some() { count } else { 1.0 };
    let mut out = json!({
        "data_type": sample.name(), "scale": 1.0, "offset": 0.0, "sampling": "area",
    });
    if let Some(nodata) = nodata {
        out["nodata"] = json!(nodata);
    }
    out["statistics"] = json!({
        "mean": mean,
        "minimum": if valid.is_empty() { json!(0.0) } else { number(low) },
        "maximum": if valid.is_empty() { json!(0.0) } else { number(high) },
        "stddev": stddev,
        "valid_percent": share / values.len() as f64 * 100.0,
    });
    let (low, high) = match (valid.is_empty(), low == high) {
        (true, _) => (0.0, 1.0),
        (_, true) => (low - 0.5, high + 0.5),
        _ => (low, high),
    };
    out["histogram"] = json!({ "count": BINS + 1, "min": low, "max": high, "buckets": histogram(&valid, low, high) });
    out
}

/// `numpy.histogram` with equal bins between two values.
fn histogram(values: &[f64], low: f64, high: f64) -> [u64; BINS] {
    let step = (high - low) / BINS as f64;
    let edge = |i: usize| if i == BINS { high } else { i as f64 * step + low };
    let mut counts = [0; BINS];
    for &v in values {
        let mut bin = (((v - low) / (high - low) * BINS as f64) as usize).min(BINS - 1);
        if v < edge(bin) {
            bin -= 1;
        } else if bin != BINS - 1 && v >= edge(bin + 1) {
            bin += 1;
        }
        counts[bin] += 1;
    }
    counts
}

/// numpy's sum of doubles: eight running sums in blocks of at most 128, blocks summed in halves.
fn pairwise(values: &[f64]) -> f64 {
    let n = values.len();
    if n < 8 {
        return values.iter().sum();
    }
    if n <= 128 {
        let mut sums = [0.0; 8];
        sums.copy_from_slice(&values[..8]);
        let whole = n - n % 8;
        for eight in values[8..whole].chunks_exact(8) {
            sums.iter_mut().zip(eight).for_each(|(s, v)| *s += v);
        }
        let sum = ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
        return values[whole..].iter().fold(sum, |sum, v| sum + v);
    }
    let half = n / 2 - n / 2 % 8;
    pairwise(&values[..half]) + pairwise(&values[half..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_array_is_as_large_as_in_the_seeds() {
        assert_eq!(decimated(1821, 2402), (777, 1024));
        assert_eq!(decimated(1821, 482), (1024, 272));
        assert_eq!(decimated(1024, 10), (1024, 10));
    }

    #[test]
    fn statistics_of_a_mask_with_nodata_look_only_at_water() {
        let band = band(Sample::U8, &[0.0, 1.0, 1.0, 0.0], Some(0.0));
        insta::assert_snapshot!(band, @r#"{"data_type":"uint8","scale":1.0,"offset":0.0,"sampling":"area","nodata":0.0,"statistics":{"mean":1.0,"minimum":1,"maximum":1,"stddev":0.0,"valid_percent":50.0},"histogram":{"count":11,"min":0.5,"max":1.5,"buckets":[0,0,0,0,0,2,0,0,0,0]}}"#);
    }

    #[test]
    fn statistics_of_nothing_are_zero() {
        let band = band(Sample::U8, &[0.0; 4], Some(0.0));
        assert_eq!(band["statistics"]["valid_percent"], 0.0);
        assert_eq!(band["histogram"]["max"], 1.0);
    }
}
