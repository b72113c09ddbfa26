//! What a caller holds of a track, and what it can ask of it at any time.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Arc;

use crate::TrackId;

/// The place of a track in the writer's table: cheap to copy, for hot code. A slot of a released track is harmless: what is handed over for it is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TrackSlot {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

/// An open or closed track of this journal. Clones share.
#[derive(Clone, Debug)]
pub struct TrackHandle {
    pub(crate) shared: Arc<TrackShared>,
}

#[derive(Debug)]
pub(crate) struct TrackShared {
    pub(crate) track: TrackId,
    pub(crate) slot: TrackSlot,
    /// Bytes of records that were there when this process opened the journal.
    pub(crate) recovered: u64,
    pub(crate) acked: AtomicU64,
    pub(crate) ended: AtomicBool,
}

impl TrackHandle {
    /// Its name.
    pub fn track(&self) -> TrackId {
        self.shared.track
    }

    /// For [`crate::Feed::take`].
    pub fn slot(&self) -> TrackSlot {
        self.shared.slot
    }

    /// Bytes of records (their headers included) that stand in the journal with `fdatasync` returned. Never shrinks.
    pub fn acked_bytes(&self) -> u64 {
        self.shared.acked.load(Ordering::Acquire)
    }

    /// Bytes of records that were found when this process opened the journal, without its mark `restart`; 0 for a new track.
    pub fn recovered_bytes(&self) -> u64 {
        self.shared.recovered
    }

    /// Closed, released or shredded.
    pub fn ended(&self) -> bool {
        self.shared.ended.load(Ordering::Acquire)
    }
}

/// Whether the end of a track was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrackState {
    Open,
    Closed,
}

/// A picture of one unreleased track.
#[derive(Clone, Debug)]
pub struct TrackInfo {
    pub track: TrackId,
    pub state: TrackState,
    /// The latest header (JSON) given to `open_track` or `update_track`; empty when its key is damaged.
    pub header: Arc<[u8]>,
    /// The statistics (JSON) given to `close_track`; empty while open.
    pub stats: Arc<[u8]>,
    pub acked_bytes: u64,
    /// It was found in the journal when this process opened it.
    pub recovered: bool,
    /// False: the key cannot be read any more; all that can be done is to release the track.
    pub readable: bool,
    /// UTC.
    pub opened_at_ns: i64,
}
