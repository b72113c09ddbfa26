//! A track as a `CWTRACK1` file (docs/reference/media-protocol.md).

use std::path::Path;

use crate::error::JournalError;
use crate::TrackId;

/// What an extraction wrote.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Extracted {
    pub track: String,
    pub packets: u64,
    pub payload_bytes: u64,
    pub complete: bool,
    /// SHA-256 (hex) of the packet table and the payload area.
    pub sha256: String,
}

/// Writes `output` (by a temporary file beside it and a rename). Works from the files alone, also while the owner runs.
/// An open track is refused with `StillOpen` unless `partial`.
pub fn extract(journal_dir: &Path, keys_dir: &Path, track: TrackId, output: &Path, partial: bool) -> Result<Extracted, JournalError> {
    let _ = (journal_dir, keys_dir, track, output, partial);
    todo!()
}
