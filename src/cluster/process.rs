//! The controller of Processes.
