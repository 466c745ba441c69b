//! Input objects.
