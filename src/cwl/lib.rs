//! weir-cwl
