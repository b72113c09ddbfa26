//! One open track: what it was told, what it has seen, and what waits for the journal.

use std::net::SocketAddr;

use callward_journal::{BlockBuffer, TrackHandle, TrackId, RECORD_HEADER_BYTES};
use serde_json::{json, Value};

use crate::kernel::prefetch;
use crate::protocol::{Fields, SrtpKey, TrackSettings};
use crate::sequence::Sequence;
use crate::source_check::SourceCheck;
use crate::srtp;
use crate::stats::Stats;

/// Sequence states kept per track; the one heard last stays.
const SEQUENCES_MAX: usize = 16;
/// Gaps that go into the header for a restart.
const HEADER_GAPS_MAX: usize = 64;

/// What a payload type means to the receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PayloadKind {
    Unknown,
    Audio,
    Event,
}

pub(super) struct Track {
    pub id: TrackId,
    pub handle: TrackHandle,
    pub buffer: BlockBuffer,
    pub pair: u32,
    pub settings: TrackSettings,
    pub source: SourceCheck,
    pub srtp: Option<Box<srtp::Receiver>>,
    pub srtp_send: Option<Box<srtp::Sender>>,
    payload_kinds: [PayloadKind; 128],
    payload_clocks: [u32; 128],
    /// Sources heard, the current one at `current`.
    pub sequences: Vec<Sequence>,
    pub current: usize,
    pub stats: Stats,
    /// UTC minus monotonic when the track began: all its times step with the monotonic clock.
    pub utc_offset_ns: i64,
    pub opened_ns: i64,
    /// Monotonic time of the last accepted packet; 0: none yet.
    pub heard_ns: i64,
    pub silent: bool,
    pub last_event: Option<(u32, u32)>,
    pub our_ssrc: u32,
    pub rtcp_from: Option<SocketAddr>,
    pub next_report_ns: i64,
    pub kept_alive_ns: i64,
    pub next_header_ns: i64,
    pub announced_bytes: u64,
    pub dirty: bool,
    /// Bytes of records pushed so far, as the journal counts them.
    pub position: u64,
    /// The slab of the landing in which this track is noted.
    pub landed: u64,
    /// False after the journal dropped packets of it: its position is not known any more.
    pub lands: bool,
    /// Packets counted when the header was last written.
    pub header_packets: u64,
}

impl Track {
    pub fn new(id: TrackId, handle: TrackHandle, settings: TrackSettings, pair: u32, random: u64, now_ns: i64) -> Track {
        let source = SourceCheck::new(settings.source_check, settings.remote.map(|remote| remote.rtp));
        let srtp = settings.srtp.as_ref().map(|key| Box::new(srtp::Receiver::new(&key.master)));
        let srtp_send = settings.srtp_send.as_ref().map(|key| Box::new(srtp::Sender::new(&key.master)));
        let mut track = Track {
            id,
            handle,
            buffer: BlockBuffer::default(),
            pair,
            settings,
            source,
            srtp,
            srtp_send,
            payload_kinds: [PayloadKind::Unknown; 128],
            payload_clocks: [8000; 128],
            sequences: Vec::new(),
            current: 0,
            stats: Stats::default(),
            utc_offset_ns: 0,
            opened_ns: now_ns,
            heard_ns: 0,
            silent: false,
            last_event: None,
            our_ssrc: random as u32,
            rtcp_from: None,
            next_report_ns: 0,
            kept_alive_ns: now_ns,
            next_header_ns: now_ns,
            announced_bytes: 0,
            dirty: false,
            position: 0,
            landed: 0,
            lands: true,
            header_packets: 0,
        };
        track.learn_payload_types();
        track
    }

    /// Has what the next packet needs fetched: first the places in the track, then what they point to.
    #[inline]
    pub fn expect(&self, near: bool) {
        if near {
            if let Some(sequence) = self.sequences.get(self.current) {
                prefetch(sequence);
            }
            if let Some(last) = self.buffer.as_bytes().last() {
                prefetch(last);
            }
        } else {
            prefetch(&self.source);
            prefetch(&self.srtp);
            prefetch(&self.settings);
            prefetch(&self.settings.paused);
            prefetch(&self.sequences);
            prefetch(&self.stats.packets);
            prefetch(&self.stats.last_at_ns);
            prefetch(&self.buffer);
            prefetch(&self.heard_ns);
            prefetch(&self.position);
        }
    }

    /// Takes the announced payload types; earlier ones stay known, since packets under them may still come.
    pub fn learn_payload_types(&mut self) {
        for announced in &self.settings.payload_types {
            let at = (announced.payload_type & 0x7f) as usize;
            self.payload_kinds[at] = if announced.is_event() { PayloadKind::Event } else { PayloadKind::Audio };
            self.payload_clocks[at] = announced.clock_hz;
        }
    }

    #[inline]
    pub fn payload(&self, payload_type: u8) -> (PayloadKind, u32) {
        let at = (payload_type & 0x7f) as usize;
        (self.payload_kinds[at], self.payload_clocks[at])
    }

    /// The sequence state of a source; makes it the current one. The second value tells whether it is new.
    #[inline]
    pub fn sequence(&mut self, ssrc: u32) -> (usize, bool) {
        if let Some(sequence) = self.sequences.get(self.current) {
            if sequence.ssrc == ssrc {
                return (self.current, false);
            }
        }
        self.find_sequence(ssrc)
    }

    #[cold]
    fn find_sequence(&mut self, ssrc: u32) -> (usize, bool) {
        if let Some(at) = self.sequences.iter().position(|sequence| sequence.ssrc == ssrc) {
            self.current = at;
            return (at, false);
        }
        if self.sequences.len() == SEQUENCES_MAX {
            self.sequences.remove(0);
        }
        self.sequences.push(Sequence::new(ssrc));
        self.current = self.sequences.len() - 1;
        self.stats.note_source(ssrc);
        (self.current, true)
    }

    /// The track's time of a monotonic time, in UTC nanoseconds.
    #[inline]
    pub fn utc(&self, monotonic_ns: i64) -> i64 {
        monotonic_ns + self.utc_offset_ns
    }

    /// Adds a mark. A buffer has room for it: marks are small and buffers are handed over long before their bound.
    pub fn mark(&mut self, now_ns: i64, kind: &str, mut fields: Value) {
        if let Value::Object(map) = &mut fields {
            map.insert("kind".into(), Value::String(kind.into()));
        }
        let at_ns = self.utc(now_ns);
        let json = fields.to_string();
        if self.buffer.push_mark(at_ns, json.as_bytes()) {
            self.position += (RECORD_HEADER_BYTES + json.len()) as u64;
        }
    }

    /// Changes what is received with; the old key stays for a while.
    pub fn rekey(&mut self, key: Option<&SrtpKey>, until_ns: i64) {
        match (key, &mut self.srtp) {
            (Some(key), Some(receiver)) => receiver.rekey(&key.master, until_ns),
            (Some(key), None) => self.srtp = Some(Box::new(srtp::Receiver::new(&key.master))),
            (None, _) => self.srtp = None,
        }
    }

    pub fn take_jitter(&mut self) {
        if let Some(sequence) = self.sequences.get(self.current) {
            let clock_hz = self.payload_clocks[self.settings.payload_types.first().map_or(0, |first| first.payload_type as usize & 0x7f)];
            self.stats.jitter_ms = sequence.jitter() as f64 * 1000.0 / clock_hz.max(1) as f64;
        }
    }

    /// The header as the journal keeps it: what the track was told and what a restart needs.
    pub fn header(&mut self, rtp_port: u16, boot: &str) -> Vec<u8> {
        self.take_jitter();
        self.header_packets = self.stats.packets;
        let mut header = self.settings.to_json();
        let counters: Vec<Value> = self
            .srtp
            .iter()
            .flat_map(|receiver| receiver.counters())
            .map(|counter| json!({"ssrc": counter.ssrc, "index": counter.index}))
            .collect();
        header["rtp_port"] = json!(rtp_port);
        header["rtcp_port"] = json!(rtp_port + 1);
        header["position"] = json!(self.position);
        header["counters"] = json!(counters);
        header["latched"] = json!(self.source.latched().map(|source| source.to_string()));
        header["rtcp_from"] = json!(self.rtcp_from.map(|source| source.to_string()));
        header["clock"] = json!({"boot": boot, "utc_offset_ns": self.utc_offset_ns});
        header["stats"] = self.stats.to_json_with_gaps(HEADER_GAPS_MAX);
        header.to_string().into_bytes()
    }

    /// What a stored header says beyond the settings, taken up after a restart.
    pub fn restore(&mut self, header: &Value, boot: &str, utc_offset_ns: i64) {
        self.utc_offset_ns = utc_offset_ns;
        if header["clock"]["boot"].as_str() == Some(boot) {
            self.utc_offset_ns = header["clock"]["utc_offset_ns"].as_i64().unwrap_or(utc_offset_ns);
        }
        self.stats = Stats::from_json(&header["stats"]);
        let address = |field: &str| header[field].as_str().and_then(|text| text.parse::<SocketAddr>().ok());
        if let Some(latched) = address("latched") {
            self.source.latch(latched);
        }
        self.rtcp_from = address("rtcp_from");
        if let Some(receiver) = &mut self.srtp {
            let counters: Vec<srtp::SourceCounter> = header["counters"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|one| {
                    let ssrc = one["ssrc"].as_u64()? as u32;
                    Some(srtp::SourceCounter { ssrc, index: one["index"].as_u64()? })
                })
                .collect();
            receiver.restore(&counters);
        }
    }
}

/// Reads the settings of a stored header.
pub(super) fn settings_of(header: &Value) -> Option<(TrackSettings, u16)> {
    let fields = Fields::of(header, "").ok()?;
    let settings = TrackSettings::read(&fields).ok()?;
    let port = u16::try_from(header["rtp_port"].as_u64()?).ok()?;
    Some((settings, port))
}
