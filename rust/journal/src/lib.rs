//! The audio journal.
