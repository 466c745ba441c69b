//! What a ProcessJob's status shows. Pure.
