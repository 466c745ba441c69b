//! The actor of a job: observe, plan, journal, perform, show.
