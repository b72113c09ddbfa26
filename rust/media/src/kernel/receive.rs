//! What both receive paths share: the packet handed over, and how addresses and control messages are read.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::RawFd;

/// Longest datagram that is taken whole; longer ones are counted as malformed.
pub const PACKET_MAX_BYTES: usize = 4096;

/// Name and control data of one message as the kernel writes them.
pub(super) const NAME_BYTES: usize = size_of::<libc::sockaddr_in6>();
/// Room for a time stamp (32 bytes) and a drop counter (24 bytes).
pub(super) const CONTROL_BYTES: usize = 64;

/// One datagram.
pub struct Arrived<'a> {
    /// The number given to `Intake::add`.
    pub socket: u32,
    pub from: SocketAddr,
    /// UTC of the kernel at arrival, in nanoseconds; 0 when there was no stamp.
    pub stamp_ns: i64,
    pub data: &'a mut [u8],
    pub truncated: bool,
    /// The socket's count of datagrams that the kernel had to drop, when it is not zero.
    pub kernel_drops: u32,
}

/// Takes datagrams.
pub trait Sink {
    /// A datagram of this socket comes soon: time to have what it needs near. `near`: it is almost there.
    fn expect(&self, _socket: u32, _near: bool) {}
    fn packet(&mut self, arrived: Arrived<'_>);
}

/// Asks the processor to fetch what lies there; changes nothing.
#[inline(always)]
pub fn prefetch<T>(place: &T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint; the address is that of a live reference.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>((&raw const *place).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}

/// A way of receiving from many sockets.
pub trait Intake {
    /// Receives from `descriptor` from now on. The descriptor must stay open for the life of the process.
    fn add(&mut self, socket: u32, descriptor: RawFd) -> io::Result<()>;
    /// Hands everything that has arrived to the sink. Never waits. Returns the number of datagrams.
    fn poll(&mut self, sink: &mut dyn Sink) -> io::Result<usize>;
    /// How often to poll, in milliseconds.
    fn tick_ms(&self) -> i64;
    fn name(&self) -> &'static str;
}

/// Reads a socket address that the kernel wrote.
#[inline]
pub(super) fn read_address(name: &[u8]) -> Option<SocketAddr> {
    let family = u16::from_ne_bytes([*name.first()?, *name.get(1)?]) as i32;
    let port = u16::from_be_bytes([*name.get(2)?, *name.get(3)?]);
    match family {
        libc::AF_INET => {
            let ip: [u8; 4] = name.get(4..8)?.try_into().ok()?;
            Some(SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::from(ip), port)))
        }
        libc::AF_INET6 => {
            let ip: [u8; 16] = name.get(8..24)?.try_into().ok()?;
            let scope = u32::from_ne_bytes(name.get(24..28)?.try_into().ok()?);
            Some(SocketAddr::V6(SocketAddrV6::new(Ipv6Addr::from(ip), port, 0, scope)))
        }
        _ => None,
    }
}

/// Reads the stamp and the drop counter from control messages.
#[inline]
pub(super) fn read_control(mut control: &[u8]) -> (i64, u32) {
    const HEADER: usize = size_of::<libc::cmsghdr>();
    let (mut stamp, mut drops) = (0, 0);
    while control.len() >= HEADER {
        let word = |at: usize| i32::from_ne_bytes([control[at], control[at + 1], control[at + 2], control[at + 3]]);
        let mut length = [0u8; 8];
        length.copy_from_slice(&control[..8]);
        let length = u64::from_ne_bytes(length) as usize;
        if length < HEADER || length > control.len() {
            break;
        }
        let (level, kind) = (word(8), word(12));
        let body = &control[HEADER..length];
        if level == libc::SOL_SOCKET && kind == libc::SCM_TIMESTAMPNS {
            if let (Some(seconds), Some(nanoseconds)) = (body.first_chunk::<8>(), body.get(8..16)) {
                let mut fraction = [0u8; 8];
                fraction.copy_from_slice(nanoseconds);
                stamp = i64::from_ne_bytes(*seconds) * 1_000_000_000 + i64::from_ne_bytes(fraction);
            }
        } else if level == libc::SOL_SOCKET && kind == libc::SO_RXQ_OVFL {
            if let Some(count) = body.first_chunk::<4>() {
                drops = u32::from_ne_bytes(*count);
            }
        }
        let next = length.next_multiple_of(8);
        control = control.get(next..).unwrap_or_default();
    }
    (stamp, drops)
}
