//! What can go wrong, each as a sentence that somebody can act on.

use std::io;
use std::path::{Path, PathBuf};

/// An error of the audio journal.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The text is not a ULID.
    #[error("{0:?} is not a track id; expected a ULID of 26 characters")]
    BadTrackId(String),
    /// The operating system refused something.
    #[error("{what} {path}: {source}")]
    Io { what: &'static str, path: PathBuf, source: io::Error },
    /// Another process holds the journal.
    #[error("the journal {0} belongs to another running process; stop that one first")]
    Locked(PathBuf),
    /// A key file that others can read.
    #[error("the key file {path} has mode {mode:o}; make it readable by its owner only (chmod 600)")]
    LooseKey { path: PathBuf, mode: u32 },
    /// The host key does not fit, is missing or has a wrong length.
    #[error("the host key {path} {why}")]
    HostKey { path: PathBuf, why: &'static str },
    /// A setting makes no sense.
    #[error("{0}")]
    BadConfig(String),
    /// No disk space, or the watermark is reached.
    #[error("the journal takes no new track: {0}")]
    NoSpace(String),
    /// More waits for the disk than is sound.
    #[error("the journal takes no new track: {0}")]
    Behind(String),
    /// More tracks than one journal carries.
    #[error("the journal holds {0} tracks, its bound; release what is archived")]
    TooManyTracks(usize),
    /// A header, statistics or mark that is too long.
    #[error("{what} has {bytes} bytes; at most {limit} are kept")]
    TooLong { what: &'static str, bytes: usize, limit: usize },
    /// The track is there already.
    #[error("track {0} exists already")]
    TrackExists(crate::TrackId),
    /// No such track, or it was released or shredded.
    #[error("the journal knows no track {0}; it was released, shredded or never opened")]
    UnknownTrack(crate::TrackId),
    /// The track's end was not written yet.
    #[error("track {0} is still open; ask for a partial extraction to read what is there")]
    StillOpen(crate::TrackId),
    /// Its key cannot be read any more.
    #[error("the key of track {0} is damaged; its audio cannot be read")]
    KeyDamaged(crate::TrackId),
    /// Something stored is not what was written.
    #[error("{path} is damaged at byte {offset}: {why}")]
    Damaged { path: PathBuf, offset: u64, why: String },
    /// The journal was closed.
    #[error("the journal is closed")]
    Closed,
}

impl JournalError {
    pub(crate) fn io(what: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { what, path: path.to_path_buf(), source }
    }
}
