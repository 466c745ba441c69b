//! What preparing a tool's inputs must know of the world.

/// Looks at input files. Implemented by the edges: a local disk, a store. Messages are for the user and name the
/// location.
pub trait Probe {
    /// What stands at the URI; `None` if nothing does. Symbolic links are followed.
    fn look(&mut self, location: &str) -> Result<Option<Kind>, String>;

    /// The first `limit` bytes of the file at the URI, or all of it if it is shorter.
    fn read(&mut self, location: &str, limit: u64) -> Result<Vec<u8>, String>;

    /// Names and kinds of the members of the directory at the URI, in any order.
    fn list(&mut self, location: &str) -> Result<Vec<(String, Kind)>, String>;

    /// Whether a file of format `found` serves where `wanted` is asked for; both are IRIs that differ. Without
    /// [`Ontology`](crate::ontology::Ontology) nothing does.
    fn is_format(&mut self, found: &str, wanted: &str) -> Result<bool, String> {
        let _ = (found, wanted);
        Ok(false)
    }
}

/// What something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A file of that many bytes.
    File(u64),
    /// A directory.
    Directory,
}
