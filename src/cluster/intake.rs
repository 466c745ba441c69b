//! A ProcessJob becomes a pinned job, validated once.
