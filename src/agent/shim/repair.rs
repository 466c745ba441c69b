//! Makes what a tool left behind readable for the agent, which may be another user of the same group.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use weir_api::limits::{LISTING_DEPTH_MAX, LISTING_ENTRIES_MAX};

/// Gives owner and group the right to read files and to search directories below `folder`. Best effort: where it fails,
/// the agent says what it cannot read. Links are not followed.
pub(super) fn group_access(folder: &Path) {
    let mut left = LISTING_ENTRIES_MAX;
    repair(folder, LISTING_DEPTH_MAX, &mut left);
}

fn repair(folder: &Path, depth: usize, left: &mut usize) {
    if depth == 0 {
        return;
    }
    for member in fs::read_dir(folder).into_iter().flatten().flatten() {
        if *left == 0 {
            return;
        }
        *left -= 1;
        let Ok(metadata) = member.metadata() else { continue };
        let needed = if metadata.is_dir() {
            0o770
        } else if metadata.is_file() {
            0o440
        } else {
            continue;
        };
        let mode = metadata.permissions().mode();
        if mode & needed != needed {
            let _ = fs::set_permissions(member.path(), fs::Permissions::from_mode(mode | needed));
        }
        if metadata.is_dir() {
            repair(&member.path(), depth - 1, left);
        }
    }
}
