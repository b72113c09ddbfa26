//! Which address a track listens to: never re-targeted by strangers (the RTP bleed and spray attacks, ES2025-01).
//!
//! While nothing is latched, packets of at most four candidates are held back, at most five of each. The candidate that sends five
//! in a row (or one that was authenticated) is latched and its packets are handed over; those of the others are dropped. So a
//! stranger can make the track listen only where nothing was negotiated, and nothing of him is stored when he loses.

use std::net::SocketAddr;

const CANDIDATES_MAX: usize = 4;
/// Packets in a row that latch a source.
const LEARNING_PACKETS: u8 = 5;
/// After so many packets without five in a row, the busiest candidate is latched.
const LEARNING_TOTAL: u8 = 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Strict,
    Symmetric,
    Learn,
}

impl Mode {
    pub fn from_name(name: &str) -> Option<Mode> {
        match name {
            "strict" => Some(Mode::Strict),
            "symmetric" => Some(Mode::Symmetric),
            "learn" => Some(Mode::Learn),
            _ => None,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Mode::Strict => "strict",
            Mode::Symmetric => "symmetric",
            Mode::Learn => "learn",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Accept,
    /// It may become the source: hold the packet back with `SourceCheck::hold` or, when authenticated, `SourceCheck::latch`.
    Candidate,
    Stranger,
}

struct Candidate {
    from: SocketAddr,
    held: Vec<(i64, Vec<u8>)>,
    total: u8,
}

/// The source check of one track.
pub struct SourceCheck {
    mode: Mode,
    remote: Option<SocketAddr>,
    latched: Option<SocketAddr>,
    candidates: Vec<Candidate>,
    last: Option<SocketAddr>,
    in_a_row: u8,
    total: u8,
}

impl SourceCheck {
    /// `remote` None: nothing is negotiated yet, so the first packets tell, whatever the mode.
    pub fn new(mode: Mode, remote: Option<SocketAddr>) -> SourceCheck {
        let latched = if mode == Mode::Strict { remote } else { None };
        SourceCheck { mode, remote, latched, candidates: Vec::new(), last: None, in_a_row: 0, total: 0 }
    }

    pub fn mode(&self) -> Mode {
        self.mode
    }

    pub fn remote(&self) -> Option<SocketAddr> {
        self.remote
    }

    /// Where packets come from, once that is certain.
    pub fn latched(&self) -> Option<SocketAddr> {
        self.latched
    }

    #[inline]
    pub fn check(&self, from: &SocketAddr) -> Verdict {
        if let Some(latched) = &self.latched {
            return if latched == from { Verdict::Accept } else { Verdict::Stranger };
        }
        match &self.remote {
            Some(remote) if remote == from => Verdict::Candidate,
            Some(remote) if self.mode != Mode::Learn && remote.ip() != from.ip() => Verdict::Stranger,
            _ => Verdict::Candidate,
        }
    }

    /// True when this candidate needs no waiting: it is the negotiated source.
    pub fn is_negotiated(&self, from: &SocketAddr) -> bool {
        self.remote.as_ref() == Some(from)
    }

    /// Goes on with this source only; returns what was held back of it, oldest first, and how many packets of others are dropped.
    pub fn latch(&mut self, from: SocketAddr) -> (Vec<(i64, Vec<u8>)>, u64) {
        self.latched = Some(from);
        self.release(|candidate| candidate == &from)
    }

    /// Holds a packet of a candidate back. Returns the source to latch when this one decides it.
    pub fn hold(&mut self, from: SocketAddr, arrival_ns: i64, packet: &[u8]) -> Held {
        let at = match self.candidates.iter().position(|candidate| candidate.from == from) {
            Some(at) => at,
            None if self.candidates.len() < CANDIDATES_MAX => {
                self.candidates.push(Candidate { from, held: Vec::new(), total: 0 });
                self.candidates.len() - 1
            }
            None => return Held::Dropped,
        };
        self.total = self.total.saturating_add(1);
        self.in_a_row = if self.last == Some(from) { self.in_a_row + 1 } else { 1 };
        self.last = Some(from);
        let candidate = &mut self.candidates[at];
        candidate.total = candidate.total.saturating_add(1);
        if candidate.held.len() < LEARNING_PACKETS as usize {
            candidate.held.push((arrival_ns, packet.to_vec()));
        }
        if self.in_a_row >= LEARNING_PACKETS {
            return Held::Latch(from);
        }
        if self.total >= LEARNING_TOTAL {
            // The busiest; of two equals the one that came first.
            let mut best = 0;
            for at in 1..self.candidates.len() {
                if self.candidates[at].total > self.candidates[best].total {
                    best = at;
                }
            }
            return Held::Latch(self.candidates[best].from);
        }
        Held::Waiting
    }

    /// A new negotiation. The latched source stays when the rules still allow it.
    pub fn renegotiate(&mut self, mode: Mode, remote: Option<SocketAddr>) -> (Vec<(i64, Vec<u8>)>, u64) {
        let changed = remote != self.remote || mode != self.mode;
        self.mode = mode;
        self.remote = remote;
        if !changed {
            return (Vec::new(), 0);
        }
        let Some(remote) = remote else { return (Vec::new(), 0) };
        match mode {
            Mode::Strict => self.latch(remote),
            Mode::Symmetric | Mode::Learn => {
                let keeps = self.latched.is_some_and(|latched| latched == remote);
                if keeps {
                    return (Vec::new(), 0);
                }
                self.latched = None;
                self.last = None;
                self.in_a_row = 0;
                self.total = 0;
                if self.candidates.iter().any(|candidate| candidate.from == remote) {
                    return self.latch(remote);
                }
                (Vec::new(), 0)
            }
        }
    }

    /// The track ends before a source was certain: what the likeliest candidate sent (not a stranger's).
    pub fn give_up(&mut self) -> (Vec<(i64, Vec<u8>)>, u64) {
        if self.latched.is_some() {
            return (Vec::new(), 0);
        }
        let best = self.candidates.iter().max_by_key(|candidate| candidate.total).map(|candidate| candidate.from);
        self.release(|candidate| Some(*candidate) == best)
    }

    fn release(&mut self, keep: impl Fn(&SocketAddr) -> bool) -> (Vec<(i64, Vec<u8>)>, u64) {
        let mut kept = Vec::new();
        let mut dropped = 0;
        for candidate in self.candidates.drain(..) {
            if keep(&candidate.from) {
                kept = candidate.held;
            } else {
                dropped += candidate.total as u64;
            }
        }
        (kept, dropped)
    }
}

/// What became of a packet that was held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    Waiting,
    Latch(SocketAddr),
    /// Too many candidates at once.
    Dropped,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn strict_takes_the_negotiated_source_only() {
        let check = SourceCheck::new(Mode::Strict, Some(address("192.0.2.1:4000")));
        assert_eq!(check.check(&address("192.0.2.1:4000")), Verdict::Accept);
        assert_eq!(check.check(&address("192.0.2.1:4001")), Verdict::Stranger);
        assert_eq!(check.check(&address("192.0.2.2:4000")), Verdict::Stranger);
    }

    #[test]
    fn symmetric_latches_another_port_of_the_same_host_after_five_in_a_row() {
        let mut check = SourceCheck::new(Mode::Symmetric, Some(address("192.0.2.1:4000")));
        let nat = address("192.0.2.1:61000");
        assert_eq!(check.check(&address("198.51.100.1:4000")), Verdict::Stranger);
        for at in 0..4 {
            assert_eq!(check.check(&nat), Verdict::Candidate);
            assert_eq!(check.hold(nat, at, &[at as u8]), Held::Waiting);
        }
        assert_eq!(check.hold(nat, 4, &[4]), Held::Latch(nat));
        let (held, dropped) = check.latch(nat);
        assert_eq!(held.iter().map(|(_, packet)| packet[0]).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
        assert_eq!(dropped, 0);
        assert_eq!(check.check(&address("192.0.2.1:61001")), Verdict::Stranger);
        assert_eq!(check.check(&address("192.0.2.1:4000")), Verdict::Stranger);
    }

    #[test]
    fn es2025_01_a_spray_before_the_first_packet_neither_latches_nor_is_kept() {
        let mut check = SourceCheck::new(Mode::Learn, None);
        for at in 0..50u16 {
            let stranger = address(&format!("198.51.100.{}:{}", at % 7, 1000 + at));
            let _ = check.hold(stranger, 0, b"spray");
            if check.latched().is_some() {
                panic!("latched on a spray");
            }
            if at == 3 {
                break;
            }
        }
        let (_, _) = check.renegotiate(Mode::Strict, Some(address("192.0.2.1:4000")));
        assert_eq!(check.check(&address("192.0.2.1:4000")), Verdict::Accept);
        assert_eq!(check.check(&address("198.51.100.1:1001")), Verdict::Stranger);
    }

    #[test]
    fn two_senders_in_turns_end_with_the_busier_one() {
        let mut check = SourceCheck::new(Mode::Learn, None);
        let (busy, other) = (address("192.0.2.1:1"), address("192.0.2.2:1"));
        let mut latched = None;
        for at in 0..40 {
            let from = if at % 3 == 2 { other } else { busy };
            if let Held::Latch(source) = check.hold(from, at, b"") {
                latched = Some(source);
                break;
            }
        }
        assert_eq!(latched, Some(busy));
    }

    #[test]
    fn s38_media_before_the_negotiation_is_kept_when_it_turns_out_to_be_the_peers() {
        let mut check = SourceCheck::new(Mode::Learn, None);
        let peer = address("192.0.2.1:4000");
        assert_eq!(check.hold(peer, 1, b"first"), Held::Waiting);
        assert_eq!(check.hold(address("198.51.100.9:9"), 1, b"stranger"), Held::Waiting);
        let (held, dropped) = check.renegotiate(Mode::Strict, Some(peer));
        assert_eq!(held, vec![(1, b"first".to_vec())]);
        assert_eq!(dropped, 1);
    }

    #[test]
    fn a_short_call_keeps_what_was_held_back() {
        let mut check = SourceCheck::new(Mode::Learn, None);
        check.hold(address("192.0.2.1:1"), 1, b"a");
        check.hold(address("192.0.2.1:1"), 2, b"b");
        check.hold(address("192.0.2.9:1"), 2, b"x");
        let (held, dropped) = check.give_up();
        assert_eq!(held.len(), 2);
        assert_eq!(dropped, 1);
    }
}
