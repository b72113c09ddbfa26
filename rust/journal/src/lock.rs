//! One owner per journal.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::thread;
use std::time::Duration;

use rustix::fs::{flock, FlockOperation};

use crate::error::JournalError;

/// A reader that looks whether somebody owns the journal holds the lock for an instant, and an owner that was just killed may still be
/// going: try again before giving up.
const ATTEMPTS: u32 = 10;
const PAUSE: Duration = Duration::from_millis(50);

/// Makes this process the owner, for as long as the file is open.
pub(crate) fn take(journal_dir: &Path) -> Result<File, JournalError> {
    let path = journal_dir.join("lock");
    let file = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(|error| JournalError::io("cannot open", &path, error))?;
    for attempt in 1..=ATTEMPTS {
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
            return Ok(file);
        }
        if attempt < ATTEMPTS {
            thread::sleep(PAUSE);
        }
    }
    Err(JournalError::Locked(journal_dir.to_path_buf()))
}

/// Whether an owner is at work right now: then what is read may change while it is read.
pub(crate) fn in_use(journal_dir: &Path) -> bool {
    let Ok(file) = File::open(journal_dir.join("lock")) else {
        return false;
    };
    flock(&file, FlockOperation::NonBlockingLockShared).is_err()
}
