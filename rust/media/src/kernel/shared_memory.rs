//! Memory that outlives the process: a memfd that the service manager keeps.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

/// A shared mapping of a memfd. Pages that were never written take no memory.
pub struct SharedMemory {
    descriptor: OwnedFd,
    start: NonNull<u8>,
    bytes: usize,
}

impl SharedMemory {
    pub fn create(bytes: usize) -> io::Result<SharedMemory> {
        // SAFETY: a constant name; the call makes a new descriptor that nobody else owns.
        let raw = unsafe { libc::memfd_create(c"callward-landing".as_ptr(), libc::MFD_CLOEXEC) };
        if raw < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `raw` is open and owned by nobody else.
        let descriptor = unsafe { OwnedFd::from_raw_fd(raw) };
        // SAFETY: a plain call on an open descriptor.
        if unsafe { libc::ftruncate(raw, bytes as libc::off_t) } < 0 {
            return Err(io::Error::last_os_error());
        }
        SharedMemory::map(descriptor, bytes)
    }

    /// Maps what an earlier process left; the size must be the same.
    pub fn adopt(descriptor: OwnedFd, bytes: usize) -> io::Result<SharedMemory> {
        let file = std::fs::File::from(descriptor);
        if file.metadata()?.len() != bytes as u64 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the kept memory has another size"));
        }
        SharedMemory::map(file.into(), bytes)
    }

    fn map(descriptor: OwnedFd, bytes: usize) -> io::Result<SharedMemory> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping of our own file at an address of the kernel's choice. The file is as long as the mapping and nobody
        // truncates it: only this process and the service manager, which never touches it, have the descriptor.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), bytes, protection, libc::MAP_SHARED, descriptor.as_raw_fd(), 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(SharedMemory { descriptor, start, bytes })
    }

    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the mapping is that long, and only `bytes_mut` and `publish`, which borrow mutably, write to it.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.bytes) }
    }

    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above; the borrow is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.bytes) }
    }

    /// Writes a number after everything written before it: whoever reads it later finds what it speaks of.
    #[inline]
    pub fn publish(&mut self, at: usize, value: u64) {
        assert!(at.is_multiple_of(8) && at + 8 <= self.bytes);
        // SAFETY: in bounds and aligned (the mapping starts at a page).
        let place = unsafe { AtomicU64::from_ptr(self.start.as_ptr().add(at).cast()) };
        place.store(value, Ordering::Release);
    }
}

impl AsRawFd for SharedMemory {
    fn as_raw_fd(&self) -> RawFd {
        self.descriptor.as_raw_fd()
    }
}

impl Drop for SharedMemory {
    fn drop(&mut self) {
        // SAFETY: exactly what was mapped; no slice of it outlives `self`.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.bytes) };
    }
}

// SAFETY: the mapping belongs to this value alone and may move to another thread with it.
unsafe impl Send for SharedMemory {}
