//! The journal as its owner sees it.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::Sender;

use crate::config::JournalConfig;
use crate::error::JournalError;
use crate::feed::{Block, Feed};
use crate::handle::{TrackHandle, TrackInfo};
use crate::TrackId;

/// Called once, on the writer's thread, when the operation is durable or has failed. Keep it short: send a message, wake an event loop.
pub type Done<T> = Box<dyn FnOnce(Result<T, JournalError>) + Send>;

/// What the journal reports by itself, on the writer's thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JournalEvent {
    /// New tracks are taken, or not (disk watermark, or the writer is behind). Sent when it changes.
    Able { able: bool, why: String },
}

/// A picture of the journal's state.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JournalStatus {
    pub able: bool,
    /// Why not able; empty when able.
    pub why: String,
    /// Segments, spares and track files.
    pub journal_bytes: u64,
    /// Free disk below the journal.
    pub free_bytes: u64,
    pub segments: usize,
    pub open_tracks: usize,
    pub unreleased_tracks: usize,
    /// Of the last 1,024 sync groups: write and `fdatasync`.
    pub sync_ms_p50: f64,
    pub sync_ms_p99: f64,
    pub sync_ms_max: f64,
    /// Sync groups so far.
    pub groups: u64,
    /// Handed over and not synced yet.
    pub buffered_bytes: u64,
    /// Age of the oldest of that.
    pub buffered_ms: u64,
    /// Packets dropped at the bound since the start.
    pub overflow_packets: u64,
    /// Packets handed over for a track that had ended.
    pub orphan_packets: u64,
}

/// What `close_track` answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClosedTrack {
    pub acked_bytes: u64,
}

pub(crate) enum Command {
    Batch { blocks: Vec<Block>, bytes: u64, back: Sender<Vec<Block>> },
}

#[derive(Debug)]
pub(crate) struct Shared {}

impl Shared {
    pub(crate) fn reserve(&self, _bytes: u64) -> bool {
        todo!()
    }
    pub(crate) fn reserve_always(&self, _bytes: u64) {
        todo!()
    }
    pub(crate) fn send(&self, _command: Command) {
        todo!()
    }
    pub(crate) fn count_overflow(&self, _packets: u64) {
        todo!()
    }
}

/// The owner's handle of the journal. Clones share; the last [`Journal::close`] or drop ends the writer after a last sync.
#[derive(Clone)]
pub struct Journal {
    shared: Arc<Shared>,
}

impl Journal {
    /// Takes the journal for this process, recovers what is there and starts the writer thread.
    /// `on_event` is called on the writer's thread. Tracks that were open get a mark `restart` each.
    pub fn open(config: JournalConfig, on_event: impl Fn(JournalEvent) + Send + 'static) -> Result<Self, JournalError> {
        let _ = (config, on_event);
        todo!()
    }

    /// A hand-over for one hot thread.
    pub fn feed(&self) -> Feed {
        Feed::new(self.shared.clone())
    }

    /// Opens a track. `header` is a JSON object of at most 16 KiB, stored encrypted: `session`, `meta`, `payload_types` go into the
    /// extracted track, the rest (ports, keys) is what the caller needs to go on after a crash.
    /// Records may be handed over at once; `done` comes when key and header are synced.
    /// Fails at once with `TrackExists`, `NoSpace`, `TooManyTracks`, `TooLong`, `Closed` (then `done` is not called).
    pub fn open_track(&self, track: TrackId, header: &[u8], done: Done<()>) -> Result<TrackHandle, JournalError> {
        let _ = (track, header, done);
        todo!()
    }

    /// Replaces the header (the whole new JSON object). `payload_types` of all headers are remembered for the extraction.
    pub fn update_track(&self, track: TrackId, header: &[u8], done: Done<()>) -> Result<(), JournalError> {
        let _ = (track, header, done);
        todo!()
    }

    /// Ends a track with its statistics (a JSON object of at most 256 KiB). Closing a closed track changes nothing and answers as before.
    pub fn close_track(&self, track: TrackId, stats: &[u8], done: Done<ClosedTrack>) -> Result<(), JournalError> {
        let _ = (track, stats, done);
        todo!()
    }

    /// The archive holds the audio: destroys the key, frees the space. Of an unknown track: done at once.
    pub fn release_track(&self, track: TrackId, done: Done<()>) -> Result<(), JournalError> {
        let _ = (track, done);
        todo!()
    }

    /// Destroys the key, also of an open track: nothing of it can be read any more once `done` is called.
    pub fn shred_track(&self, track: TrackId, done: Done<()>) -> Result<(), JournalError> {
        let _ = (track, done);
        todo!()
    }

    /// All unreleased tracks, recovered ones included.
    pub fn tracks(&self) -> Vec<TrackInfo> {
        todo!()
    }

    /// One unreleased track.
    pub fn track(&self, track: TrackId) -> Option<TrackInfo> {
        let _ = track;
        todo!()
    }

    /// The handle of an unreleased track, to go on with a recovered one.
    pub fn handle(&self, track: TrackId) -> Option<TrackHandle> {
        let _ = track;
        todo!()
    }

    /// How the journal does.
    pub fn status(&self) -> JournalStatus {
        todo!()
    }

    /// Syncs what was handed over and waits for it, at most this long. True when everything is durable.
    pub fn flush(&self, at_most: Duration) -> bool {
        let _ = at_most;
        todo!()
    }

    /// Syncs and ends the writer. Later calls answer `Closed`.
    pub fn close(&self) {
        todo!()
    }
}
