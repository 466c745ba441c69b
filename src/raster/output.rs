//! Files that appear whole or not at all.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::path::{Path, PathBuf};

/// A result that could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}", path.display())]
pub struct OutputError {
    /// The file or folder.
    pub path: PathBuf,
    /// Why (disk full, no permission, ...).
    pub source: io::Error,
}

impl OutputError {
    /// For `map_err`: names the file that an operation was about.
    pub fn at(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        move |source| Self { path: path.to_owned(), source }
    }
}

/// A file under a temporary name beside its place; [`OutputFile::commit`] moves it there, dropping it removes it.
pub struct OutputFile {
    file: io::BufWriter<File>,
    part: PathBuf,
    path: PathBuf,
    committed: bool,
}

impl OutputFile {
    /// Starts a file that will be `path`.
    pub fn create(path: &Path) -> Result<Self, OutputError> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".part");
        let part = path.with_file_name(name);
        let file = File::create(&part).map_err(OutputError::at(path))?;
        Ok(Self { file: io::BufWriter::with_capacity(1 << 16, file), part, path: path.to_owned(), committed: false })
    }

    /// Appends bytes.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), OutputError> {
        self.file.write_all(bytes).map_err(OutputError::at(&self.path))
    }

    /// Overwrites the start of the file, which must have been written already.
    pub fn write_start(&mut self, bytes: &[u8]) -> Result<(), OutputError> {
        self.file
            .seek(io::SeekFrom::Start(0))
            .and_then(|_| self.file.write_all(bytes))
            .and_then(|()| self.file.seek(io::SeekFrom::End(0)).map(|_| ()))
            .map_err(OutputError::at(&self.path))
    }

    /// Puts the file into its place.
    pub fn commit(mut self) -> Result<(), OutputError> {
        self.file.flush().and_then(|()| std::fs::rename(&self.part, &self.path)).map_err(OutputError::at(&self.path))?;
        self.committed = true;
        Ok(())
    }
}

impl Drop for OutputFile {
    fn drop(&mut self) {
        if !self.committed {
            // Nothing can be done about a part that cannot be removed either.
            let _ = std::fs::remove_file(&self.part);
        }
    }
}

/// Writes a whole file.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), OutputError> {
    let mut file = OutputFile::create(path)?;
    file.write(bytes)?;
    file.commit()
}

/// Makes a folder and those above it.
pub fn create_dir(path: &Path) -> Result<(), OutputError> {
    std::fs::create_dir_all(path).map_err(OutputError::at(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_uncommitted_file_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.tif");
        let mut file = OutputFile::create(&path).unwrap();
        file.write(b"half").unwrap();
        drop(file);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn the_start_can_be_written_last() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let mut file = OutputFile::create(&path).unwrap();
        file.write(b"....body").unwrap();
        file.write_start(b"head").unwrap();
        file.write(b"tail").unwrap();
        file.commit().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"headbodytail");
    }
}
