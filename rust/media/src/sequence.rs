//! The order of one synchronisation source: extended sequence numbers, loss, duplicates, restarts and jitter
//! (RFC 3550 appendix A.1, A.3 and A.8). No clock inside: arrival times are arguments.

/// A jump forward of more than this is taken for a restart, not for loss (RFC 3550 appendix A.1).
const DROPOUT_MAX: u16 = 3000;
/// How far behind a packet may be; farther behind is taken for a restart.
const MISORDER_MAX: u16 = 1000;
/// Longest time that a packet may lag by its timestamp and still belong to the same stretch, in seconds.
const LAG_MAX_S: u32 = 60;

/// What one packet means for the order of its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// The first of its source.
    First,
    /// The one expected.
    Next,
    /// `missing` packets before it have not come; `timestamp_step` is its timestamp minus that of the one before the gap.
    Ahead {
        missing: u16,
        timestamp_step: u32,
    },
    /// It fills a place that was counted as lost.
    Reordered {
        extended: u64,
    },
    /// Farther behind than duplicates can be told (128 packets): kept, may be a duplicate.
    Late,
    Duplicate,
    /// Its number does not fit; the next one will tell whether the sender began anew. Kept.
    Suspect,
    /// The sender began anew: no loss is counted.
    Restart,
}

/// State of one source.
#[derive(Debug, Clone, PartialEq)]
pub struct Sequence {
    pub ssrc: u32,
    /// Highest sequence number with its cycles.
    highest: u64,
    /// Bit n: `highest - n` was received.
    seen: u128,
    suspect: Option<u16>,
    /// Timestamp of the packet with the highest number.
    timestamp: u32,
    /// First extended number of this stretch, for the reports.
    first: u64,
    received: u64,
    expected_before: u64,
    received_before: u64,
    transit: i64,
    jitter_q4: u64,
    has_transit: bool,
    /// Expected and received of stretches before a restart.
    earlier_expected: u64,
    earlier_received: u64,
    /// Middle of the NTP time of its last sender report, and when that came (ns, monotonic).
    pub sender_report: Option<(u32, i64)>,
}

impl Sequence {
    pub fn new(ssrc: u32) -> Sequence {
        Sequence {
            ssrc,
            highest: 0,
            seen: 0,
            suspect: None,
            timestamp: 0,
            first: 0,
            received: 0,
            expected_before: 0,
            received_before: 0,
            transit: 0,
            jitter_q4: 0,
            has_transit: false,
            earlier_expected: 0,
            earlier_received: 0,
            sender_report: None,
        }
    }

    /// Length of `to_bytes`.
    pub const BYTES: usize = 64;

    /// What a restart of the process needs, for the landing.
    pub fn to_bytes(&self) -> [u8; Self::BYTES] {
        let mut out = [0u8; Self::BYTES];
        out[..4].copy_from_slice(&self.ssrc.to_le_bytes());
        out[4..8].copy_from_slice(&self.timestamp.to_le_bytes());
        out[8..16].copy_from_slice(&self.highest.to_le_bytes());
        out[16..32].copy_from_slice(&self.seen.to_le_bytes());
        out[32..40].copy_from_slice(&self.first.to_le_bytes());
        out[40..48].copy_from_slice(&self.received.to_le_bytes());
        out[48..56].copy_from_slice(&self.earlier_expected.to_le_bytes());
        out[56..64].copy_from_slice(&self.earlier_received.to_le_bytes());
        out
    }

    pub fn from_bytes(bytes: &[u8; Self::BYTES]) -> Sequence {
        let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let long = |at: usize| word(at) as u64 | (word(at + 4) as u64) << 32;
        let mut sequence = Sequence::new(word(0));
        sequence.timestamp = word(4);
        sequence.highest = long(8);
        sequence.seen = long(16) as u128 | (long(24) as u128) << 64;
        sequence.first = long(32).min(sequence.highest);
        sequence.received = long(40);
        sequence.earlier_expected = long(48);
        sequence.earlier_received = long(56);
        sequence
    }

    /// True once a packet was accepted.
    pub fn started(&self) -> bool {
        self.seen != 0
    }

    /// Takes one packet. `clock_hz` is the clock of its payload type.
    #[inline]
    pub fn accept(&mut self, sequence: u16, timestamp: u32, clock_hz: u32) -> Arrival {
        if self.seen == 0 {
            self.begin(sequence, timestamp);
            return Arrival::First;
        }
        let ahead = sequence.wrapping_sub(self.highest as u16);
        if ahead == 1 {
            self.advance(1, timestamp);
            return Arrival::Next;
        }
        if ahead != 0 && ahead < DROPOUT_MAX {
            let timestamp_step = timestamp.wrapping_sub(self.timestamp);
            self.advance(ahead, timestamp);
            return Arrival::Ahead { missing: ahead - 1, timestamp_step };
        }
        let behind = (self.highest as u16).wrapping_sub(sequence);
        let lag = self.timestamp.wrapping_sub(timestamp);
        let same_stretch = behind < MISORDER_MAX && lag <= clock_hz.max(1).saturating_mul(LAG_MAX_S);
        if same_stretch {
            if behind >= 128 {
                self.received += 1;
                return Arrival::Late;
            }
            if self.seen >> behind & 1 == 1 {
                return Arrival::Duplicate;
            }
            self.seen |= 1 << behind;
            self.received += 1;
            let extended = self.highest - behind as u64;
            if extended < self.first {
                self.first = extended;
            }
            return Arrival::Reordered { extended };
        }
        if self.suspect == Some(sequence) {
            self.earlier_expected += self.highest - self.first + 1;
            self.earlier_received += self.received;
            self.begin(sequence, timestamp);
            return Arrival::Restart;
        }
        self.suspect = Some(sequence.wrapping_add(1));
        Arrival::Suspect
    }

    #[inline]
    fn advance(&mut self, ahead: u16, timestamp: u32) {
        self.highest += ahead as u64;
        self.seen = if ahead >= 128 { 1 } else { self.seen << ahead | 1 };
        self.timestamp = timestamp;
        self.received += 1;
        self.suspect = None;
    }

    fn begin(&mut self, sequence: u16, timestamp: u32) {
        // One cycle ahead, so that a packet before the first one has a number too.
        self.highest = (1 << 16) + sequence as u64;
        self.first = self.highest;
        self.seen = 1;
        self.timestamp = timestamp;
        self.received = 1;
        self.suspect = None;
        self.has_transit = false;
    }

    /// The highest extended number.
    pub fn highest(&self) -> u64 {
        self.highest
    }

    /// Takes the arrival time into the jitter (RFC 3550 section 6.4.1); not for events, whose timestamps stand still.
    #[inline]
    pub fn take_jitter(&mut self, timestamp: u32, arrival_ns: i64, clock_hz: u32) {
        let (seconds, rest) = (arrival_ns.div_euclid(1_000_000_000), arrival_ns.rem_euclid(1_000_000_000));
        let arrival = seconds.wrapping_mul(clock_hz as i64).wrapping_add(rest * clock_hz as i64 / 1_000_000_000);
        let transit = (arrival as u32).wrapping_sub(timestamp) as i32 as i64;
        if self.has_transit {
            let change = (transit - self.transit).unsigned_abs();
            // A jump of the timestamps is no jitter.
            if change < 10 * clock_hz as u64 {
                self.jitter_q4 = self.jitter_q4 + change - ((self.jitter_q4 + 8) >> 4);
            }
        }
        self.transit = transit;
        self.has_transit = true;
    }

    /// Jitter in timestamp units.
    pub fn jitter(&self) -> u32 {
        (self.jitter_q4 >> 4) as u32
    }

    /// Loss for a report: fraction since the last call in 1/256, cumulative loss, highest extended number (RFC 3550 A.3).
    pub fn report(&mut self) -> (u8, i32, u32) {
        let expected = self.earlier_expected + if self.seen == 0 { 0 } else { self.highest - self.first + 1 };
        let received = self.earlier_received + self.received;
        let expected_step = expected.saturating_sub(self.expected_before);
        let received_step = received.saturating_sub(self.received_before);
        self.expected_before = expected;
        self.received_before = received;
        let lost_step = expected_step.saturating_sub(received_step);
        let fraction = (lost_step * 256).checked_div(expected_step).unwrap_or(0).min(255) as u8;
        let lost = (expected as i64 - received as i64).clamp(-0x80_0000, 0x7f_ffff) as i32;
        (fraction, lost, (self.highest.wrapping_sub(1 << 16)) as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn feed(sequence: &mut Sequence, numbers: impl IntoIterator<Item = u32>) -> Vec<Arrival> {
        numbers.into_iter().map(|at| sequence.accept(at as u16, at.wrapping_mul(160), 8000)).collect()
    }

    #[test]
    fn numbers_wrap_without_loss() {
        let mut source = Sequence::new(1);
        let all = feed(&mut source, 65_530..65_550);
        assert_eq!(all[0], Arrival::First);
        assert!(all[1..].iter().all(|one| *one == Arrival::Next));
        assert_eq!(source.report(), (0, 0, 65_549));
    }

    #[test]
    fn loss_reorder_and_duplicates_are_told_apart() {
        let mut source = Sequence::new(1);
        let all = feed(&mut source, [10, 11, 14, 12, 12, 14, 15]);
        assert_eq!(
            all[2..],
            [
                Arrival::Ahead { missing: 2, timestamp_step: 480 },
                Arrival::Reordered { extended: 65_536 + 12 },
                Arrival::Duplicate,
                Arrival::Duplicate,
                Arrival::Next
            ]
        );
        let (fraction, lost, _) = source.report();
        assert_eq!((fraction, lost), (42, 1));
    }

    #[test]
    fn a_packet_before_the_first_one_is_kept() {
        let mut source = Sequence::new(1);
        assert_eq!(feed(&mut source, [1, 0]), [Arrival::First, Arrival::Reordered { extended: 65_536 }]);
        let mut source = Sequence::new(1);
        source.accept(0, 160, 8000);
        assert_eq!(source.accept(65_535, 0, 8000), Arrival::Reordered { extended: 65_535 });
    }

    #[test]
    fn a_restart_is_seen_after_two_packets_and_costs_no_loss() {
        let mut source = Sequence::new(1);
        feed(&mut source, 100..110);
        assert_eq!(source.accept(40_000, 5, 8000), Arrival::Suspect);
        assert_eq!(source.accept(40_001, 165, 8000), Arrival::Restart);
        assert_eq!(source.accept(40_002, 325, 8000), Arrival::Next);
        assert_eq!(source.report().1, 0);
    }

    #[test]
    fn a_restart_at_a_nearby_number_is_no_duplicate() {
        // Same numbers again with timestamps that are new: a sender that began anew after a re-INVITE (fault 13).
        let mut source = Sequence::new(1);
        feed(&mut source, 100..150);
        assert_eq!(source.accept(120, 0x8000_0000, 8000), Arrival::Suspect);
        assert_eq!(source.accept(121, 0x8000_00a0, 8000), Arrival::Restart);
        assert_eq!(source.accept(122, 0x8000_0140, 8000), Arrival::Next);
    }

    #[test]
    fn far_behind_is_late() {
        let mut source = Sequence::new(1);
        feed(&mut source, [1000, 1500]);
        assert_eq!(feed(&mut source, [1200]), [Arrival::Late]);
    }

    #[test]
    fn jitter_follows_rfc3550() {
        let mut source = Sequence::new(1);
        for at in 0..200i64 {
            let wobble = if at % 2 == 0 { 0 } else { 2_000_000 };
            source.take_jitter(at as u32 * 160, at * 20_000_000 + wobble, 8000);
        }
        assert!((15..=16).contains(&source.jitter()), "{}", source.jitter());
    }

    #[test]
    fn a_state_that_was_kept_goes_on() {
        let mut source = Sequence::new(7);
        feed(&mut source, [65_530, 65_531, 65_540, 65_533]);
        let mut again = Sequence::from_bytes(&source.to_bytes());
        assert_eq!(again, source);
        assert_eq!(feed(&mut again, [65_533, 65_541]), [Arrival::Duplicate, Arrival::Next]);
    }

    proptest! {
        #[test]
        fn any_order_of_a_window_counts_each_packet_once(order in Just((0u32..60).collect::<Vec<_>>()).prop_shuffle(), start: u16) {
            let mut source = Sequence::new(1);
            let mut lost = 0i64;
            for at in &order {
                let number = start.wrapping_add(*at as u16);
                match source.accept(number, at.wrapping_mul(160), 8000) {
                    Arrival::Ahead { missing, .. } => lost += missing as i64,
                    Arrival::Reordered { extended } if extended > source.first => lost -= 1,
                    Arrival::Reordered { .. } | Arrival::First | Arrival::Next => {}
                    other => prop_assert!(false, "{other:?}"),
                }
                prop_assert_eq!(source.accept(number, at.wrapping_mul(160), 8000), Arrival::Duplicate);
            }
            prop_assert_eq!(source.report().1, 0);
            let _ = lost;
        }

        #[test]
        fn any_input_is_taken_without_panic(input in proptest::collection::vec(any::<(u16, u32)>(), 0..400)) {
            let mut source = Sequence::new(1);
            for (number, timestamp) in input {
                source.accept(number, timestamp, 8000);
                source.take_jitter(timestamp, number as i64 * 1_000_000, 8000);
                source.report();
            }
        }
    }
}
