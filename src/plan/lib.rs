//! weir-plan
