//! Coordinate systems by EPSG code, always in x, y (longitude, latitude) order.

use proj4rs::Proj;

/// A coordinate system that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CrsError {
    /// The text is no EPSG code.
    #[error("`{0}` is no EPSG code; expected for example EPSG:4326")]
    NotACode(String),
    /// The code is not known.
    #[error("EPSG:{0} is not known to this program")]
    Unknown(u32),
    /// A position lies outside the system's domain.
    #[error("({x}, {y}) in EPSG:{from} has no coordinates in EPSG:{to}")]
    OutOfDomain {
        /// First coordinate.
        x: f64,
        /// Second coordinate.
        y: f64,
        /// System it was given in.
        from: u16,
        /// System it was wanted in.
        to: u16,
    },
}

/// A coordinate system.
pub struct Crs {
    /// Its EPSG code.
    pub code: u16,
    proj: Proj,
}

impl Crs {
    /// Longitude and latitude on WGS 84.
    pub const WGS84: u16 = 4326;

    /// Reads `EPSG:4326`, `epsg:4326`, `4326`, `urn:ogc:def:crs:EPSG::4326`, `OGC:CRS84`.
    pub fn parse(text: &str) -> Result<Self, CrsError> {
        let upper = text.trim().to_ascii_uppercase();
        if matches!(upper.as_str(), "OGC:CRS84" | "CRS84" | "URN:OGC:DEF:CRS:OGC:1.3:CRS84") {
            return Self::from_code(u32::from(Self::WGS84));
        }
        let digits = match upper.strip_prefix("URN:OGC:DEF:CRS:EPSG:") {
            Some(urn) => urn.rsplit(':').next().unwrap_or(""),
            None => upper.strip_prefix("EPSG:").unwrap_or(&upper),
        };
        Self::from_code(digits.parse().map_err(|_| CrsError::NotACode(text.to_owned()))?)
    }

    /// The system with this code.
    pub fn from_code(code: u32) -> Result<Self, CrsError> {
        let known = u16::try_from(code).ok().and_then(|c| Some((c, crs_definitions::from_code(c)?)));
        let (code, definition) = known.ok_or(CrsError::Unknown(code))?;
        let proj = Proj::from_proj_string(definition.proj4).map_err(|_| CrsError::Unknown(u32::from(code)))?;
        Ok(Self { code, proj })
    }

    /// The coordinates in `to` of a position given in `self`.
    pub fn transform(&self, to: &Self, x: f64, y: f64) -> Result<(f64, f64), CrsError> {
        let outside = || CrsError::OutOfDomain { x, y, from: self.code, to: to.code };
        if self.code == to.code {
            return Ok((x, y));
        }
        let mut point = if self.proj.is_latlong() { (x.to_radians(), y.to_radians(), 0.0) } else { (x, y, 0.0) };
        proj4rs::transform::transform(&self.proj, &to.proj, &mut point).map_err(|_| outside())?;
        let (x, y) = if to.proj.is_latlong() { (point.0.to_degrees(), point.1.to_degrees()) } else { (point.0, point.1) };
        if x.is_finite() && y.is_finite() { Ok((x, y)) } else { Err(outside()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_corners_of_the_tutorial_area_fall_where_proj_puts_them() {
        let (wgs84, utm) = (Crs::parse("EPSG:4326").unwrap(), Crs::parse("epsg:32610").unwrap());
        let (x, y) = wgs84.transform(&utm, -121.399, 39.834).unwrap();
        assert!((x - 636_994.4642).abs() < 1e-4 && (y - 4_410_559.3240).abs() < 1e-4);
        let (lon, lat) = utm.transform(&wgs84, x, y).unwrap();
        assert!((lon + 121.399).abs() < 1e-12 && (lat - 39.834).abs() < 1e-12);
    }

    #[test]
    fn what_is_no_code_is_said() {
        assert_eq!(Crs::parse("WGS84").err().unwrap().to_string(), "`WGS84` is no EPSG code; expected for example EPSG:4326");
        assert_eq!(Crs::parse("EPSG:99999").err().unwrap().to_string(), "EPSG:99999 is not known to this program");
    }
}
