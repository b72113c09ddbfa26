//! The pool of port pairs: an even RTP port and the odd one above it for RTCP (RFC 3550 section 11).
//!
//! A pair is opened when it is first needed and stays open. After its track has ended it is drained for a while, so that a packet
//! of the old call never reaches the new one; then the pair that rested longest is used again.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr, UdpSocket};

use socket2::{Domain, Protocol, Socket, Type};

use crate::kernel::set_receive_options;

/// Room in each socket: at 50 packets a second several seconds, enough for a restart of the process.
const SOCKET_BUFFER_BYTES: i32 = 512 << 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// Free or, until this monotonic time (ns), draining.
    Resting {
        until_ns: i64,
    },
    Taken,
}

/// Two sockets. Their numbers in the intake are `2 * pair` and `2 * pair + 1`.
pub struct Pair {
    pub address: IpAddr,
    pub rtp_port: u16,
    pub rtp: UdpSocket,
    pub rtcp: UdpSocket,
    pub usage: Use,
}

impl Pair {
    pub fn rtcp_port(&self) -> u16 {
        self.rtp_port + 1
    }
}

pub struct Ports {
    range: std::ops::RangeInclusive<u16>,
    quarantine_ns: i64,
    pairs: Vec<Pair>,
    by_port: HashMap<(IpAddr, u16), u32>,
    addresses: HashMap<IpAddr, Address>,
}

struct Address {
    /// The next port never tried.
    next: u32,
    /// Pairs that rest, the one that rested longest first.
    resting: VecDeque<u32>,
}

impl Ports {
    pub fn new(addresses: &[IpAddr], port_min: u16, port_max: u16, quarantine_ns: i64) -> Ports {
        let next = even(port_min);
        let addresses = addresses.iter().map(|address| (*address, Address { next, resting: VecDeque::new() })).collect();
        Ports { range: port_min..=port_max, quarantine_ns, pairs: Vec::new(), by_port: HashMap::new(), addresses }
    }

    pub fn serves(&self, address: &IpAddr) -> bool {
        self.addresses.contains_key(address)
    }

    pub fn pair(&self, at: u32) -> &Pair {
        &self.pairs[at as usize]
    }

    pub fn len(&self) -> usize {
        self.pairs.len()
    }

    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// Takes over sockets that were open before the restart. They rest until a track claims them.
    pub fn adopt(&mut self, rtp: UdpSocket, rtcp: UdpSocket, now_ns: i64) -> Option<u32> {
        let local = rtp.local_addr().ok()?;
        if rtcp.local_addr().ok()? != SocketAddr::new(local.ip(), local.port().checked_add(1)?) {
            return None;
        }
        if !self.serves(&local.ip()) || !self.range.contains(&local.port()) || !local.port().is_multiple_of(2) {
            return None;
        }
        set_receive_options(&rtp, SOCKET_BUFFER_BYTES).ok()?;
        set_receive_options(&rtcp, SOCKET_BUFFER_BYTES).ok()?;
        let at = self.push(local.ip(), local.port(), rtp, rtcp, Use::Resting { until_ns: now_ns + self.quarantine_ns });
        self.addresses.get_mut(&local.ip())?.resting.push_back(at);
        Some(at)
    }

    /// Takes the pair that has rested longest, if long enough, or opens a new one. The second value tells whether it is new.
    pub fn take(&mut self, address: IpAddr, now_ns: i64) -> Option<(u32, bool)> {
        let entry = self.addresses.get_mut(&address)?;
        if let Some(&at) = entry.resting.front() {
            if matches!(self.pairs[at as usize].usage, Use::Resting { until_ns } if until_ns <= now_ns) {
                entry.resting.pop_front();
                self.pairs[at as usize].usage = Use::Taken;
                return Some((at, false));
            }
        }
        while let Some(port) = self.next_port(address) {
            match open_pair(address, port) {
                Ok((rtp, rtcp)) => return Some((self.push(address, port, rtp, rtcp, Use::Taken), true)),
                Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {}
                // No descriptors or no memory: another port would not help.
                Err(_) => return None,
            }
        }
        // Ports that another program held may be free by now: the next call tries them again.
        self.addresses.get_mut(&address)?.next = even(*self.range.start());
        None
    }

    /// Takes this very pair, for a track that goes on after a restart.
    pub fn claim(&mut self, address: IpAddr, rtp_port: u16) -> Option<(u32, bool)> {
        if let Some(&at) = self.by_port.get(&(address, rtp_port)) {
            if self.pairs[at as usize].usage == Use::Taken {
                return None;
            }
            self.addresses.get_mut(&address)?.resting.retain(|other| *other != at);
            self.pairs[at as usize].usage = Use::Taken;
            return Some((at, false));
        }
        if !self.serves(&address) || !rtp_port.is_multiple_of(2) || rtp_port == u16::MAX {
            return None;
        }
        let (rtp, rtcp) = open_pair(address, rtp_port).ok()?;
        Some((self.push(address, rtp_port, rtp, rtcp, Use::Taken), true))
    }

    /// Drains the pair from now on.
    pub fn release(&mut self, at: u32, now_ns: i64) {
        let pair = &mut self.pairs[at as usize];
        pair.usage = Use::Resting { until_ns: now_ns + self.quarantine_ns };
        if let Some(entry) = self.addresses.get_mut(&pair.address) {
            entry.resting.push_back(at);
        }
    }

    fn next_port(&mut self, address: IpAddr) -> Option<u16> {
        let entry = self.addresses.get_mut(&address)?;
        while entry.next < *self.range.end() as u32 {
            let port = entry.next as u16;
            entry.next += 2;
            if !self.by_port.contains_key(&(address, port)) {
                return Some(port);
            }
        }
        None
    }

    fn push(&mut self, address: IpAddr, rtp_port: u16, rtp: UdpSocket, rtcp: UdpSocket, usage: Use) -> u32 {
        let at = self.pairs.len() as u32;
        self.pairs.push(Pair { address, rtp_port, rtp, rtcp, usage });
        self.by_port.insert((address, rtp_port), at);
        at
    }
}

fn even(port: u16) -> u32 {
    port as u32 + (port as u32 & 1)
}

fn open_pair(address: IpAddr, port: u16) -> std::io::Result<(UdpSocket, UdpSocket)> {
    Ok((open(SocketAddr::new(address, port))?, open(SocketAddr::new(address, port + 1))?))
}

fn open(local: SocketAddr) -> std::io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(local), Type::DGRAM, Some(Protocol::UDP))?;
    if local.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&local.into())?;
    let socket: UdpSocket = socket.into();
    set_receive_options(&socket, SOCKET_BUFFER_BYTES)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[test]
    fn a_pair_rests_before_it_is_used_again_and_the_longest_rested_comes_first() {
        let mut ports = Ports::new(&[HOME], 38_101, 38_105, 1_000);
        let (first, _) = ports.take(HOME, 0).unwrap();
        assert_eq!(ports.pair(first).rtp_port, 38_102);
        let (second, new) = ports.take(HOME, 0).unwrap();
        assert!(new);
        assert!(ports.take(HOME, 0).is_none(), "38106 lies outside the range");
        ports.release(second, 10);
        ports.release(first, 20);
        assert!(ports.take(HOME, 1_009).is_none());
        assert_eq!(ports.take(HOME, 1_010), Some((second, false)));
        assert!(ports.take(HOME, 1_010).is_none());
        assert_eq!(ports.take(HOME, 1_020), Some((first, false)));
    }

    #[test]
    fn a_port_that_another_program_holds_is_passed_over() {
        let taken = UdpSocket::bind((HOME, 38_113)).unwrap();
        let mut ports = Ports::new(&[HOME], 38_112, 38_115, 0);
        let (at, _) = ports.take(HOME, 0).unwrap();
        assert_eq!(ports.pair(at).rtp_port, 38_114);
        drop(taken);
    }

    #[test]
    fn a_certain_pair_can_be_claimed_once() {
        let mut ports = Ports::new(&[HOME], 38_120, 38_129, 1_000);
        let (at, new) = ports.claim(HOME, 38_124).unwrap();
        assert!(new);
        assert!(ports.claim(HOME, 38_124).is_none());
        ports.release(at, 0);
        assert_eq!(ports.claim(HOME, 38_124), Some((at, false)));
        assert!(ports.claim(HOME, 38_125).is_none(), "odd");
    }
}
