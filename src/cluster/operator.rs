//! Wires the operator together and supervises its tasks.
