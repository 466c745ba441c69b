//! Documents of our own, one for each trap.

mod documents;
mod meaning;
mod refusals;
