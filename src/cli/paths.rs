//! Paths as people read them.

use std::path::Path;

/// A path below the working directory is shown relative to it.
pub fn shown(path: &Path) -> String {
    let here = std::env::current_dir().ok();
    let below = here.as_ref().and_then(|here| path.strip_prefix(here).ok()).unwrap_or(path);
    if below.as_os_str().is_empty() { ".".to_owned() } else { below.display().to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_working_directory_has_a_name_too() {
        let here = std::env::current_dir().unwrap();
        assert_eq!((shown(&here), shown(&here.join("a/b"))), (".".to_owned(), "a/b".to_owned()));
        assert_eq!(shown(Path::new("/elsewhere")), "/elsewhere");
    }
}
