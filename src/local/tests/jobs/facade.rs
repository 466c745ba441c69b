//! The façade's embedded backend with real processes: what is accepted is found and finished, tenants do not meet, what
//! is dismissed stops.

mod course;
mod durable;
mod many;
mod world;

use libtest_mimic::Trial;

pub use durable::{SERVER, server_main};

pub fn trials() -> Vec<Trial> {
    [course::trials(), durable::trials(), many::trials()].into_iter().flatten().collect()
}
