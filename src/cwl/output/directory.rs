//! What collecting outputs must see of the output directory.

/// A tool's output directory after the tool ended. Paths are relative to it, with `/` between segments and no `.` or
/// `..`; the empty path is the directory itself. Messages are for the user.
pub trait OutputDirectory {
    /// Names of the members of a directory, in any order.
    fn list(&mut self, directory: &str) -> Result<Vec<String>, String>;

    /// What stands at a path; `None` if nothing does (a dangling symbolic link is nothing).
    fn look(&mut self, path: &str) -> Result<Option<Found>, String>;

    /// The first `limit` bytes of a file, or all of it if it is shorter.
    fn read(&mut self, path: &str, limit: u64) -> Result<Vec<u8>, String>;

    /// `sha1$<hex>` of a file, if the directory can tell.
    fn checksum(&mut self, path: &str) -> Result<Option<String>, String> {
        let _ = path;
        Ok(None)
    }
}

/// Something in the output directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What it is, symbolic links followed.
    pub kind: crate::command::Kind,
    /// Its URI.
    pub location: String,
    /// If a symbolic link on the way leads out of the output directory: the absolute path where it really is, in the
    /// tool's eyes.
    pub elsewhere: Option<String>,
}
