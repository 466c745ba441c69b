//! Contents and listings that a step's expressions need (CWL v1.2, "loadContents", "loadListing").

use weir_api::limits::{DOCUMENT_DEPTH_MAX, LOAD_CONTENTS_BYTES_MAX};
use weir_cwl::command::{Kind, Probe, text_of};
use weir_cwl::document::CwlVersion;
use weir_cwl::schema::LoadListing;
use weir_cwl::uri;
use weir_cwl::{Directory, Entry, File, Value};
use weir_plan::action::Load;

/// The value of `load` with `contents` and `listing` filled in; the message names the file.
pub fn load(load: &Load, probe: &mut dyn Probe) -> Result<Value, String> {
    let depth = match load.listing {
        LoadListing::No => 0,
        LoadListing::Shallow => 1,
        LoadListing::Deep => DOCUMENT_DEPTH_MAX,
    };
    Value::clone(&load.value).map_entries(&mut |entry| {
        Ok(match entry {
            Entry::File(mut file) => {
                if let (None, Some(location)) = (file.size, file.location.as_deref()) {
                    file.size = match probe.look(location) {
                        Ok(Some(Kind::File(size))) => Some(size),
                        _ => None,
                    };
                }
                if load.contents && file.contents.is_none() {
                    file.contents = Some(contents(&file, load.version, probe)?);
                }
                Entry::File(file)
            }
            Entry::Directory(mut directory) => {
                list(&mut directory, depth, probe)?;
                Entry::Directory(directory)
            }
        })
    })
}

fn contents(file: &File, version: CwlVersion, probe: &mut dyn Probe) -> Result<String, String> {
    let location = file.location.as_deref().ok_or("loadContents: a File has neither location nor contents")?;
    let limit = LOAD_CONTENTS_BYTES_MAX;
    let mut bytes = probe.read(location, limit + 1)?;
    let is_cut = bytes.len() as u64 > limit;
    if is_cut {
        if version >= CwlVersion::V1_2 {
            return Err(format!("loadContents: `{location}` is larger than {limit} bytes (64 KiB)"));
        }
        bytes.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    }
    text_of(bytes, is_cut).ok_or_else(|| format!("loadContents: `{location}` is not UTF-8 text"))
}

fn list(directory: &mut Directory, depth: usize, probe: &mut dyn Probe) -> Result<(), String> {
    let Some(location) = directory.location.as_deref().filter(|_| depth > 0 && directory.listing.is_none()) else {
        return Ok(());
    };
    let mut members = probe.list(location)?;
    members.sort_unstable();
    let base = location.trim_end_matches('/');
    let mut listing = Vec::with_capacity(members.len());
    for (name, kind) in members {
        let location = Some(format!("{base}/{}", uri::encode_path(&name)));
        let basename = Some(name);
        listing.push(match kind {
            Kind::File(size) => Entry::File(File { location, basename, size: Some(size), ..File::default() }),
            Kind::Directory => {
                let mut inner = Directory { location, basename, ..Directory::default() };
                list(&mut inner, depth - 1, probe)?;
                Entry::Directory(inner)
            }
        });
    }
    directory.listing = Some(listing);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::files::LocalFiles;

    #[test]
    fn contents_cut_within_a_character_are_text() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("long");
        fs::write(&path, format!("a{}", "\u{e9}".repeat(40_000))).unwrap();
        let file = File { location: path.to_str().map(str::to_owned), ..File::default() };
        let text = contents(&file, CwlVersion::V1_0, &mut LocalFiles).unwrap();
        assert_eq!(text.len() as u64, LOAD_CONTENTS_BYTES_MAX - 1);
    }
}
