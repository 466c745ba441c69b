//! Limits of the loader and its messages, each with its unit and reason. Those that other parts share are in
//! `weir_api::limits`.

use weir_api::limits::DOCUMENT_BYTES_MAX;

/// Nodes of one YAML document, and of all of one package, after aliases are expanded: 100,000 Files to scatter over have
/// 300,000. One takes some 150 bytes of memory; the largest public EO package has 10,000.
pub const YAML_NODES_MAX: usize = 500_000;

/// Bytes of all texts of one package: a package of the largest size may import as much again.
pub const PACKAGE_BYTES_MAX: usize = 2 * DOCUMENT_BYTES_MAX;
/// Texts that import each other in a row. Each may be nested as deep as a document may be, and all of it is one tree.
pub const IMPORT_DEPTH_MAX: usize = 8;
/// Types that one package may consist of after references are followed: types that refer to types grow without bound.
pub const TYPES_MAX: usize = 20_000;
/// Named types that refer to each other in a row; the resolved type is one tree.
pub const TYPE_DEPTH_MAX: usize = 64;
/// Characters of `[]` and `?` behind a type's name.
pub const TYPE_SUFFIX_MAX: usize = 32;
/// Messages that one load or check collects: nobody reads more.
pub const MESSAGES_MAX: usize = 100;
/// Characters of a source line that a message shows at most.
pub const LINE_SHOWN_MAX: usize = 160;
/// Messages about one input object; who has more mistakes than that has one.
pub const INPUT_ERRORS_MAX: usize = 50;
/// Known names that are compared; a document with more gets no suggestion for the rest.
pub const NAMES_COMPARED_MAX: usize = 1000;
/// Names that a message lists.
pub const NAMES_LISTED_MAX: usize = 20;
