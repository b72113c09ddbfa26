//! The unreleased tracks, from the files alone.

use std::path::Path;

use crate::error::JournalError;

/// One line of `callward-media list`.
#[derive(Clone, Debug, serde::Serialize)]
pub struct ListedTrack {
    pub track: String,
    pub session: serde_json::Value,
    /// `open` or `closed`.
    pub state: &'static str,
    pub acked_bytes: u64,
    pub meta: serde_json::Value,
    pub opened_at_ns: i64,
    pub readable: bool,
}

/// Works while the owner runs.
pub fn list(journal_dir: &Path, keys_dir: &Path) -> Result<Vec<ListedTrack>, JournalError> {
    let _ = (journal_dir, keys_dir);
    todo!()
}
