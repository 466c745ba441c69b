//! Jobs over an API server and a store in memory, with agents that play their part.

mod course;
mod ends;
mod overlap;
mod ownership;
mod world;
