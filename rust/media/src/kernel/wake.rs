//! Waiting for a moment or a wake-up from another thread, whichever comes first.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Arc;

/// An event descriptor. Clones wake the same waiter.
#[derive(Clone, Debug)]
pub struct Wake {
    descriptor: Arc<OwnedFd>,
}

impl Wake {
    pub fn new() -> io::Result<Wake> {
        // SAFETY: eventfd makes a new descriptor that nobody else owns.
        let raw = unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) };
        if raw < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `raw` is open and owned by nobody else.
        Ok(Wake { descriptor: Arc::new(unsafe { OwnedFd::from_raw_fd(raw) }) })
    }

    /// Ends the current or the next `wait`.
    pub fn wake(&self) {
        let one: u64 = 1;
        // SAFETY: writes eight bytes from `one` to an event descriptor; it never blocks.
        unsafe { libc::write(self.descriptor.as_raw_fd(), (&raw const one).cast(), 8) };
    }

    /// Forgets wake-ups so far.
    pub fn clear(&self) {
        let mut count: u64 = 0;
        // SAFETY: reads eight bytes into `count`; the descriptor does not block.
        unsafe { libc::read(self.descriptor.as_raw_fd(), (&raw mut count).cast(), 8) };
    }

    /// Waits until woken or until `at_most_ns` have passed.
    pub fn wait(&self, at_most_ns: i64) {
        let mut poll = [libc::pollfd { fd: self.descriptor.as_raw_fd(), events: libc::POLLIN, revents: 0 }];
        let nanoseconds = at_most_ns.max(0);
        let timeout = libc::timespec { tv_sec: nanoseconds / 1_000_000_000, tv_nsec: nanoseconds % 1_000_000_000 };
        // SAFETY: one pollfd and one timespec live across the call; no signal mask.
        let ready = unsafe { libc::ppoll(poll.as_mut_ptr(), 1, &timeout, std::ptr::null()) };
        if ready > 0 {
            self.clear();
        }
    }
}

impl AsRawFd for Wake {
    fn as_raw_fd(&self) -> RawFd {
        self.descriptor.as_raw_fd()
    }
}
