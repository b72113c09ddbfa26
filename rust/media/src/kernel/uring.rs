//! Receiving with io_uring: one multishot recvmsg per socket and one ring of provided buffers.
//!
//! Completions are deferred to the moment of `poll` (DEFER_TASKRUN), so that the kernel does the copying of a whole batch at once
//! and an arriving packet interrupts nobody. At 50 packets a second and stream this costs half of what recvmmsg does.

use std::io;
use std::os::fd::RawFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::types::BufRingEntry;
use io_uring::{cqueue, opcode, squeue, types, IoUring};

use super::receive::{read_address, read_control, Arrived, Intake, Sink, CONTROL_BYTES, NAME_BYTES, PACKET_MAX_BYTES};

/// Buffers for one batch. When a flood uses them up, packets wait in their sockets until the next round.
const BUFFERS: u16 = 4096;
/// io_uring_recvmsg_out: four u32 before name, control data and payload.
const PREFIX: usize = 16;
const USED: usize = PREFIX + NAME_BYTES.next_multiple_of(4) + CONTROL_BYTES + PACKET_MAX_BYTES;
/// Distance of two buffers: an odd number of cache lines, so that their first lines spread over the cache sets.
const STRIDE: usize = (USED / 64 + 1) * 64 + if (USED / 64 + 1).is_multiple_of(2) { 64 } else { 0 };
const GROUP: u16 = 0;
/// How many completions ahead the sink is told of a socket, in two steps: thousands of tracks do not fit the processor's caches.
const FAR: usize = 12;
const NEAR: usize = 6;
/// Rounds of one `poll`, so that a flood does not starve the timers.
const ROUNDS_MAX: usize = 16;

/// Page-aligned zeroed memory that the kernel may write to as long as this lives.
struct Pages {
    start: NonNull<u8>,
    bytes: usize,
}

impl Pages {
    fn new(bytes: usize) -> io::Result<Pages> {
        // SAFETY: an anonymous private mapping at an address of the kernel's choice touches no other memory.
        let start = unsafe {
            libc::mmap(std::ptr::null_mut(), bytes, libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0)
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Pages { start: NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?, bytes })
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: exactly what `new` mapped; the ring that uses it is dropped first (field order in `Uring`).
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.bytes) };
    }
}

pub struct Uring {
    ring: IoUring,
    entries: Pages,
    payloads: Pages,
    tail: u16,
    descriptors: Vec<RawFd>,
    message: Box<libc::msghdr>,
    rearm: Vec<u32>,
    completions: Vec<(u32, i32, u32)>,
}

impl Uring {
    /// Sets up the ring and proves with a packet to itself that multishot receive works here. Must be called on the thread that polls.
    pub fn new() -> io::Result<Uring> {
        let mut uring = Uring::unproven()?;
        uring.prove()?;
        Uring::unproven()
    }

    fn unproven() -> io::Result<Uring> {
        let ring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_coop_taskrun()
            .setup_taskrun_flag()
            .setup_cqsize(32_768)
            .dontfork()
            .build(1024)?;
        let entries = Pages::new(BUFFERS as usize * size_of::<BufRingEntry>())?;
        let payloads = Pages::new(BUFFERS as usize * STRIDE)?;
        // SAFETY: `entries` is page-aligned, has BUFFERS entries and outlives the ring.
        unsafe {
            ring.submitter().register_buf_ring_with_flags(entries.start.as_ptr() as u64, BUFFERS, GROUP, 0)?;
        }
        // SAFETY: an all-zero msghdr is valid; only the two lengths are read by multishot receive.
        let mut message: Box<libc::msghdr> = Box::new(unsafe { std::mem::zeroed() });
        message.msg_namelen = NAME_BYTES as u32;
        message.msg_controllen = CONTROL_BYTES as _;
        let mut uring = Uring {
            ring,
            entries,
            payloads,
            tail: 0,
            descriptors: Vec::new(),
            message,
            rearm: Vec::new(),
            completions: Vec::with_capacity(4096),
        };
        for buffer in 0..BUFFERS {
            uring.give_back(buffer);
        }
        uring.publish();
        Ok(uring)
    }

    fn prove(&mut self) -> io::Result<()> {
        struct Count(usize);
        impl Sink for Count {
            fn packet(&mut self, arrived: Arrived<'_>) {
                self.0 += usize::from(arrived.data == b"callward");
            }
        }
        let socket = std::net::UdpSocket::bind(("127.0.0.1", 0)).or_else(|_| std::net::UdpSocket::bind(("::1", 0)))?;
        self.add(0, std::os::fd::AsRawFd::as_raw_fd(&socket))?;
        self.ring.submit()?;
        socket.send_to(b"callward", socket.local_addr()?)?;
        let mut count = Count(0);
        for _ in 0..50 {
            self.poll(&mut count)?;
            if count.0 > 0 {
                return Ok(());
            }
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        Err(io::Error::new(io::ErrorKind::Unsupported, "io_uring multishot receive does not work on this kernel"))
    }

    /// Puts a buffer behind the tail; the kernel sees it after `publish`.
    #[inline]
    fn give_back(&mut self, buffer: u16) {
        let place = (self.tail & (BUFFERS - 1)) as usize;
        // SAFETY: `place` is below BUFFERS and the kernel reads entries only between head and the published tail.
        let entry = unsafe { &mut *self.entries.start.as_ptr().cast::<BufRingEntry>().add(place) };
        entry.set_addr(self.payloads.start.as_ptr() as u64 + buffer as u64 * STRIDE as u64);
        entry.set_len(USED as u32);
        entry.set_bid(buffer);
        self.tail = self.tail.wrapping_add(1);
    }

    fn publish(&mut self) {
        let first = self.entries.start.as_ptr().cast::<BufRingEntry>();
        // SAFETY: the tail lies in the unused bytes of the first entry; the kernel reads it with acquire order.
        unsafe { AtomicU16::from_ptr(BufRingEntry::tail(first).cast_mut()).store(self.tail, Ordering::Release) };
    }

    fn arm(&mut self, socket: u32) -> io::Result<()> {
        let Some(&descriptor) = self.descriptors.get(socket as usize) else { return Ok(()) };
        let entry: squeue::Entry = opcode::RecvMsgMulti::new(types::Fd(descriptor), &*self.message, GROUP)
            .flags(libc::MSG_TRUNC as u32)
            .build()
            .user_data(socket as u64);
        loop {
            // SAFETY: the message header outlives the ring's use of it; the buffers are those registered.
            if unsafe { self.ring.submission().push(&entry) }.is_ok() {
                return Ok(());
            }
            self.ring.submit()?;
        }
    }

    /// Hands the payload of one completion to the sink.
    #[inline]
    fn deliver(&mut self, socket: u32, result: i32, buffer: u16, sink: &mut dyn Sink) {
        let length = (result as usize).min(USED);
        // SAFETY: the kernel gave this buffer to us with the completion and does not touch it until it is given back; `buffer` is
        // below BUFFERS because only such ids were given.
        let bytes =
            unsafe { std::slice::from_raw_parts_mut(self.payloads.start.as_ptr().add((buffer % BUFFERS) as usize * STRIDE), length) };
        if length < PREFIX + NAME_BYTES + CONTROL_BYTES {
            return;
        }
        let word = |at: usize| u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let (name_length, control_length, payload_length) = (word(0) as usize, word(4) as usize, word(8) as usize);
        let (head, data) = bytes.split_at_mut(PREFIX + NAME_BYTES + CONTROL_BYTES);
        let name = &head[PREFIX..PREFIX + name_length.min(NAME_BYTES)];
        let control = &head[PREFIX + NAME_BYTES..][..control_length.min(CONTROL_BYTES)];
        let Some(from) = read_address(name) else { return };
        let (stamp_ns, kernel_drops) = read_control(control);
        let truncated = payload_length > data.len();
        sink.packet(Arrived { socket, from, stamp_ns, data, truncated, kernel_drops });
    }
}

impl Intake for Uring {
    fn add(&mut self, socket: u32, descriptor: RawFd) -> io::Result<()> {
        let at = socket as usize;
        if self.descriptors.len() <= at {
            self.descriptors.resize(at + 1, -1);
        }
        self.descriptors[at] = descriptor;
        self.arm(socket)
    }

    fn poll(&mut self, sink: &mut dyn Sink) -> io::Result<usize> {
        let mut total = 0;
        for _ in 0..ROUNDS_MAX {
            match self.ring.submit_and_wait(0) {
                Ok(_) => {}
                Err(error) if matches!(error.raw_os_error(), Some(libc::EINTR | libc::EBUSY | libc::EAGAIN)) => {}
                Err(error) => return Err(error),
            }
            let mut completions = std::mem::take(&mut self.completions);
            completions.extend(self.ring.completion().map(|one| (one.user_data() as u32, one.result(), one.flags())));
            let count = completions.len();
            for at in 0..count {
                let (socket, result, flags) = completions[at];
                if let Some((far, _, _)) = completions.get(at + FAR) {
                    sink.expect(*far, false);
                }
                if let Some((near, _, _)) = completions.get(at + NEAR) {
                    sink.expect(*near, true);
                }
                if let Some(buffer) = cqueue::buffer_select(flags) {
                    if result > 0 {
                        self.deliver(socket, result, buffer, sink);
                        total += 1;
                    }
                    self.give_back(buffer);
                }
                if !cqueue::more(flags) && result != -libc::EBADF && result != -libc::EINVAL {
                    self.rearm.push(socket);
                }
            }
            completions.clear();
            self.completions = completions;
            self.publish();
            let mut rearm = std::mem::take(&mut self.rearm);
            for socket in rearm.drain(..) {
                self.arm(socket)?;
            }
            self.rearm = rearm;
            if count == 0 {
                break;
            }
        }
        Ok(total)
    }

    fn tick_ms(&self) -> i64 {
        5
    }

    fn name(&self) -> &'static str {
        "io_uring"
    }
}
