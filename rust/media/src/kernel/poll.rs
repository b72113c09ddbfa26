//! Waiting for several descriptors.

use std::io;
use std::os::fd::RawFd;

/// One descriptor of interest.
pub struct Interest {
    pub descriptor: RawFd,
    pub write: bool,
}

/// What it is ready for. An error or hang-up counts as readable: reading tells which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ready {
    pub read: bool,
    pub write: bool,
}

/// Waits until one is ready; `ready` has one entry per interest then.
pub fn poll_ready(interests: &[Interest], at_most_ms: i32, ready: &mut Vec<Ready>) -> io::Result<()> {
    let mut all: Vec<libc::pollfd> = interests
        .iter()
        .map(|one| libc::pollfd { fd: one.descriptor, events: libc::POLLIN | if one.write { libc::POLLOUT } else { 0 }, revents: 0 })
        .collect();
    // SAFETY: the kernel reads and writes the entries of `all` during the call.
    let result = unsafe { libc::poll(all.as_mut_ptr(), all.len() as libc::nfds_t, at_most_ms) };
    ready.clear();
    if result < 0 {
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
        all.iter_mut().for_each(|one| one.revents = 0);
    }
    ready.extend(all.iter().map(|one| Ready {
        read: one.revents & (libc::POLLIN | libc::POLLERR | libc::POLLHUP) != 0,
        write: one.revents & libc::POLLOUT != 0,
    }));
    Ok(())
}
