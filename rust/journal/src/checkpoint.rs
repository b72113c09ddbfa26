//! The table of unreleased tracks that opens every segment.

/// Bytes of one track in the table.
pub const ENTRY_BYTES: usize = 112;
