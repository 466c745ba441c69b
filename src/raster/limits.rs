//! Every limit of the raster steps, with its unit and its reason.

use std::time::Duration;

/// Bytes of one STAC document. Items are a few KiB, large catalogs some MiB.
pub const DOCUMENT_BYTES_MAX: u64 = 16 << 20;

/// Bytes fetched at once when a raster is opened: a COG's header with its tile tables usually fits.
pub const HEADER_FETCH_BYTES: usize = 32 << 10;

/// Bytes of one tag's values. 4 Mi tiles of 8 bytes; a corrupt count must not ask for more memory.
pub const TAG_BYTES_MAX: u64 = 32 << 20;

/// Entries of one image file directory. GDAL writes about 20.
pub const DIRECTORY_ENTRIES_MAX: u64 = 4096;

/// Image file directories followed in one file: full resolution, overviews, masks.
pub const DIRECTORIES_MAX: usize = 64;

/// Decoded bytes of one tile or strip. GDAL's largest common tile (4096 x 4096 x 4 bytes) is 64 MiB.
pub const BLOCK_BYTES_MAX: usize = 128 << 20;

/// Decoded bytes of the rows that a step holds at once (one row of tiles across the window).
pub const ROWS_BYTES_MAX: usize = 512 << 20;

/// Pixels of a side of an image: GDAL's own limit (a signed 32-bit count).
pub const SIDE_PIXELS_MAX: u64 = (1 << 31) - 1;

/// Pixels of a mask. It is held in memory, one byte a pixel and band, to make its overviews.
pub const MASK_PIXELS_MAX: u64 = 2 << 30;

/// Bands of an image. Hyperspectral scenes have some hundred.
pub const BANDS_MAX: u64 = 1024;

/// Bytes of one coalesced read. Large enough that latency does not count, small beside 200 MB.
pub const FETCH_BYTES: u64 = 8 << 20;

/// Bytes between two tiles that are read rather than skipped: about one round trip at 10 MB/s.
pub const FETCH_GAP_BYTES: u64 = 64 << 10;

/// Bytes of a whole body kept in memory when a server ignores `Range`.
pub const WHOLE_BODY_BYTES_MAX: u64 = 64 << 20;

/// Redirects followed to find where an asset lies.
pub const REDIRECTS_MAX: usize = 10;

/// Requests made for the same bytes before giving up on a server that breaks off or answers 5xx.
pub const ATTEMPTS_MAX: u32 = 6;

/// Wait before the second attempt; doubled each time (0.2 + 0.4 + 0.8 + 1.6 + 3.2 s in all).
pub const BACKOFF: Duration = Duration::from_millis(200);

/// Longest wait that a `Retry-After` header may ask for.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(20);

/// Time to resolve a name and connect.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);

/// Time until the response's header, and time without a byte of its body.
pub const READ_TIMEOUT: Duration = Duration::from_mins(1);

/// Side of the tiles written, pixels: what GDAL's COG driver writes by default.
pub const TILE_PIXELS: u32 = 512;

/// Largest file written with 32-bit offsets, bytes; beyond it the file is a `BigTIFF`.
pub const CLASSIC_TIFF_BYTES_MAX: u64 = 4_000_000_000;

/// Items followed in a catalog.
pub const CATALOG_ITEMS_MAX: usize = 10_000;

/// Bytes of one single PUT to an object store (the S3 limit).
pub const PUT_BYTES_MAX: u64 = 5 << 30;

/// Longest pause: a test of a platform needs no longer one.
pub const PAUSE_MAX: Duration = Duration::from_mins(10);
