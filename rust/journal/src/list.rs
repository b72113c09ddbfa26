//! The unreleased tracks, from the files alone.

use std::path::Path;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::catalog::{self, Catalog, Trust};
use crate::error::JournalError;
use crate::keys::{self, HostKey};

/// One line of `callward-media list`.
#[derive(Clone, Debug, serde::Serialize)]
pub struct ListedTrack {
    pub track: String,
    pub session: Value,
    /// `open` or `closed`.
    pub state: &'static str,
    pub acked_bytes: u64,
    pub meta: Value,
    pub opened_at_ns: i64,
    pub readable: bool,
}

/// Works while the owner runs.
pub fn list(journal_dir: &Path, keys_dir: &Path) -> Result<Vec<ListedTrack>, JournalError> {
    let mut attempt = 0;
    loop {
        attempt += 1;
        match list_once(journal_dir, keys_dir) {
            // The owner may take a segment away between the look at the folder and the look into the file.
            Err(JournalError::Io { .. }) if attempt < 4 => thread::sleep(Duration::from_millis(20)),
            other => return other,
        }
    }
}

fn list_once(journal_dir: &Path, keys_dir: &Path) -> Result<Vec<ListedTrack>, JournalError> {
    let host = HostKey::load(keys_dir)?;
    let ring = keys::read_ring(keys_dir, &host, keys::Wanted::All)?;
    let catalog = Catalog::load(journal_dir, host.journal_key(), &ring.keys, Trust::Crc)?;
    let mut listed = Vec::new();
    for (track, entry) in &catalog.tracks {
        let ring_key = ring.keys.get(track);
        if ring_key.is_none() && ring.damaged == 0 {
            continue;
        }
        let (path, at) = catalog::locate(journal_dir, *track, entry.header, entry.header_in_file);
        let header = match ring_key.filter(|_| !entry.header.is_nowhere()) {
            Some(ring_key) => catalog::read_frame(&path, at, *track, entry.header, &ring_key.key).ok().flatten(),
            None => None,
        };
        let mut header: Value = header.and_then(|(_, plain)| serde_json::from_slice(plain.get(8..)?).ok()).unwrap_or(Value::Null);
        let mut field = |name: &str| header.get_mut(name).map(Value::take).unwrap_or(Value::Null);
        listed.push(ListedTrack {
            track: track.to_string(),
            session: field("session"),
            state: if entry.closed { "closed" } else { "open" },
            acked_bytes: entry.position,
            meta: field("meta"),
            opened_at_ns: entry.opened_at_ns,
            readable: ring_key.is_some(),
        });
    }
    listed.sort_by(|one, other| one.track.cmp(&other.track));
    Ok(listed)
}
