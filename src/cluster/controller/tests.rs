//! Jobs over an API server and a store in memory, with agents that play their part.

mod course;
mod ends;
mod moment;
mod ownership;
mod publishing;
mod world;
