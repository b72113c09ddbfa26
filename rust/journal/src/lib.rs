//! The audio journal: one shared, encrypted, CRC-framed log of all tracks of a host.
//!
//! A byte that was acknowledged (its `fdatasync` returned) is never lost; the format is in docs/reference/audio-journal.md.
//! One process owns a journal ([`Journal`]); [`extract`], [`list`] and [`check`] read it from any process.
#![forbid(unsafe_code)]

mod check;
mod checkpoint;
mod config;
mod error;
mod extract;
mod feed;
mod handle;
mod journal;
mod list;
mod record;
mod track_id;

pub use check::{check, CheckReport, Fault};
pub use config::JournalConfig;
pub use error::JournalError;
pub use extract::{extract, Extracted};
pub use feed::{Feed, Overflow};
pub use handle::{TrackHandle, TrackInfo, TrackSlot, TrackState};
pub use journal::{ClosedTrack, Done, Journal, JournalEvent, JournalStatus};
pub use list::{list, ListedTrack};
pub use record::{BlockBuffer, Record, RecordKind, Records, BLOCK_MAX_BYTES, MARK_MAX_BYTES, RECORD_HEADER_BYTES};
pub use track_id::TrackId;
