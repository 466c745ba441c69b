//! weir-raster
