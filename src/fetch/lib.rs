//! Fetching what other people's documents name: packages, imports, inputs, subscribers. Every request goes through one
//! guard ([`Guarded`]), by [`rules`] that are pure. [`Documents`] is the guard as the loader of packages wants it.

pub mod documents;
pub mod guarded;
pub mod rules;

pub use documents::Documents;
pub use guarded::{FetchFailure, FetchSettings, Fetched, GuardError, Guarded, Head};
pub use rules::{RuleError, Rules};

/// Redirects of one fetched URL. Archives need two or three; more is a loop.
pub const REDIRECTS_MAX: usize = 5;
