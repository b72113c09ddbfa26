//! The names of the journal's files, and what a directory holds of them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::JournalError;
use crate::TrackId;

/// Where segments and spares are.
pub(crate) fn segments_dir(journal_dir: &Path) -> PathBuf {
    journal_dir.join("segments")
}

/// Where track files are.
pub(crate) fn tracks_dir(journal_dir: &Path) -> PathBuf {
    journal_dir.join("tracks")
}

/// The file of a segment.
pub(crate) fn segment_path(journal_dir: &Path, segment: u64) -> PathBuf {
    segments_dir(journal_dir).join(format!("{segment:020}.seg"))
}

/// A preallocated or used-up segment that waits for work.
pub(crate) fn spare_path(journal_dir: &Path, number: u64) -> PathBuf {
    segments_dir(journal_dir).join(format!("{number:020}.spare"))
}

/// The blocks of one track that were taken out of old segments.
pub(crate) fn track_path(journal_dir: &Path, track: TrackId) -> PathBuf {
    tracks_dir(journal_dir).join(format!("{track}.trk"))
}

/// The files of a journal at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Listing {
    /// Ascending.
    pub(crate) segments: Vec<u64>,
    pub(crate) spares: Vec<u64>,
    /// With their lengths in bytes.
    pub(crate) track_files: Vec<(TrackId, u64)>,
}

fn entries(folder: &Path) -> Result<Vec<(String, u64)>, JournalError> {
    let mut found = Vec::new();
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
        Err(error) => return Err(JournalError::io("cannot list", folder, error)),
    };
    for entry in entries {
        let entry = entry.map_err(|error| JournalError::io("cannot list", folder, error))?;
        // A file may be removed while we look: then it is not there.
        let Ok(metadata) = entry.metadata() else {
            continue;
        };
        if let Ok(name) = entry.file_name().into_string() {
            found.push((name, metadata.len()));
        }
    }
    Ok(found)
}

fn number_of(name: &str, suffix: &str) -> Option<u64> {
    let digits = name.strip_suffix(suffix)?;
    (digits.len() == 20).then(|| digits.parse().ok()).flatten()
}

/// Lists what is there. Foreign files are left alone.
pub(crate) fn list_files(journal_dir: &Path) -> Result<Listing, JournalError> {
    let mut listing = Listing::default();
    for (name, _) in entries(&segments_dir(journal_dir))? {
        if let Some(number) = number_of(&name, ".seg") {
            listing.segments.push(number);
        } else if let Some(number) = number_of(&name, ".spare") {
            listing.spares.push(number);
        }
    }
    for (name, length) in entries(&tracks_dir(journal_dir))? {
        if let Some(track) = name.strip_suffix(".trk").and_then(|text| text.parse().ok()) {
            listing.track_files.push((track, length));
        }
    }
    listing.segments.sort_unstable();
    listing.track_files.sort_unstable();
    Ok(listing)
}
