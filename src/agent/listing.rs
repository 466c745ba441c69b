//! What stands in the output directory, for the operator's globs.

use std::fs;
use std::path::Path;

use weir_api::agent::{EntryKind, ListedEntry, Listing};
use weir_api::limits::{LISTING_DEPTH_MAX, LISTING_ENTRIES_MAX};

use crate::outdir::OutDir;

/// Lists the directory. What cannot be read, and what is beyond the limits, is said in [`Listing::incomplete`].
pub fn list(outdir: &OutDir) -> Listing {
    let mut walk = Walk { outdir, listing: Listing::default() };
    walk.folder(outdir.root(), "", 1);
    walk.listing.entries.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    walk.listing
}

struct Walk<'a> {
    outdir: &'a OutDir,
    listing: Listing,
}

impl Walk<'_> {
    fn incomplete(&mut self, why: String) {
        self.listing.incomplete.get_or_insert(why);
    }

    fn folder(&mut self, folder: &Path, relative: &str, depth: usize) {
        if depth > LISTING_DEPTH_MAX {
            return self.incomplete(format!("`{relative}` is deeper than {LISTING_DEPTH_MAX} directories"));
        }
        let members = match fs::read_dir(folder) {
            Ok(members) => members,
            Err(error) => return self.incomplete(format!("cannot list `{}`: {error}", folder.display())),
        };
        for member in members {
            let member = match member {
                Ok(member) => member,
                Err(error) => return self.incomplete(format!("cannot list `{}`: {error}", folder.display())),
            };
            if self.listing.entries.len() >= LISTING_ENTRIES_MAX {
                return self.incomplete(format!("the output directory has more than {LISTING_ENTRIES_MAX} entries"));
            }
            let name = member.file_name();
            let Some(name) = name.to_str() else {
                self.incomplete(format!("the name `{}` is not UTF-8", name.to_string_lossy()));
                continue;
            };
            let path = if relative.is_empty() { name.to_owned() } else { format!("{relative}/{name}") };
            // Of the member itself: a link is not followed.
            let metadata = match member.metadata() {
                Ok(metadata) => metadata,
                Err(error) => {
                    self.incomplete(format!("cannot look at `{path}`: {error}"));
                    continue;
                }
            };
            let kind = if metadata.is_symlink() {
                let Some(target) = self.outdir.resolve(&path) else { continue };
                EntryKind::Link(target)
            } else if metadata.is_dir() {
                EntryKind::Directory {}
            } else if metadata.is_file() {
                EntryKind::File { size: metadata.len() }
            } else {
                continue;
            };
            self.listing.entries.push(ListedEntry { path: path.clone(), kind });
            if metadata.is_dir() {
                self.folder(&member.path(), &path, depth + 1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::os::unix::fs::symlink;

    use weir_api::agent::LinkTarget;

    use super::*;

    #[test]
    fn entries_are_sorted_and_links_are_not_entered() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        fs::create_dir(root.join("b")).unwrap();
        fs::write(root.join("b/c"), "12").unwrap();
        fs::write(root.join("a"), "").unwrap();
        symlink("b", root.join("z")).unwrap();
        symlink("/usr", root.join("y")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
        let listing = list(&OutDir::new(root, HashSet::new()));
        let entry = |path: &str, kind| ListedEntry { path: path.to_owned(), kind };
        assert_eq!(
            listing.entries,
            [
                entry("a", EntryKind::File { size: 0 }),
                entry("b", EntryKind::Directory {}),
                entry("b/c", EntryKind::File { size: 2 }),
                entry("y", EntryKind::Link(LinkTarget::Outside("/usr".to_owned()))),
                entry("z", EntryKind::Link(LinkTarget::Inside("b".to_owned()))),
            ]
        );
        assert_eq!(listing.incomplete, None);
    }

    #[test]
    fn a_directory_that_is_too_deep_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("d/".repeat(LISTING_DEPTH_MAX + 1))).unwrap();
        let listing = list(&OutDir::new(root, HashSet::new()));
        assert!(listing.incomplete.unwrap().contains("deeper than 64"));
        assert_eq!(listing.entries.len(), LISTING_DEPTH_MAX);
    }
}
