//! GeoTIFF: where an image lies (OGC 19-008r4, §7).

/// An affine map from pixel (column, row; corners are whole numbers) to the raster's coordinate system:
/// `x = a·col + b·row + c`, `y = d·col + e·row + f`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Transform {
    /// Pixel width.
    pub a: f64,
    /// Row rotation.
    pub b: f64,
    /// x of the upper left corner.
    pub c: f64,
    /// Column rotation.
    pub d: f64,
    /// Pixel height, negative where north is up.
    pub e: f64,
    /// y of the upper left corner.
    pub f: f64,
}

impl Transform {
    /// Coordinates of a pixel position.
    pub fn apply(&self, col: f64, row: f64) -> (f64, f64) {
        (col * self.a + row * self.b + self.c, col * self.d + row * self.e + self.f)
    }

    /// The inverse map, with the same operations in the same order as the Python package `affine`,
    /// whose results the reference rounds to whole pixels.
    #[must_use]
    pub fn inverse(&self) -> Self {
        let idet = 1.0 / (self.a * self.e - self.b * self.d);
        let (ra, rb, rd, re) = (self.e * idet, -self.b * idet, -self.d * idet, self.a * idet);
        Self { a: ra, b: rb, c: -self.c * ra - self.f * rb, d: rd, e: re, f: -self.c * rd - self.f * re }
    }

    /// The transform of a window whose upper left pixel is (`col`, `row`): moved by a difference, as rasterio does.
    #[must_use]
    pub fn window(&self, col: u32, row: u32) -> Self {
        let (x, y) = self.apply(f64::from(col), f64::from(row));
        Self { c: self.c + (x - self.c), f: self.f + (y - self.f), ..*self }
    }

    /// Whether the image's sides are parallel to the axes.
    pub fn is_upright(&self) -> bool {
        self.b == 0.0 && self.d == 0.0
    }

    /// West, south, east, north of an image of this size (upright images).
    pub fn bounds(&self, width: u32, height: u32) -> [f64; 4] {
        let (x0, y0) = (self.c, self.f);
        let (x1, y1) = (self.c + self.a * f64::from(width), self.f + self.e * f64::from(height));
        [x0, y1, x1, y0]
    }
}

/// The georeference of an image, kept so that it can be written again without loss.
#[derive(Clone, Debug, PartialEq)]
pub struct Georeference {
    /// Pixel corner to coordinates (a point raster's half pixel is already taken off).
    pub transform: Transform,
    /// The EPSG code of the coordinate system, where it has one.
    pub epsg: Option<u16>,
    /// `GeoKeyDirectory`, without its `GTRasterTypeGeoKey` entry.
    pub keys: Vec<[u16; 4]>,
    /// `GeoDoubleParams`.
    pub doubles: Vec<f64>,
    /// `GeoAsciiParams`.
    pub ascii: Vec<u8>,
}

const MODEL_TYPE: u16 = 1024;
const RASTER_TYPE: u16 = 1025;
const GEOGRAPHIC_TYPE: u16 = 2048;
const PROJECTED_TYPE: u16 = 3072;
const RASTER_PIXEL_IS_POINT: u16 = 2;
const USER_DEFINED: u16 = 32767;

/// The raw values of the GeoTIFF tags of one directory.
#[derive(Debug, Default)]
pub struct GeoTags {
    /// `ModelPixelScale` (33550).
    pub scale: Vec<f64>,
    /// `ModelTiepoint` (33922).
    pub tiepoint: Vec<f64>,
    /// `ModelTransformation` (34264).
    pub matrix: Vec<f64>,
    /// `GeoKeyDirectory` (34735).
    pub directory: Vec<u16>,
    /// `GeoDoubleParams` (34736).
    pub doubles: Vec<f64>,
    /// `GeoAsciiParams` (34737).
    pub ascii: Vec<u8>,
}

impl GeoTags {
    /// Interprets the tags. `Err` says what is missing or contradictory.
    pub fn georeference(self) -> Result<Georeference, String> {
        let entries: Vec<[u16; 4]> =
            self.directory.get(4..).unwrap_or(&[]).chunks_exact(4).map(|k| [k[0], k[1], k[2], k[3]]).collect();
        let short = |id: u16| entries.iter().find(|k| k[0] == id && k[1] == 0).map(|k| k[3]);
        let code = |id| short(id).filter(|&v| v != 0 && v != USER_DEFINED);
        let epsg = match short(MODEL_TYPE) {
            Some(1) => code(PROJECTED_TYPE),
            Some(2) => code(GEOGRAPHIC_TYPE),
            _ => code(PROJECTED_TYPE).or_else(|| code(GEOGRAPHIC_TYPE)),
        };
        let mut transform = self.transform()?;
        if short(RASTER_TYPE) == Some(RASTER_PIXEL_IS_POINT) {
            let (x, y) = transform.apply(-0.5, -0.5);
            (transform.c, transform.f) = (x, y);
        }
        let numbers = [transform.a, transform.b, transform.c, transform.d, transform.e, transform.f];
        if numbers.iter().any(|v| !v.is_finite()) || transform.a * transform.e - transform.b * transform.d == 0.0 {
            return Err("its georeference has no area".into());
        }
        let keys = entries.into_iter().filter(|k| k[0] != RASTER_TYPE).collect();
        Ok(Georeference { transform, epsg, keys, doubles: self.doubles, ascii: self.ascii })
    }

    fn transform(&self) -> Result<Transform, String> {
        if let [a, b, _, c, d, e, _, f, ..] = self.matrix[..] {
            return Ok(Transform { a, b, c, d, e, f });
        }
        match (&self.scale[..], &self.tiepoint[..]) {
            ([width, height, ..], [col, row, _, x, y, _]) => {
                Ok(Transform { a: *width, b: 0.0, c: x - col * width, d: 0.0, e: -height, f: y + row * height })
            }
            (_, []) => Err("it has no georeference".into()),
            _ => Err("it is placed by ground control points; only an affine georeference is read".into()),
        }
    }
}

impl Georeference {
    /// The `GeoKeyDirectory` to write: the kept keys, with pixels as areas.
    pub fn directory(&self) -> Vec<u16> {
        let mut keys = self.keys.clone();
        keys.push([RASTER_TYPE, 0, 1, 1]);
        keys.sort_by_key(|k| k[0]);
        let count = u16::try_from(keys.len()).unwrap_or(u16::MAX);
        [1, 1, 0, count].into_iter().chain(keys.into_iter().flatten()).collect()
    }

    /// "EPSG:32610", or a phrase saying that there is no code.
    pub fn crs_name(&self) -> String {
        self.epsg.map_or_else(|| "a coordinate system without EPSG code".into(), |code| format!("EPSG:{code}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(raster_type: u16) -> GeoTags {
        GeoTags {
            scale: vec![30.0, 30.0, 0.0],
            tiepoint: vec![0.0, 0.0, 0.0, 600_000.0, 4_500_000.0, 0.0],
            directory: vec![1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, raster_type, 3072, 0, 1, 32610],
            ..GeoTags::default()
        }
    }

    #[test]
    fn a_point_raster_is_moved_by_half_a_pixel() {
        let area = tags(1).georeference().unwrap();
        let point = tags(2).georeference().unwrap();
        assert_eq!((area.transform.c, area.transform.f), (600_000.0, 4_500_000.0));
        assert_eq!((point.transform.c, point.transform.f), (599_985.0, 4_500_015.0));
        assert_eq!(point.epsg, Some(32610));
        assert_eq!(point.directory(), area.directory(), "what is written is always an area raster");
    }

    #[test]
    fn the_inverse_undoes_the_transform() {
        let t = Transform { a: 28.5, b: 0.0, c: 288_776.25, d: 0.0, e: -28.5, f: 9_120_760.75 };
        let (x, y) = t.apply(17.0, 42.0);
        let (col, row) = t.inverse().apply(x, y);
        assert!((col - 17.0).abs() < 1e-9 && (row - 42.0).abs() < 1e-9);
    }

    #[test]
    fn a_file_without_georeference_says_so() {
        assert_eq!(GeoTags::default().georeference().unwrap_err(), "it has no georeference");
    }
}
