//! Sending many datagrams with one system call.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;

use socket2::SockAddr;

/// Datagrams per call.
const BATCH: usize = 64;

/// A socket with a batch of datagrams that wait to be sent.
pub struct SendBatch {
    socket: UdpSocket,
    waiting: Vec<(SockAddr, Vec<u8>)>,
    count: usize,
    /// Datagrams that the kernel did not take.
    pub refused: u64,
}

impl SendBatch {
    pub fn new(socket: UdpSocket) -> SendBatch {
        SendBatch { socket, waiting: Vec::new(), count: 0, refused: 0 }
    }

    /// Adds a datagram; `fill` writes it into an empty buffer. Sends the batch when it is full.
    pub fn push(&mut self, to: &SockAddr, fill: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        if self.count == self.waiting.len() {
            self.waiting.push((to.clone(), Vec::with_capacity(256)));
        }
        let (address, data) = &mut self.waiting[self.count];
        *address = to.clone();
        data.clear();
        fill(data);
        self.count += 1;
        if self.count == BATCH {
            self.flush()
        } else {
            Ok(())
        }
    }

    /// Sends what waits.
    pub fn flush(&mut self) -> io::Result<()> {
        let count = std::mem::take(&mut self.count);
        let mut vectors: [libc::iovec; BATCH] = [libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; BATCH];
        // SAFETY: an all-zero mmsghdr is valid; those that are used are filled below.
        let mut headers: [libc::mmsghdr; BATCH] = unsafe { std::mem::zeroed() };
        for (at, (address, data)) in self.waiting[..count].iter_mut().enumerate() {
            vectors[at] = libc::iovec { iov_base: data.as_mut_ptr().cast(), iov_len: data.len() };
            headers[at].msg_hdr.msg_name = address.as_ptr().cast_mut().cast();
            headers[at].msg_hdr.msg_namelen = address.len();
            headers[at].msg_hdr.msg_iov = &raw mut vectors[at];
            headers[at].msg_hdr.msg_iovlen = 1;
        }
        let mut sent = 0;
        while sent < count {
            // SAFETY: the headers point to addresses and data that live in `self.waiting` and are not changed during the call.
            let result = unsafe { libc::sendmmsg(self.socket.as_raw_fd(), headers[sent..].as_mut_ptr(), (count - sent) as u32, 0) };
            if result < 0 {
                let error = io::Error::last_os_error();
                match error.raw_os_error() {
                    Some(libc::EINTR) => continue,
                    // This one is refused (an ICMP error, no buffer); the others go on.
                    Some(libc::ECONNREFUSED | libc::ENOBUFS | libc::EAGAIN) => {
                        self.refused += 1;
                        sent += 1;
                    }
                    _ => return Err(error),
                }
            } else {
                sent += result as usize;
            }
        }
        Ok(())
    }
}

/// Processor time of the calling thread, in nanoseconds.
pub fn thread_cpu_ns() -> i64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes one timespec.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}

/// The address as the system calls want it.
pub fn raw_address(address: SocketAddr) -> SockAddr {
    address.into()
}
