//! A folder of its own for each test, and the program run in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

/// A working directory that is removed at the end.
pub struct Workshop {
    folder: TempDir,
}

/// What a run of the program left.
pub struct Done {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Workshop {
    pub fn new() -> Self {
        Self { folder: tempfile::Builder::new().prefix("weir-it-").tempdir().unwrap() }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file and gives its path.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// The program, to be started in the folder.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
        command.args(arguments).current_dir(self.path()).env_remove("WEIR_STATE_DIR");
        command
    }

    pub fn weir(&self, arguments: &[&str]) -> Done {
        Done::of(self.command(arguments).output().unwrap(), self.path())
    }

    /// Runs and demands success.
    pub fn weir_ok(&self, arguments: &[&str]) -> Done {
        let done = self.weir(arguments);
        assert_eq!(done.code, Some(0), "weir {arguments:?}\n{}{}", done.stdout, done.stderr);
        done
    }
}

impl Done {
    fn of(output: Output, folder: &Path) -> Self {
        let text = |bytes: Vec<u8>| {
            let folder = folder.canonicalize().unwrap();
            String::from_utf8(bytes).unwrap().replace(folder.to_str().unwrap(), "FOLDER")
        };
        Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// stdout as one JSON document.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }
}

/// A file of the repository. Cargo runs tests in the folder of their package; a path that is compiled in may be that of
/// another clone, with which this one shares its builds.
pub fn repository(path: &str) -> PathBuf {
    std::env::current_dir().unwrap().join(path)
}
