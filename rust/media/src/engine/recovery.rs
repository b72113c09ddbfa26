//! Going on after a restart: tracks that were open listen on their ports again, with their keys and counters.
//!
//! What the journal has of a track is certain. What the landing has beyond that was received in the last moments and is handed to the
//! journal now. Without a landing (the machine was restarted, or nobody kept it) the counters of the last header go on.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use callward_journal::{read_track, RecordKind, Records, TrackId, TrackInfo, TrackPart, TrackState, RECORD_HEADER_BYTES};
use serde_json::{json, Value};

use super::packets::count;
use super::track::{settings_of, Track};
use super::{live_state, Engine};
use crate::landing::Left;
use crate::log;
use crate::rtp;

/// How long the ports of the process before may still be held: the kernel lets go of io_uring's sockets a moment after the kill.
const PORT_PATIENCE: Duration = Duration::from_millis(1_500);
/// Without a landing, tracks up to this size are counted anew from the journal; all of them together up to the second bound, so that a
/// start never takes long. Others go on with the counters of their last header, at most half a minute old.
const RECOUNT_MAX_BYTES: u64 = 16 << 20;
const RECOUNT_TOTAL_BYTES: u64 = 256 << 20;
/// How long the journal may take to sync what was recovered.
const SYNC_PATIENCE: Duration = Duration::from_secs(10);

impl Engine {
    /// Takes up the open tracks of the journal, with what an earlier process left in the landing. Those whose ports cannot be had are
    /// ended; returns their names.
    pub fn recover(&mut self, left: &Left) -> Vec<String> {
        // Sockets that were inherited: received from again, be it only to drain them.
        self.fresh_pairs.extend(0..self.ports.len() as u32);
        // The marks `restart` get their places before anything else does.
        self.journal.flush(SYNC_PATIENCE);
        let mut ended = Vec::new();
        let mut positions = HashMap::new();
        let mut recount_bytes = RECOUNT_TOTAL_BYTES;
        let give_up_at = Instant::now() + PORT_PATIENCE;
        for info in self.journal.tracks() {
            if info.state == TrackState::Closed {
                continue;
            }
            match self.resume(&info, left, give_up_at, &mut recount_bytes) {
                Some((at, position)) => {
                    positions.insert(info.track, (at, position));
                }
                None => {
                    self.end_lost_track(&info);
                    ended.push(info.track.to_string());
                }
            }
        }
        let packets = self.take_left(left, &positions);
        if !positions.is_empty() || !ended.is_empty() {
            log::info("recovered", json!({"going_on": positions.len(), "ended": ended.len(), "packets_from_landing": packets}));
        }
        self.flush();
        self.journal.flush(SYNC_PATIENCE);
        self.landing.reset();
        self.publish();
        ended
    }

    /// Makes a track of the journal an open one again. Returns its place and up to which position its counters go.
    fn resume(&mut self, info: &TrackInfo, left: &Left, give_up_at: Instant, recount_bytes: &mut u64) -> Option<(u32, u64)> {
        let header: Value = serde_json::from_slice(&info.header).ok()?;
        let (settings, port) = settings_of(&header)?;
        let handle = self.journal.handle(info.track)?;
        let (pair, new) = loop {
            match self.ports.claim(settings.address, port) {
                Some(claimed) => break claimed,
                None if Instant::now() < give_up_at && self.ports.serves(&settings.address) => {
                    std::thread::sleep(Duration::from_millis(10));
                }
                None => return None,
            }
        };
        if new {
            self.note_new_pair(pair);
        }
        let random = self.random();
        let recovered = handle.recovered_bytes();
        let mut track = Track::new(info.track, handle, settings, pair, random, self.clock.now_ns);
        track.restore(&header, &self.boot, self.clock.utc_offset_ns);
        let state = left.states.iter().find(|(id, _)| *id == info.track);
        let counted = match state.and_then(|(_, bytes)| live_state::read(&mut track, &bytes[24..])) {
            Some(counted) => counted,
            None => {
                if recovered <= RECOUNT_MAX_BYTES && recovered <= *recount_bytes {
                    *recount_bytes -= recovered;
                    self.recount(&mut track, header["position"].as_u64().unwrap_or(0));
                }
                recovered
            }
        };
        track.position = track.handle.acked_bytes();
        track.announced_bytes = recovered;
        track.next_report_ns = self.clock.now_ns + super::timers::report_interval_ns(random) / 2;
        track.next_header_ns = self.clock.now_ns + 1_000_000_000;
        Some((self.insert(track), counted))
    }

    /// Counts the records behind the last header by reading them from the journal.
    fn recount(&self, track: &mut Track, from: u64) {
        let mut records = Vec::new();
        let records_cell = std::cell::RefCell::new(&mut records);
        let read = read_track(&self.journal_dir, &self.keys_dir, track.id, true, &mut || records_cell.borrow_mut().clear(), &mut |part| {
            if let TrackPart::Records { mut position, plain } = part {
                for record in Records::of(plain) {
                    if position >= from && record.kind == RecordKind::Packet as u8 {
                        let header = rtp::parse(record.bytes);
                        records_cell.borrow_mut().extend(header.map(|header| (record.arrival_ns, record.bytes.len(), header)));
                    }
                    position += (RECORD_HEADER_BYTES + record.bytes.len()) as u64;
                }
            }
            Ok(())
        });
        if let Err(error) = read {
            self.log_failure("track_not_recounted", &error);
        }
        let paused = std::mem::replace(&mut track.settings.paused, false);
        for (arrival_ns, bytes, header) in records {
            if let Some(receiver) = &mut track.srtp {
                receiver.note(header.ssrc, header.sequence);
            }
            count(track, bytes, &header, arrival_ns - track.utc_offset_ns);
        }
        track.settings.paused = paused;
    }

    /// Counts and stores the packets of the landing that the counters or the journal do not have.
    fn take_left(&mut self, left: &Left, positions: &HashMap<TrackId, (u32, u64)>) -> u64 {
        let mut stored = 0;
        for landed in &left.packets {
            let Some(&(at, counted)) = positions.get(&landed.track) else { continue };
            let (Some(track), Some(header)) = (self.tracks[at as usize].as_mut(), rtp::parse(&landed.packet)) else { continue };
            if landed.position >= counted {
                if let Some(receiver) = &mut track.srtp {
                    receiver.note(header.ssrc, header.sequence);
                }
                let paused = std::mem::replace(&mut track.settings.paused, false);
                count(track, landed.packet.len(), &header, landed.arrival_ns - track.utc_offset_ns);
                track.settings.paused = paused;
            }
            if landed.position >= track.handle.recovered_bytes() {
                if !track.buffer.push_packet(landed.arrival_ns, &landed.packet) {
                    self.feed.take(track.handle.slot(), &mut track.buffer);
                    track.buffer.push_packet(landed.arrival_ns, &landed.packet);
                }
                track.position += (RECORD_HEADER_BYTES + landed.packet.len()) as u64;
                stored += 1;
                self.touch(at);
            }
        }
        stored
    }

    /// Ends a track that cannot go on, with the statistics of its last header.
    fn end_lost_track(&mut self, info: &TrackInfo) {
        let header: Value = serde_json::from_slice(&info.header).unwrap_or(Value::Null);
        let stats = if header["stats"].is_object() { header["stats"].clone() } else { json!({}) };
        if let Err(error) = self.journal.close_track(info.track, stats.to_string().as_bytes(), Box::new(|_| {})) {
            self.log_failure("track_not_ended", &error);
        }
    }
}
