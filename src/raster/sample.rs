//! Samples of any type as the types that the steps compute with.
#![expect(clippy::cast_lossless, reason = "one macro serves types for which a cast is lossless and others")]

use crate::tiff::Sample;

/// Calls `$body` with each sample of `$bytes` (native byte order) as `$v` of its own type.
macro_rules! each_sample {
    ($sample:expr, $bytes:expr, |$v:ident| $body:expr) => {{
        macro_rules! run {
            ($t:ty) => {
                for chunk in $bytes.chunks_exact(size_of::<$t>()) {
                    let mut bytes = [0; size_of::<$t>()];
                    bytes.copy_from_slice(chunk);
                    let $v = <$t>::from_ne_bytes(bytes);
                    $body
                }
            };
        }
        match $sample {
            Sample::U8 => run!(u8),
            Sample::I8 => run!(i8),
            Sample::U16 => run!(u16),
            Sample::I16 => run!(i16),
            Sample::U32 => run!(u32),
            Sample::I32 => run!(i32),
            Sample::F32 => run!(f32),
            Sample::F64 => run!(f64),
        }
    }};
}

/// A number cast to uint16 the way numpy does on the machines the reference runs on:
/// whole numbers keep their low 16 bits; fractions are cut off to a 32-bit integer first, which is
/// -2^31 (low bits 0) for what does not fit and for NaN.
trait ToU16: Copy {
    fn to_u16(self) -> u16;
}

macro_rules! integers {
    ($($t:ty)*) => { $(impl ToU16 for $t { fn to_u16(self) -> u16 { self as u16 } })* };
}
integers!(u8 i8 u16 i16 u32 i32);

impl ToU16 for f32 {
    fn to_u16(self) -> u16 {
        f64::from(self).to_u16()
    }
}

impl ToU16 for f64 {
    fn to_u16(self) -> u16 {
        if self > -2_147_483_649.0 && self < 2_147_483_648.0 { self as i32 as u16 } else { 0 }
    }
}

/// All samples as uint16, replacing what `out` held.
pub fn to_u16(sample: Sample, bytes: &[u8], out: &mut Vec<u16>) {
    out.clear();
    out.reserve(bytes.len() / sample.size());
    each_sample!(sample, bytes, |v| out.push(v.to_u16()));
}

/// All samples as float32, replacing what `out` held.
pub fn to_f32(sample: Sample, bytes: &[u8], out: &mut Vec<f32>) {
    out.clear();
    out.reserve(bytes.len() / sample.size());
    each_sample!(sample, bytes, |v| out.push(v as f32));
}

/// All samples as float64, replacing what `out` held.
pub fn to_f64(sample: Sample, bytes: &[u8], out: &mut Vec<f64>) {
    out.clear();
    each_sample!(sample, bytes, |v| out.push(f64::from(v)));
}

/// Pixels of `bands` samples of which the first are given and the others zero, replacing what `out` held.
pub fn first_of_bands<const N: usize>(samples: impl Iterator<Item = [u8; N]>, bands: u32, out: &mut Vec<u8>) {
    out.clear();
    if bands == 1 {
        out.extend(samples.flatten());
        return;
    }
    for sample in samples {
        out.extend_from_slice(&sample);
        out.resize(out.len() + N * (bands as usize - 1), 0);
    }
}

/// A nodata value as the fill of a raster of this type ends up after the cast to uint16.
pub fn fill_u16(nodata: f64, sample: Sample) -> u16 {
    match sample {
        Sample::U8 => (nodata as u8).to_u16(),
        Sample::I8 => (nodata as i8).to_u16(),
        Sample::U16 => nodata as u16,
        Sample::I16 => (nodata as i16).to_u16(),
        Sample::U32 => (nodata as u32).to_u16(),
        Sample::I32 => (nodata as i32).to_u16(),
        Sample::F32 => (nodata as f32).to_u16(),
        Sample::F64 => nodata.to_u16(),
    }
}

/// A nodata text, if samples of this type can have the value; otherwise the raster has none (as GDAL reads it).
pub fn nodata_for(nodata: Option<&str>, sample: Sample) -> Option<&str> {
    let text = nodata?;
    let value = crate::tiff::parse_nodata(text)?;
    let within = |low: f64, high: f64| low <= value && value <= high;
    let fits = match sample {
        Sample::U8 => within(0.0, 255.0),
        Sample::I8 => within(-128.0, 127.0),
        Sample::U16 => within(0.0, 65535.0),
        Sample::I16 => within(-32768.0, 32767.0),
        Sample::U32 => within(0.0, f64::from(u32::MAX)),
        Sample::I32 => within(f64::from(i32::MIN), f64::from(i32::MAX)),
        Sample::F32 => !value.is_finite() || within(f64::from(f32::MIN), f64::from(f32::MAX)),
        Sample::F64 => true,
    };
    fits.then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn casts_to_uint16_are_those_of_numpy() {
        let values = [-1.5f32, -0.5, 1.5, 65535.4, 65536.2, 70000.9, 1e10, f32::NAN, f32::NEG_INFINITY, 3e9, -70000.3];
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_ne_bytes()).collect();
        let mut out = Vec::new();
        to_u16(Sample::F32, &bytes, &mut out);
        assert_eq!(out, [65535, 0, 1, 65535, 0, 4464, 0, 0, 0, 0, 61072]);
        to_u16(Sample::I16, &(-9999i16).to_ne_bytes(), &mut out);
        assert_eq!(out, [55537]);
    }

    #[test]
    fn a_nodata_value_that_does_not_fit_is_dropped() {
        assert_eq!(nodata_for(Some("-9999"), Sample::U16), None);
        assert_eq!(nodata_for(Some("nan"), Sample::U16), None);
        assert_eq!(nodata_for(Some("nan"), Sample::F32), Some("nan"));
        assert_eq!(nodata_for(Some("255"), Sample::U8), Some("255"));
    }
}
