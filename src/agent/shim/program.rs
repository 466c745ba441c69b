//! Which program a name means, inside of the tool's container.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Where programs are if neither the order nor the image says so (as container runtimes assume).
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The value of PATH: the order's (its last one), else the image's, else the usual one.
pub(super) fn search_path(env: &[(String, String)], image: Option<String>) -> String {
    let ordered = env.iter().rev().find(|(name, _)| name == "PATH").map(|(_, path)| path.clone());
    ordered.or(image).unwrap_or_else(|| DEFAULT_PATH.to_owned())
}

/// The program that a name means: a path as seen from `cwd`, or the first executable of that name in `path`.
pub(super) fn find(name: &str, path: &str, cwd: &Path) -> io::Result<PathBuf> {
    let not_found = |message: String| io::Error::new(io::ErrorKind::NotFound, message);
    if name.contains('/') {
        let program = cwd.join(name);
        // What else is wrong with it, the kernel says best.
        return if program.exists() { Ok(program) } else { Err(not_found("there is no such file".to_owned())) };
    }
    path.split(':')
        .map(|folder| cwd.join(folder).join(name))
        .find(|program| is_executable(program))
        .ok_or_else(|| not_found(format!("it is not in PATH ({path}) of the tool's container")))
}

fn is_executable(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_orders_path_wins_over_the_images() {
        let env = [("PATH".to_owned(), "/a".to_owned()), ("PATH".to_owned(), "/b".to_owned())];
        assert_eq!(search_path(&env, Some("/image".to_owned())), "/b");
        assert_eq!(search_path(&[], Some("/image".to_owned())), "/image");
        assert_eq!(search_path(&[], None), DEFAULT_PATH);
    }

    #[test]
    fn a_name_is_looked_up_and_a_path_is_taken_from_the_working_directory() {
        assert!(find("sh", "/nothing:/bin", Path::new("/")).unwrap().ends_with("sh"));
        assert!(find("bin/sh", "", Path::new("/")).is_ok());
        let error = find("no-such-program", "/bin", Path::new("/")).unwrap_err();
        assert!(error.to_string().contains("/bin"), "{error}");
    }
}
