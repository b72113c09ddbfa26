//! Unprotects SRTP and SRTCP: keys, rollover counters and replay windows of one direction.

use ring::aead;

use super::keys::{apply_keystream, rtcp_nonce, rtp_nonce, same_tag, tag, Purpose, SessionKeys};
use super::replay::{Verdict, Window};
use super::suite::MasterKey;
use crate::rtp::Header;

/// Streams whose counters are kept per key; the peer authenticated each of them.
const SOURCES_MAX: usize = 16;

/// Why a packet was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Shorter than header, tag and identifier.
    Truncated,
    BadTag,
    /// The same index was accepted before.
    Replayed,
    /// Older than the replay window.
    TooOld,
}

/// The highest packet index (rollover counter and sequence number) of one stream: what a restart needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceCounter {
    pub ssrc: u32,
    pub index: u64,
}

struct Source {
    ssrc: u32,
    highest: u64,
    window: Window,
}

struct KeySet {
    rtp: SessionKeys,
    rtcp: SessionKeys,
    mki_bytes: usize,
    sources: Vec<Source>,
    rtcp_sources: Vec<(u32, Window)>,
}

/// What is received on one track.
pub struct Receiver {
    current: KeySet,
    /// The keys before the last change and the time (ns, monotonic) until which packets under them are taken.
    previous: Option<(KeySet, i64)>,
}

impl KeySet {
    fn new(master: &MasterKey) -> KeySet {
        KeySet {
            rtp: SessionKeys::new(master, Purpose::Rtp),
            rtcp: SessionKeys::new(master, Purpose::Rtcp),
            mki_bytes: master.mki_bytes,
            sources: Vec::new(),
            rtcp_sources: Vec::new(),
        }
    }

    fn highest(&self, ssrc: u32) -> Option<u64> {
        self.sources.iter().find(|source| source.ssrc == ssrc).map(|source| source.highest)
    }

    fn accept(&mut self, ssrc: u32, index: u64) {
        let at = match self.sources.iter().position(|source| source.ssrc == ssrc) {
            Some(at) => at,
            None => {
                if self.sources.len() == SOURCES_MAX {
                    self.sources.remove(0);
                }
                self.sources.push(Source { ssrc, highest: index, window: Window::default() });
                self.sources.len() - 1
            }
        };
        let source = &mut self.sources[at];
        source.highest = source.highest.max(index);
        source.window.accept(index);
    }

    /// Verifies and decrypts in place with the given index; returns the packet's length without tag and identifier.
    fn open_rtp(&self, packet: &mut [u8], header: &Header, index: u64) -> Result<usize, Refusal> {
        let tail = self.rtp.tag_bytes() + self.mki_bytes;
        if packet.len() < header.length + tail {
            return Err(Refusal::Truncated);
        }
        match &self.rtp {
            SessionKeys::CounterMode { aes, salt, mac, tag_bytes } => {
                let end = packet.len() - tail;
                let (authenticated, rest) = packet.split_at_mut(end);
                let computed = tag(mac, &[authenticated, &((index >> 16) as u32).to_be_bytes()]);
                if !same_tag(&computed[..*tag_bytes], &rest[self.mki_bytes..]) {
                    return Err(Refusal::BadTag);
                }
                apply_keystream(aes, salt, header.ssrc, index, &mut authenticated[header.length..]);
                Ok(end)
            }
            SessionKeys::Gcm { key, salt } => {
                let end = packet.len() - self.mki_bytes;
                let (associated, sealed) = packet[..end].split_at_mut(header.length);
                let nonce = rtp_nonce(salt, header.ssrc, index);
                key.open_in_place(nonce, aead::Aad::from(&*associated), sealed).map_err(|_| Refusal::BadTag)?;
                Ok(end - 16)
            }
        }
    }

    fn open_rtcp(&mut self, packet: &mut [u8]) -> Result<usize, Refusal> {
        const HEADER: usize = 8;
        let tail = 4 + self.mki_bytes + self.rtcp.tag_bytes();
        if packet.len() < HEADER + tail {
            return Err(Refusal::Truncated);
        }
        let ssrc = u32::from_be_bytes([packet[4], packet[5], packet[6], packet[7]]);
        // Counter mode has the index before identifier and tag, GCM has the tag before index and identifier.
        let at = match &self.rtcp {
            SessionKeys::CounterMode { tag_bytes, .. } => packet.len() - tag_bytes - self.mki_bytes - 4,
            SessionKeys::Gcm { .. } => packet.len() - self.mki_bytes - 4,
        };
        let word = u32::from_be_bytes([packet[at], packet[at + 1], packet[at + 2], packet[at + 3]]);
        let (encrypted, index) = (word >> 31 == 1, word & 0x7fff_ffff);
        let known = self.rtcp_sources.iter().position(|(source, _)| *source == ssrc);
        if let Some(known) = known {
            match self.rtcp_sources[known].1.check(index as u64) {
                Verdict::Fresh => {}
                Verdict::Replayed => return Err(Refusal::Replayed),
                Verdict::TooOld => return Err(Refusal::TooOld),
            }
        }
        let length = match &self.rtcp {
            SessionKeys::CounterMode { aes, salt, mac, tag_bytes } => {
                let computed = tag(mac, &[&packet[..at + 4]]);
                if !same_tag(&computed[..*tag_bytes], &packet[at + 4 + self.mki_bytes..]) {
                    return Err(Refusal::BadTag);
                }
                if encrypted {
                    apply_keystream(aes, salt, ssrc, index as u64, &mut packet[HEADER..at]);
                }
                at
            }
            SessionKeys::Gcm { key, salt } => {
                let nonce = rtcp_nonce(salt, ssrc, index);
                if encrypted {
                    let mut associated = [0u8; 12];
                    associated[..8].copy_from_slice(&packet[..8]);
                    associated[8..].copy_from_slice(&word.to_be_bytes());
                    key.open_in_place(nonce, aead::Aad::from(&associated), &mut packet[HEADER..at]).map_err(|_| Refusal::BadTag)?;
                } else {
                    let mut associated = packet[..at - 16].to_vec();
                    associated.extend_from_slice(&word.to_be_bytes());
                    key.open_in_place(nonce, aead::Aad::from(&associated), &mut packet[at - 16..at]).map_err(|_| Refusal::BadTag)?;
                }
                at - 16
            }
        };
        match known {
            Some(known) => self.rtcp_sources[known].1.accept(index as u64),
            None => {
                if self.rtcp_sources.len() == SOURCES_MAX {
                    self.rtcp_sources.remove(0);
                }
                let mut window = Window::default();
                window.accept(index as u64);
                self.rtcp_sources.push((ssrc, window));
            }
        }
        Ok(length)
    }
}

/// The index nearest to `highest` that has the given sequence number (RFC 3711 section 3.3.1).
#[inline]
fn nearest_index(highest: u64, sequence: u16) -> u64 {
    let rollovers = highest >> 16;
    let ahead = sequence.wrapping_sub(highest as u16) as i16;
    let guess = if ahead >= 0 && sequence < highest as u16 {
        rollovers + 1
    } else if ahead < 0 && sequence > highest as u16 {
        rollovers.saturating_sub(1)
    } else {
        rollovers
    };
    (guess & 0xffff_ffff) << 16 | sequence as u64
}

impl Receiver {
    pub fn new(master: &MasterKey) -> Receiver {
        Receiver { current: KeySet::new(master), previous: None }
    }

    /// Goes on with new keys; packets under the old ones are taken until `until_ns` (monotonic).
    pub fn rekey(&mut self, master: &MasterKey, until_ns: i64) {
        let old = std::mem::replace(&mut self.current, KeySet::new(master));
        self.previous = Some((old, until_ns));
    }

    /// The counters of the streams under the current keys.
    pub fn counters(&self) -> impl Iterator<Item = SourceCounter> + '_ {
        self.current.sources.iter().map(|source| SourceCounter { ssrc: source.ssrc, index: source.highest })
    }

    /// Notes a packet that was accepted before a restart, behind the counters that were restored.
    pub fn note(&mut self, ssrc: u32, sequence: u16) {
        if let Some(highest) = self.current.highest(ssrc) {
            self.current.accept(ssrc, nearest_index(highest, sequence));
        } else {
            self.current.accept(ssrc, sequence as u64);
        }
    }

    /// Takes up counters after a restart; what arrived before them counts as received.
    pub fn restore(&mut self, counters: &[SourceCounter]) {
        self.current.sources.clear();
        for counter in counters.iter().take(SOURCES_MAX) {
            let window = Window::at(counter.index);
            self.current.sources.push(Source { ssrc: counter.ssrc, highest: counter.index, window });
        }
    }

    /// Verifies and decrypts an RTP packet in place; returns its length as plain RTP. After a refusal the bytes are of no use.
    pub fn open_rtp(&mut self, packet: &mut [u8], header: &Header, now_ns: i64) -> Result<usize, Refusal> {
        if self.previous.as_ref().is_some_and(|(_, until)| now_ns > *until) {
            self.previous = None;
        }
        if self.previous.is_some() {
            return self.open_while_rekeying(packet, header);
        }
        let highest = self.current.highest(header.ssrc).unwrap_or(header.sequence as u64);
        self.current.take_rtp(packet, header, nearest_index(highest, header.sequence))
    }

    /// Tries the new keys, then the old ones. After a change of keys some senders keep the rollover counter and others begin at
    /// zero: the tag tells. A failed AEAD attempt destroys the bytes, hence the copies; this lasts a few seconds per change.
    fn open_while_rekeying(&mut self, packet: &mut [u8], header: &Header) -> Result<usize, Refusal> {
        let Some((old, _)) = &mut self.previous else { return Err(Refusal::BadTag) };
        let received = packet.to_vec();
        let before = old.highest(header.ssrc);
        let fresh = self.current.highest(header.ssrc);
        let index = nearest_index(fresh.unwrap_or(header.sequence as u64), header.sequence);
        let mut tried = self.current.take_rtp(packet, header, index);
        let Some(before) = before else { return tried };
        let index = nearest_index(before, header.sequence);
        if fresh.is_none() && tried == Err(Refusal::BadTag) && index >> 16 != 0 {
            packet.copy_from_slice(&received);
            tried = self.current.take_rtp(packet, header, index);
        }
        if tried.is_err() {
            packet.copy_from_slice(&received);
            tried = old.take_rtp(packet, header, index);
        }
        tried
    }

    /// Verifies and decrypts an RTCP compound packet in place; returns its length as plain RTCP.
    pub fn open_rtcp(&mut self, packet: &mut [u8], now_ns: i64) -> Result<usize, Refusal> {
        match &mut self.previous {
            Some((old, until)) if now_ns <= *until => {
                let received = packet.to_vec();
                self.current.open_rtcp(packet).or_else(|_| {
                    packet.copy_from_slice(&received);
                    old.open_rtcp(packet)
                })
            }
            _ => self.current.open_rtcp(packet),
        }
    }
}

impl KeySet {
    /// Checks for replay, opens, and only then notes the index.
    #[inline]
    fn take_rtp(&mut self, packet: &mut [u8], header: &Header, index: u64) -> Result<usize, Refusal> {
        match self.sources.iter().find(|source| source.ssrc == header.ssrc).map(|source| source.window.check(index)) {
            None | Some(Verdict::Fresh) => {}
            Some(Verdict::Replayed) => return Err(Refusal::Replayed),
            Some(Verdict::TooOld) => return Err(Refusal::TooOld),
        }
        let length = self.open_rtp(packet, header, index)?;
        self.accept(header.ssrc, index);
        Ok(length)
    }
}
