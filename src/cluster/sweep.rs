//! Removes what no object has named for a day.
