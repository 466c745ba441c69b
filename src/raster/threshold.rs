//! Otsu's threshold with the arithmetic of scikit-image 0.25 on numpy 2: 256 bins between the smallest and the
//! largest finite value, all in single precision, the centre of the first bin with the largest variance between
//! classes. Computed in double precision another bin may win.

/// Bins of the histogram of floating point values (`threshold_otsu`'s default).
const BINS: usize = 256;

/// Smallest and largest finite value seen.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Extent(Option<(f32, f32)>);

impl Extent {
    /// Takes more values into account.
    pub fn add(&mut self, values: &[f32]) {
        let start = self.0.unwrap_or((f32::INFINITY, f32::NEG_INFINITY));
        let (low, high) = values.iter().fold(start, |(low, high), &v| {
            let finite = v.is_finite();
            (if finite && v < low { v } else { low }, if finite && v > high { v } else { high })
        });
        if low <= high {
            self.0 = Some((low, high));
        }
    }

    /// Smallest and largest, if there was a finite value.
    pub fn get(self) -> Option<(f32, f32)> {
        self.0
    }
}

/// A histogram of float32 values as `numpy.histogram` makes it.
pub struct Histogram {
    low: f32,
    span: f32,
    edges: Vec<f32>,
    counts: Vec<u64>,
}

impl Histogram {
    /// Empty bins between two different values.
    pub fn new(low: f32, high: f32) -> Self {
        let step = (high - low) / BINS as f32;
        let mut edges: Vec<f32> = (0..=BINS).map(|i| i as f32 * step + low).collect();
        edges[BINS] = high;
        Self { low, span: high - low, edges, counts: vec![0; BINS] }
    }

    /// Counts the finite values.
    pub fn add(&mut self, values: &[f32]) {
        let (edges, counts) = (&self.edges[..=BINS], &mut self.counts[..BINS]);
        for &v in values {
            if !v.is_finite() {
                continue;
            }
            let mut bin = (((v - self.low) / self.span * BINS as f32) as usize).min(BINS - 1);
            // The division may have rounded over an edge.
            if v < edges[bin] {
                bin = bin.saturating_sub(1);
            } else if bin != BINS - 1 && v >= edges[bin + 1] {
                bin += 1;
            }
            counts[bin] += 1;
        }
    }

    /// The threshold.
    #[expect(clippy::manual_midpoint, reason = "numpy's operations in numpy's order")]
    pub fn threshold(&self) -> f32 {
        let counts: Vec<f32> = self.counts.iter().map(|&c| c as f32).collect();
        let centres: Vec<f32> = self.edges.windows(2).map(|e| (e[0] + e[1]) / 2.0).collect();
        let sums: Vec<f32> = counts.iter().zip(&centres).map(|(n, c)| n * c).collect();
        let (below, above) = (running(counts.iter()), running_back(&counts));
        let mean_below: Vec<f32> = running(sums.iter()).iter().zip(&below).map(|(s, w)| s / w).collect();
        let mean_above: Vec<f32> = running_back(&sums).iter().zip(&above).map(|(s, w)| s / w).collect();
        let variance = (0..BINS - 1).map(|i| {
            let difference = mean_below[i] - mean_above[i + 1];
            f64::from(below[i] * above[i + 1] * (difference * difference))
        });
        centres[first_largest(variance)]
    }
}

fn running<'a>(values: impl Iterator<Item = &'a f32>) -> Vec<f32> {
    let mut sum = 0.0;
    values
        .map(|v| {
            sum += v;
            sum
        })
        .collect()
}

fn running_back(values: &[f32]) -> Vec<f32> {
    let mut sums = running(values.iter().rev());
    sums.reverse();
    sums
}

/// The first index of the largest value; NaN counts as largest, as in `numpy.argmax`.
fn first_largest(values: impl Iterator<Item = f64>) -> usize {
    let mut best = (0, f64::NEG_INFINITY);
    for (i, v) in values.enumerate() {
        if v.is_nan() {
            return i;
        }
        if v > best.1 {
            best = (i, v);
        }
    }
    best.0
}

/// The threshold of whole numbers: one bin a value. `counts[i]` counts the value `low + i`; the first and the last
/// are not zero and differ.
pub fn of_integers(low: i64, counts: &[u64]) -> i64 {
    let counts: Vec<f32> = counts.iter().map(|&c| c as f32).collect();
    // Centres are integers, so that numpy goes on in double precision from here.
    let sums: Vec<f64> = (low..).zip(&counts).map(|(v, n)| f64::from(*n) * v as f64).collect();
    let (below, above) = (running(counts.iter()), running_back(&counts));
    let mut total = 0.0;
    let mut mean_below = Vec::with_capacity(sums.len());
    for (sum, weight) in sums.iter().zip(&below) {
        total += sum;
        mean_below.push(total / f64::from(*weight));
    }
    total = 0.0;
    let mut mean_above = vec![0.0; sums.len()];
    for i in (0..sums.len()).rev() {
        total += sums[i];
        mean_above[i] = total / f64::from(above[i]);
    }
    let variance = (0..sums.len() - 1).map(|i| {
        let difference = mean_below[i] - mean_above[i + 1];
        f64::from(below[i] * above[i + 1]) * (difference * difference)
    });
    low + first_largest(variance) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_clusters_are_parted_between_them() {
        let values: Vec<f32> = (0..1000).map(|i| if i % 3 == 0 { 0.8 } else { -0.5 } + (i % 7) as f32 * 0.01).collect();
        let mut extent = Extent::default();
        extent.add(&values);
        let (low, high) = extent.get().unwrap();
        let mut histogram = Histogram::new(low, high);
        histogram.add(&values);
        assert_eq!(histogram.counts.iter().sum::<u64>(), 1000);
        let threshold = histogram.threshold();
        assert!((-0.45..0.8).contains(&threshold), "{threshold}");
    }

    #[test]
    fn values_that_are_not_finite_count_for_nothing() {
        let mut extent = Extent::default();
        extent.add(&[f32::NAN, f32::INFINITY]);
        assert_eq!(extent.get(), None);
        extent.add(&[f32::NEG_INFINITY, 2.0, f32::NAN, -1.0]);
        assert_eq!(extent.get(), Some((-1.0, 2.0)));
    }

    #[test]
    fn whole_numbers_have_one_bin_a_value() {
        assert_eq!(of_integers(10, &[5, 5, 0, 0, 5, 5]), 11);
    }
}
