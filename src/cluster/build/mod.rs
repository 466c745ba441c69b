//! Pods from launches. Pure.
//!
//! [`pod::build`] is the way in. A pod depends on the step's place and resources and on nothing of the instance, so that
//! it can be made before the instance is known.

pub mod image;
pub mod name;
pub mod pod;
pub mod resources;
pub mod security;

use weir_api::FailureClass;

pub use image::ImageError;
pub use name::pod_name;
pub(crate) use name::slug;
pub use pod::{PodRequest, build};
pub use resources::ResourcesError;

/// Why there is no pod for a step.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum BuildError {
    /// Its image is not allowed, or is none.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// It asks for more than any step may have.
    #[error(transparent)]
    Resources(#[from] ResourcesError),
}

impl BuildError {
    /// The class of the incarnation's end; another try does not help.
    pub fn class(&self) -> FailureClass {
        match self {
            Self::Image(ImageError::Built(_)) => FailureClass::Unsupported,
            Self::Image(_) => FailureClass::Rejected,
            Self::Resources(_) => FailureClass::Unschedulable,
        }
    }
}
