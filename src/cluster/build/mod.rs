//! Pods from launches. Pure.
