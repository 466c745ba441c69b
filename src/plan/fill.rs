//! What `Action::Load` asks for: contents and listings that a step's expressions need (CWL v1.2, "loadContents",
//! "loadListing"), and sizes. The files themselves are the probe's matter.

use weir_api::limits::{DOCUMENT_DEPTH_MAX, LOAD_CONTENTS_BYTES_MAX};
use weir_cwl::command::{Kind, Probe, text_of};
use weir_cwl::document::CwlVersion;
use weir_cwl::schema::LoadListing;
use weir_cwl::uri;
use weir_cwl::{Directory, Entry, File, Value};

use crate::action::Load;

impl Load {
    /// The value with `contents`, `listing` and sizes filled in as far as the probe sees them; the message names the
    /// file.
    pub fn fill(&self, probe: &mut dyn Probe) -> Result<Value, String> {
        let depth = match self.listing {
            LoadListing::No => 0,
            LoadListing::Shallow => 1,
            LoadListing::Deep => DOCUMENT_DEPTH_MAX,
        };
        Value::clone(&self.value).map_entries(&mut |entry| {
            Ok(match entry {
                Entry::File(mut file) => {
                    if let (None, Some(location)) = (file.size, file.location.as_deref()) {
                        file.size = match probe.look(location) {
                            Ok(Some(Kind::File(size))) => Some(size),
                            _ => None,
                        };
                    }
                    if self.contents && file.contents.is_none() {
                        file.contents = Some(contents(&file, self.version, probe)?);
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
    use std::sync::Arc;

    use super::*;
    use crate::InstancePath;
    use crate::event::Slot;

    /// `dir` holds `a b` (1 byte) and the folder `sub`, which holds `c` (2 bytes); `long` begins with one byte, then come
    /// characters of two.
    struct Files;

    impl Probe for Files {
        fn look(&mut self, location: &str) -> Result<Option<Kind>, String> {
            Ok((location == "x:/long").then_some(Kind::File(80_001)))
        }

        fn read(&mut self, location: &str, limit: u64) -> Result<Vec<u8>, String> {
            let mut bytes = match location {
                "x:/long" => format!("a{}", "\u{e9}".repeat(40_000)).into_bytes(),
                other => return Err(format!("no such file: {other}")),
            };
            bytes.truncate(usize::try_from(limit).unwrap());
            Ok(bytes)
        }

        fn list(&mut self, location: &str) -> Result<Vec<(String, Kind)>, String> {
            Ok(match location.trim_end_matches('/') {
                "x:/dir" => vec![("sub".to_owned(), Kind::Directory), ("a b".to_owned(), Kind::File(1))],
                "x:/dir/sub" => vec![("c".to_owned(), Kind::File(2))],
                other => return Err(format!("no such directory: {other}")),
            })
        }
    }

    fn load(text: &str, contents: bool, listing: LoadListing, version: CwlVersion) -> Result<String, String> {
        let value = Arc::new(serde_json::from_str(text).unwrap());
        let load = Load { instance: InstancePath::default(), slot: Slot::When, value, contents, listing, version };
        load.fill(&mut Files).map(|value| weir_cwl::json::compact(&value))
    }

    const LONG: &str = r#"{"class": "File", "location": "x:/long"}"#;

    #[test]
    fn contents_cut_within_a_character_are_text() {
        let text = load(LONG, true, LoadListing::No, CwlVersion::V1_0).unwrap();
        assert_eq!(text.matches('\u{e9}').count() as u64, (LOAD_CONTENTS_BYTES_MAX - 1) / 2);
    }

    #[test]
    fn contents_that_are_too_long_or_missing_name_the_file() {
        let message = load(LONG, true, LoadListing::No, CwlVersion::V1_2).unwrap_err();
        assert_eq!(message, "loadContents: `x:/long` is larger than 65536 bytes (64 KiB)");
        let nothing = r#"{"class": "File", "location": "x:/nothing"}"#;
        let message = load(nothing, true, LoadListing::No, CwlVersion::V1_2).unwrap_err();
        assert_eq!(message, "no such file: x:/nothing");
    }

    #[test]
    fn listings_are_sorted_and_as_deep_as_asked() {
        let directory = r#"{"class": "Directory", "location": "x:/dir/"}"#;
        let listed = |listing| load(directory, false, listing, CwlVersion::V1_2).unwrap();
        insta::assert_snapshot!(listed(LoadListing::Shallow), @r#"{"class":"Directory","location":"x:/dir/","listing":[{"class":"File","location":"x:/dir/a%20b","basename":"a b","size":1},{"class":"Directory","location":"x:/dir/sub","basename":"sub"}]}"#);
        insta::assert_snapshot!(listed(LoadListing::Deep), @r#"{"class":"Directory","location":"x:/dir/","listing":[{"class":"File","location":"x:/dir/a%20b","basename":"a b","size":1},{"class":"Directory","location":"x:/dir/sub","basename":"sub","listing":[{"class":"File","location":"x:/dir/sub/c","basename":"c","size":2}]}]}"#);
    }
}
