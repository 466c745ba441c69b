//! What a pod's status says. Pure.
