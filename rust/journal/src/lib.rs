//! The audio journal: one shared, encrypted, CRC-framed log of all tracks of a host.
//!
//! A byte that was acknowledged (its `fdatasync` returned) is never lost; the format is in docs/reference/audio-journal.md.
//! One process owns a journal ([`Journal`]); [`extract`], [`list`] and [`check`] read it from any process.
#![forbid(unsafe_code)]

mod catalog;
mod check;
mod checkpoint;
mod clock;
mod config;
mod disk;
mod error;
mod evacuate;
mod extract;
mod fault;
mod feed;
mod frame;
mod group;
mod handle;
mod housekeeping;
mod journal;
mod keys;
mod list;
mod lock;
mod pace;

mod read;
mod record;
mod recover;
mod rtp;
mod scan;
mod segments;
mod track_id;
mod upkeep;
mod writer;

pub use check::{check, CheckReport, Fault};
pub use config::JournalConfig;
pub use error::JournalError;
pub use extract::{extract, Extracted};
pub use feed::{Feed, Overflow};
pub use handle::{TrackHandle, TrackInfo, TrackSlot, TrackState};
pub use journal::{ClosedTrack, Done, Journal, JournalEvent, JournalStatus, HEADER_MAX_BYTES, STATS_MAX_BYTES};
pub use list::{list, ListedTrack};
pub use read::{read_track, TrackPart, TrackReading};
pub use record::{BlockBuffer, Record, RecordKind, Records, BLOCK_MAX_BYTES, MARK_MAX_BYTES, RECORD_HEADER_BYTES};
pub use track_id::TrackId;
