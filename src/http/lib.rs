//! The OGC façade: OGC API - Processes, Part 1 (18-062r2) and Part 2 (20-044), over one port.
//!
//! The way of a request, one direction; each word is a file or folder: request -> tenant -> negotiation -> route -> a value
//! that is valid -> the [`backend`] -> a record of it -> links -> JSON or HTML. Errors are
//! problem documents all the way.
//!
//! The façade holds no state of its own: what it answers is what the backend has (invariant I4).

pub mod backend;
pub mod fetcher;
pub mod names;
