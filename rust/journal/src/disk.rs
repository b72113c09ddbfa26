//! The one place that changes files: every write, sync, rename and removal of the journal goes through here.
//!
//! An error of a sync, or a write that fails for another reason than a full disk, ends the process at once: after a failed `fsync` the
//! kernel may have dropped the pages, so a second one that "succeeds" proves nothing. The next start recovers from what was synced.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::error::JournalError;
#[cfg(feature = "faults")]
use crate::fault;

/// Ends the process: what happens next cannot be trusted.
pub(crate) fn die(what: &str, path: &Path, error: &io::Error) -> ! {
    eprintln!("callward journal: {what} {}: {error}; stopping now so that nothing is acknowledged that is not stored", path.display());
    std::process::abort();
}

/// The disk (or the quota) is full: wait, do not die.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(28) | Some(122))
}

/// A file that the journal writes.
#[derive(Debug)]
pub(crate) struct DiskFile {
    file: File,
    path: PathBuf,
}

impl DiskFile {
    /// Opens for reading and writing, creating it (mode 0600) when absent.
    pub(crate) fn open(path: &Path) -> Result<Self, JournalError> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(|error| JournalError::io("cannot open", path, error))?;
        Ok(Self { file, path: path.to_path_buf() })
    }

    pub(crate) fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// Writes all of it, or reports that the disk is full. Writing the same again later is safe.
    pub(crate) fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        #[cfg(feature = "faults")]
        {
            fault::before_write()?;
            power::wrote(self, bytes.len(), offset);
        }
        match self.file.write_all_at(bytes, offset) {
            Ok(()) => Ok(()),
            Err(error) if is_full(&error) => Err(error),
            Err(error) => die("cannot write", &self.path, &error),
        }
    }

    /// Reserves and keeps space for `bytes` bytes.
    pub(crate) fn allocate(&self, bytes: u64) -> io::Result<()> {
        #[cfg(feature = "faults")]
        fault::before_write()?;
        match rustix::fs::fallocate(&self.file, rustix::fs::FallocateFlags::empty(), 0, bytes) {
            Ok(()) => Ok(()),
            // A file system without preallocation: the length is all it can do.
            Err(rustix::io::Errno::OPNOTSUPP) => self.file.set_len(bytes),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Cuts the file; the caller syncs.
    pub(crate) fn truncate(&self, bytes: u64) {
        if let Err(error) = self.file.set_len(bytes) {
            die("cannot cut", &self.path, &error);
        }
    }

    /// `fdatasync`. When it returns, everything written before is on the disk.
    pub(crate) fn sync(&self) {
        #[cfg(feature = "faults")]
        if let Err(error) = fault::before_sync() {
            power::failed(self);
            if fault::mutant("retry_fsync") {
                return self.sync();
            }
            die("cannot sync", &self.path, &error);
        }
        if let Err(error) = self.file.sync_data() {
            die("cannot sync", &self.path, &error);
        }
        #[cfg(feature = "faults")]
        power::synced(self);
    }
}

/// Makes the names in a folder durable.
pub(crate) fn sync_folder(folder: &Path) {
    if let Err(error) = File::open(folder).and_then(|file| file.sync_all()) {
        die("cannot sync", folder, &error);
    }
    #[cfg(feature = "faults")]
    power::folder_synced(folder);
}

/// Renames inside one folder; durable after [`sync_folder`].
pub(crate) fn rename(from: &Path, to: &Path) {
    if let Err(error) = fs::rename(from, to) {
        die("cannot rename", from, &error);
    }
    #[cfg(feature = "faults")]
    power::renamed(from, to);
}

/// Removes a file; that it is gone already is fine.
pub(crate) fn remove(path: &Path) {
    match fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => die("cannot remove", path, &error),
    }
}

/// Creates a folder (mode 0700) when absent.
pub(crate) fn create_folder(path: &Path) -> Result<(), JournalError> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|error| JournalError::io("cannot create", path, error))
}

/// Free bytes for this process on the file system of `path`.
pub(crate) fn free_bytes(path: &Path) -> u64 {
    rustix::fs::statvfs(path).map_or(0, |stat| stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// What a power loss would undo: a log of unsynced writes with what stood there before, of syncs, of failed syncs and of renames.
///
/// Each entry is `u8 letter, u16 length and path`, then for `W` `u64 offset, u32 length, u32 length of the old bytes, old bytes`, for `R` the second path.
#[cfg(feature = "faults")]
mod power {
    use super::DiskFile;
    use std::fs::{File, OpenOptions};
    use std::io::Write;
    use std::os::unix::fs::FileExt;
    use std::path::Path;
    use std::sync::{Mutex, OnceLock};

    fn log() -> Option<&'static Mutex<File>> {
        static LOG: OnceLock<Option<Mutex<File>>> = OnceLock::new();
        LOG.get_or_init(|| {
            let path = std::env::var_os("CALLWARD_POWER_LOG")?;
            Some(Mutex::new(OpenOptions::new().create(true).append(true).open(path).expect("the power log opens")))
        })
        .as_ref()
    }

    fn put(letter: u8, path: &Path, rest: &[u8]) {
        let Some(log) = log() else { return };
        let name = path.as_os_str().as_encoded_bytes();
        let mut entry = vec![letter];
        entry.extend_from_slice(&(name.len() as u16).to_le_bytes());
        entry.extend_from_slice(name);
        entry.extend_from_slice(rest);
        log.lock().expect("the power log").write_all(&entry).expect("the power log takes an entry");
    }

    /// Before the write.
    pub(super) fn wrote(file: &DiskFile, length: usize, offset: u64) {
        if log().is_none() {
            return;
        }
        let mut old = vec![0; length];
        let mut have = 0;
        while have < length {
            match file.file.read_at(&mut old[have..], offset + have as u64) {
                Ok(0) | Err(_) => break,
                Ok(more) => have += more,
            }
        }
        let mut rest = offset.to_le_bytes().to_vec();
        rest.extend_from_slice(&(length as u32).to_le_bytes());
        rest.extend_from_slice(&(have as u32).to_le_bytes());
        rest.extend_from_slice(&old[..have]);
        put(b'W', &file.path, &rest);
    }

    pub(super) fn synced(file: &DiskFile) {
        put(b'S', &file.path, &[]);
    }

    pub(super) fn failed(file: &DiskFile) {
        put(b'E', &file.path, &[]);
    }

    pub(super) fn folder_synced(folder: &Path) {
        put(b'D', folder, &[]);
    }

    pub(super) fn renamed(from: &Path, to: &Path) {
        let name = to.as_os_str().as_encoded_bytes();
        let mut rest = (name.len() as u16).to_le_bytes().to_vec();
        rest.extend_from_slice(name);
        put(b'R', from, &rest);
    }
}
