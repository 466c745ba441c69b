//! Documents of our own, one for each trap.

mod documents;
mod gpus;
mod meaning;
mod refusals;
