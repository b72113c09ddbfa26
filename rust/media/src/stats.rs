//! What is counted per track, as it stands in replies and in the stored track.

use serde_json::{json, Value};

/// Gaps kept per track; further ones are only counted.
pub const GAPS_MAX: usize = 1_000;
/// Synchronisation sources named per track.
pub const SOURCES_MAX: usize = 16;
/// A late packet can still fill one of this many last gaps.
const GAPS_SEARCHED: usize = 16;

/// A run of packets that did not come.
#[derive(Debug, Clone, PartialEq)]
pub struct Gap {
    pub at_ns: i64,
    /// Length of one missing packet, in microseconds.
    pub packet_us: u64,
    pub packets: u32,
    ssrc: u32,
    first: u64,
    end: u64,
}

/// Counters of one track. `lost` is what is missing now: a packet that comes late takes itself off again.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stats {
    pub packets: u64,
    pub bytes: u64,
    pub lost: u64,
    pub late: u64,
    pub duplicate: u64,
    pub reordered: u64,
    pub stranger: u64,
    pub unknown_payload_type: u64,
    pub bad_srtp: u64,
    pub malformed: u64,
    pub while_paused: u64,
    /// Received, but the journal could not take them in time.
    pub overflow: u64,
    pub events: u64,
    pub rtcp_received: u64,
    pub rtcp_sent: u64,
    pub first_at_ns: i64,
    pub last_at_ns: i64,
    pub jitter_ms: f64,
    pub ssrcs: Vec<u32>,
    pub gaps: Vec<Gap>,
    pub gaps_dropped: u64,
    pub cname: String,
}

impl Stats {
    /// Notes `missing` packets between the extended numbers `first` and `first + missing`.
    pub fn note_gap(&mut self, ssrc: u32, first: u64, missing: u32, at_ns: i64, packet_us: u64) {
        self.lost += missing as u64;
        if self.gaps.len() >= GAPS_MAX {
            self.gaps_dropped += 1;
            return;
        }
        self.gaps.push(Gap { at_ns, packet_us, packets: missing, ssrc, first, end: first + missing as u64 });
    }

    /// A packet came after all. Packets before the first one of a source were never counted as lost.
    pub fn fill_gap(&mut self, ssrc: u32, extended: u64) {
        let start = self.gaps.len().saturating_sub(GAPS_SEARCHED);
        for at in (start..self.gaps.len()).rev() {
            let gap = &mut self.gaps[at];
            if gap.ssrc == ssrc && (gap.first..gap.end).contains(&extended) {
                gap.packets -= 1;
                self.lost = self.lost.saturating_sub(1);
                if gap.packets == 0 {
                    self.gaps.remove(at);
                }
                return;
            }
        }
    }

    pub fn note_source(&mut self, ssrc: u32) {
        if self.ssrcs.len() < SOURCES_MAX && !self.ssrcs.contains(&ssrc) {
            self.ssrcs.push(ssrc);
        }
    }

    pub fn to_json(&self) -> Value {
        self.to_json_with_gaps(GAPS_MAX)
    }

    /// As JSON with at most the first `gaps_max` gaps.
    pub fn to_json_with_gaps(&self, gaps_max: usize) -> Value {
        let kept = self.gaps.len().min(gaps_max);
        let gaps: Vec<Value> = self.gaps[..kept]
            .iter()
            .map(|gap| {
                let ms = (gap.packet_us * gap.packets as u64) as f64 / 1000.0;
                json!({"at_ns": gap.at_ns, "ms": ms, "packets": gap.packets})
            })
            .collect();
        json!({
            "packets": self.packets, "bytes": self.bytes, "lost": self.lost, "late": self.late, "duplicate": self.duplicate,
            "reordered": self.reordered, "stranger": self.stranger, "unknown_payload_type": self.unknown_payload_type,
            "bad_srtp": self.bad_srtp, "malformed": self.malformed, "while_paused": self.while_paused, "overflow": self.overflow,
            "jitter_ms": (self.jitter_ms * 1000.0).round() / 1000.0,
            "first_at_ns": if self.first_at_ns == 0 { Value::Null } else { json!(self.first_at_ns) },
            "last_at_ns": if self.last_at_ns == 0 { Value::Null } else { json!(self.last_at_ns) },
            "ssrcs": self.ssrcs, "gaps": gaps, "gaps_dropped": self.gaps_dropped + (self.gaps.len() - kept) as u64,
            "events": self.events, "rtcp_received": self.rtcp_received, "rtcp_sent": self.rtcp_sent, "cname": self.cname,
        })
    }

    /// Takes up what was kept before a restart.
    pub fn from_json(value: &Value) -> Stats {
        let number = |field: &str| value[field].as_u64().unwrap_or(0);
        let mut stats = Stats {
            packets: number("packets"),
            bytes: number("bytes"),
            lost: number("lost"),
            late: number("late"),
            duplicate: number("duplicate"),
            reordered: number("reordered"),
            stranger: number("stranger"),
            unknown_payload_type: number("unknown_payload_type"),
            bad_srtp: number("bad_srtp"),
            malformed: number("malformed"),
            while_paused: number("while_paused"),
            overflow: number("overflow"),
            events: number("events"),
            rtcp_received: number("rtcp_received"),
            rtcp_sent: number("rtcp_sent"),
            first_at_ns: value["first_at_ns"].as_i64().unwrap_or(0),
            last_at_ns: value["last_at_ns"].as_i64().unwrap_or(0),
            jitter_ms: value["jitter_ms"].as_f64().unwrap_or(0.0),
            gaps_dropped: number("gaps_dropped"),
            cname: value["cname"].as_str().unwrap_or_default().to_string(),
            ..Stats::default()
        };
        for ssrc in value["ssrcs"].as_array().into_iter().flatten().take(SOURCES_MAX) {
            stats.ssrcs.extend(ssrc.as_u64().map(|ssrc| ssrc as u32));
        }
        for gap in value["gaps"].as_array().into_iter().flatten().take(GAPS_MAX) {
            let packets = gap["packets"].as_u64().unwrap_or(0).min(u32::MAX as u64) as u32;
            let ms = gap["ms"].as_f64().unwrap_or(0.0);
            stats.gaps.push(Gap {
                at_ns: gap["at_ns"].as_i64().unwrap_or(0),
                packet_us: (ms * 1000.0 / packets.max(1) as f64).max(0.0) as u64,
                packets,
                ssrc: 0,
                first: 0,
                end: 0,
            });
        }
        stats
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_shrinks_as_late_packets_fill_it() {
        let mut stats = Stats::default();
        stats.note_gap(1, 100, 2, 5_000, 20_000);
        assert_eq!(stats.to_json()["gaps"][0], json!({"at_ns": 5000, "ms": 40.0, "packets": 2}));
        stats.fill_gap(1, 101);
        assert_eq!((stats.lost, stats.gaps[0].packets), (1, 1));
        stats.fill_gap(2, 100);
        assert_eq!(stats.lost, 1, "another source fills nothing");
        stats.fill_gap(1, 100);
        assert_eq!((stats.lost, stats.gaps.len()), (0, 0));
    }

    #[test]
    fn gaps_are_bounded() {
        let mut stats = Stats::default();
        for at in 0..1_500 {
            stats.note_gap(1, at * 10, 1, 0, 0);
        }
        assert_eq!((stats.gaps.len(), stats.gaps_dropped, stats.lost), (1_000, 500, 1_500));
    }

    #[test]
    fn what_is_kept_comes_back() {
        let mut stats = Stats { packets: 7, first_at_ns: 3, cname: "a@b".into(), ssrcs: vec![9], ..Stats::default() };
        stats.note_gap(1, 100, 2, 5_000, 20_000);
        let again = Stats::from_json(&stats.to_json());
        assert_eq!(again.to_json(), stats.to_json());
    }
}
