//! The settings of a journal.

use std::path::PathBuf;
use std::time::Duration;

use crate::error::JournalError;

/// Where the journal lives and how it behaves. Start from [`JournalConfig::new`] and change what differs.
#[derive(Clone, Debug)]
pub struct JournalConfig {
    /// Segments and track files. Created when absent, mode 0700.
    pub journal_dir: PathBuf,
    /// Host key and key ring. Created when absent, mode 0700.
    pub keys_dir: PathBuf,
    /// Size of one segment; 1 MiB to 1 GiB. Default 64 MiB.
    pub segment_bytes: u64,
    /// Longest time between two sync groups. Default 100 ms.
    pub sync_interval: Duration,
    /// Watermark: above this size of the journal no new track is taken. Open tracks go on. Default 64 GiB.
    pub journal_max_bytes: u64,
    /// Watermark: below this much free disk no new track is taken. Open tracks go on. Default 1 GiB.
    pub disk_reserve_bytes: u64,
    /// Bound of what was handed over and is not synced yet; beyond it packets are dropped, counted and marked. Default 512 MiB.
    pub buffer_bytes: u64,
    /// With more segments than this, the oldest are emptied into track files. Default 64.
    pub live_segments: usize,
    /// Preallocated segments kept ready. Default 2.
    pub spare_segments: usize,
}

impl JournalConfig {
    /// The defaults for these two directories.
    pub fn new(journal_dir: impl Into<PathBuf>, keys_dir: impl Into<PathBuf>) -> Self {
        Self {
            journal_dir: journal_dir.into(),
            keys_dir: keys_dir.into(),
            segment_bytes: 64 << 20,
            sync_interval: Duration::from_millis(100),
            journal_max_bytes: 64 << 30,
            disk_reserve_bytes: 1 << 30,
            buffer_bytes: 512 << 20,
            live_segments: 64,
            spare_segments: 2,
        }
    }

    /// How many unreleased tracks one journal carries: their table must fit a quarter of a segment.
    pub fn max_tracks(&self) -> usize {
        (self.segment_bytes / 4) as usize / crate::checkpoint::ENTRY_BYTES
    }

    pub(crate) fn check(&self) -> Result<(), JournalError> {
        let refuse = |why: &str| Err(JournalError::BadConfig(why.to_owned()));
        if !(1 << 20..=1 << 30).contains(&self.segment_bytes) || !self.segment_bytes.is_multiple_of(4096) {
            return refuse("segment_bytes must be a multiple of 4096 from 1048576 to 1073741824");
        }
        if self.sync_interval < Duration::from_millis(1) || self.sync_interval > Duration::from_secs(10) {
            return refuse("sync_interval must be from 1 ms to 10 s");
        }
        if self.live_segments < 2 || self.spare_segments < 1 || self.buffer_bytes < 1 << 20 {
            return refuse("live_segments must be at least 2, spare_segments at least 1 and buffer_bytes at least 1 MiB");
        }
        Ok(())
    }
}
