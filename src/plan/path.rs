//! Names of step instances: `node_water_bodies[1]/node_crop[0]`.

use serde::{Deserialize, Serialize};

/// The path of a step instance from the outermost workflow. Ordered: parents before children, elements by index.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Default)]
#[serde(into = "String", try_from = "String")]
pub struct InstancePath(pub Vec<Segment>);

/// One step on the way, with the scatter element if the step is scattered.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Segment {
    /// The step's short id.
    pub step: String,
    /// Index of the scatter element in flat order (nested crossproducts are flattened, last input fastest).
    pub element: Option<u32>,
}

impl std::fmt::Display for InstancePath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, segment) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("/")?;
            }
            f.write_str(&segment.step)?;
            if let Some(element) = segment.element {
                write!(f, "[{element}]")?;
            }
        }
        Ok(())
    }
}

impl From<InstancePath> for String {
    fn from(path: InstancePath) -> Self {
        path.to_string()
    }
}

/// A text that is no instance path.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not the path of a step instance, such as `step[1]/tool`")]
pub struct PathError(String);

impl TryFrom<String> for InstancePath {
    type Error = PathError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let segment = |part: &str| -> Option<Segment> {
            match part.strip_suffix(']').and_then(|rest| rest.rsplit_once('[')) {
                Some((step, index)) => Some(Segment { step: step.to_owned(), element: Some(index.parse().ok()?) }),
                None => Some(Segment { step: part.to_owned(), element: None }),
            }
        };
        let segments = text.split('/').filter(|part| !part.is_empty()).map(segment).collect::<Option<Vec<_>>>();
        segments.map(Self).ok_or(PathError(text))
    }
}
