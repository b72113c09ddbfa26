//! Receiving with epoll and recvmmsg: for kernels and containers without io_uring.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use super::receive::{read_address, read_control, Arrived, Intake, Sink, CONTROL_BYTES, NAME_BYTES, PACKET_MAX_BYTES};

/// Datagrams per call and socket. At 50 packets a second and a poll each 20 ms one or two wait.
const BATCH: usize = 32;
const EVENTS: usize = 1024;

pub struct MultiMessage {
    epoll: OwnedFd,
    descriptors: Vec<RawFd>,
    events: Vec<libc::epoll_event>,
    /// The memory that `headers` point to: addresses, control data, payload. Boxed slices never move.
    names: Box<[[u8; NAME_BYTES]]>,
    controls: Box<[Control]>,
    payloads: Box<[[u8; PACKET_MAX_BYTES]]>,
    vectors: Box<[libc::iovec]>,
    headers: Box<[libc::mmsghdr]>,
}

#[derive(Clone, Copy)]
#[repr(align(8))]
struct Control([u8; CONTROL_BYTES]);

impl MultiMessage {
    pub fn new() -> io::Result<MultiMessage> {
        // SAFETY: makes a new descriptor that nobody else owns.
        let raw = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if raw < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `raw` is open and owned by nobody else.
        let epoll = unsafe { OwnedFd::from_raw_fd(raw) };
        let mut names = vec![[0u8; NAME_BYTES]; BATCH].into_boxed_slice();
        let mut controls = vec![Control([0; CONTROL_BYTES]); BATCH].into_boxed_slice();
        let mut payloads = vec![[0u8; PACKET_MAX_BYTES]; BATCH].into_boxed_slice();
        let mut vectors: Box<[libc::iovec]> =
            payloads.iter_mut().map(|payload| libc::iovec { iov_base: payload.as_mut_ptr().cast(), iov_len: PACKET_MAX_BYTES }).collect();
        let headers = (0..BATCH)
            .map(|at| {
                // SAFETY: an all-zero mmsghdr is valid (null pointers, zero lengths); its fields are set below.
                let mut header: libc::mmsghdr = unsafe { std::mem::zeroed() };
                header.msg_hdr.msg_name = names[at].as_mut_ptr().cast();
                header.msg_hdr.msg_iov = &raw mut vectors[at];
                header.msg_hdr.msg_iovlen = 1;
                header.msg_hdr.msg_control = controls[at].0.as_mut_ptr().cast();
                header
            })
            .collect();
        let events = vec![libc::epoll_event { events: 0, u64: 0 }; EVENTS];
        Ok(MultiMessage { epoll, descriptors: Vec::new(), events, names, controls, payloads, vectors, headers })
    }

    /// Reads one socket until it is empty.
    fn drain(&mut self, socket: u32, sink: &mut dyn Sink) -> usize {
        let descriptor = self.descriptors[socket as usize];
        let mut total = 0;
        loop {
            for header in self.headers.iter_mut() {
                header.msg_hdr.msg_namelen = NAME_BYTES as u32;
                header.msg_hdr.msg_controllen = CONTROL_BYTES as _;
                header.msg_hdr.msg_flags = 0;
            }
            debug_assert_eq!(self.vectors.len(), BATCH);
            // SAFETY: each header points to name, control and payload memory of `self`, which outlives the call and is not
            // touched during it; the lengths given are those of that memory.
            let received =
                unsafe { libc::recvmmsg(descriptor, self.headers.as_mut_ptr(), BATCH as u32, libc::MSG_DONTWAIT, std::ptr::null_mut()) };
            if received <= 0 {
                // Empty, or an ICMP error of an earlier send, which reading has cleared.
                return total;
            }
            let received = received as usize;
            for at in 0..received {
                let header = &self.headers[at];
                let control = &self.controls[at].0[..header.msg_hdr.msg_controllen.min(CONTROL_BYTES)];
                let name = &self.names[at][..(header.msg_hdr.msg_namelen as usize).min(NAME_BYTES)];
                let (stamp_ns, kernel_drops) = read_control(control);
                let Some(from) = read_address(name) else { continue };
                let truncated = header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0;
                let length = (header.msg_len as usize).min(PACKET_MAX_BYTES);
                let data = &mut self.payloads[at][..length];
                sink.packet(Arrived { socket, from, stamp_ns, data, truncated, kernel_drops });
            }
            total += received;
            if received < BATCH {
                return total;
            }
        }
    }
}

impl Intake for MultiMessage {
    fn add(&mut self, socket: u32, descriptor: RawFd) -> io::Result<()> {
        let at = socket as usize;
        if self.descriptors.len() <= at {
            self.descriptors.resize(at + 1, -1);
        }
        self.descriptors[at] = descriptor;
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: socket as u64 };
        // SAFETY: both descriptors are open; the event lives across the call.
        let result = unsafe { libc::epoll_ctl(self.epoll.as_raw_fd(), libc::EPOLL_CTL_ADD, descriptor, &mut event) };
        if result < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }

    fn poll(&mut self, sink: &mut dyn Sink) -> io::Result<usize> {
        let mut total = 0;
        // Level-triggered: a bound on the rounds keeps a flood from starving the timers.
        for _ in 0..64 {
            // SAFETY: the kernel writes at most EVENTS entries to `events`.
            let ready = unsafe { libc::epoll_wait(self.epoll.as_raw_fd(), self.events.as_mut_ptr(), EVENTS as i32, 0) };
            if ready < 0 {
                let error = io::Error::last_os_error();
                return if error.kind() == io::ErrorKind::Interrupted { Ok(total) } else { Err(error) };
            }
            for at in 0..ready as usize {
                let socket = self.events[at].u64 as u32;
                total += self.drain(socket, sink);
            }
            if (ready as usize) < EVENTS {
                break;
            }
        }
        Ok(total)
    }

    fn tick_ms(&self) -> i64 {
        20
    }

    fn name(&self) -> &'static str {
        "recvmmsg"
    }
}

// SAFETY: the raw pointers point into boxes that the value itself owns, so it may move to another thread as a whole.
unsafe impl Send for MultiMessage {}
