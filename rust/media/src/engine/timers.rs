//! What is due by time: the hand-over to the journal, receiver reports, keep-alives, silence, acknowledgements, headers.

use std::net::SocketAddr;
use std::sync::atomic::Ordering::Relaxed;

use serde_json::{json, Map, Value};

use super::{live_state, Engine, Notice};
use crate::rtcp::{self, ReportBlock};

/// How often the timers of all tracks are looked at.
pub(super) const EVERY_NS: i64 = 250_000_000;
/// An address translator forgets a binding after 30 s at the earliest (RFC 6263 section 4.1 asks for 15 s).
const KEEP_ALIVE_NS: i64 = 15_000_000_000;
/// How often the header of a track is written anew, for the counters that a restart after a power loss needs.
pub(super) const HEADER_EVERY_NS: i64 = 30_000_000_000;
/// Tracks named in one `acked` event.
const ACKED_TRACKS_MAX: usize = 2_000;

/// Five seconds, spread from half to one and a half (RFC 3550 section 6.3.1).
pub(super) fn report_interval_ns(random: u64) -> i64 {
    2_500_000_000 + (random % 5_000) as i64 * 1_000_000
}

impl Engine {
    /// Hands everything that waits to the journal.
    pub(super) fn flush(&mut self) {
        for at in std::mem::take(&mut self.dirty) {
            if let Some(track) = self.tracks[at as usize].as_mut() {
                track.dirty = false;
                if track.lands {
                    let id = track.id;
                    self.landing.keep_state(at, &id, |out| live_state::write(track, out));
                }
                self.feed.take(track.handle.slot(), &mut track.buffer);
            }
        }
        self.submit();
    }

    /// Sends the batch to the journal; what it cannot take is lost, counted and told.
    pub(super) fn submit(&mut self) {
        let all_lost = self.feed.submit();
        if !all_lost.is_empty() {
            self.landing.give_up_waiting();
        }
        for lost in all_lost {
            self.totals.overflow += lost.packets as u64;
            let Some(&at) = self.by_slot.get(&lost.slot) else { continue };
            self.landing.forget_state(at);
            if let Some(track) = self.tracks[at as usize].as_mut() {
                track.lands = false;
                track.stats.overflow += lost.packets as u64;
                let name = track.id.to_string();
                self.outbox.event("overflow", json!({"track": name, "packets": lost.packets}));
            }
        }
    }

    /// Begins another slab of the landing when the current one is well filled.
    pub(super) fn settle_landing(&mut self) {
        if self.landing.wants_slab() {
            let tracks = &self.tracks;
            self.landing.begin_slab(|at| {
                let track = tracks[at as usize].as_ref()?;
                track.lands.then(|| (track.handle.clone(), track.position))
            });
        }
    }

    pub(super) fn tell_notices(&mut self) {
        for notice in std::mem::take(&mut self.notices) {
            let Notice::Heard { track, first, arrival_ns } = notice;
            if let Some(track) = self.tracks[track as usize].as_ref() {
                if first {
                    let at_ns = track.utc(arrival_ns);
                    self.outbox.event("media_started", json!({"track": track.id.to_string(), "at_ns": at_ns}));
                }
            }
        }
    }

    pub(super) fn run_timers(&mut self) {
        let now_ns = self.clock.now_ns;
        let watched = self.shared.ack_watchers.load(Relaxed) > 0;
        let mut acked = Map::new();
        for at in 0..self.tracks.len() {
            let Some(track) = self.tracks[at].as_mut() else { continue };
            if !track.settings.paused && !track.silent {
                let since_ns = if track.heard_ns == 0 { track.opened_ns } else { track.heard_ns };
                if now_ns - since_ns >= self.silent_after_ns {
                    track.silent = true;
                    let since_ns = track.utc(since_ns);
                    self.outbox.event("media_silent", json!({"track": track.id.to_string(), "since_ns": since_ns}));
                }
            }
            let bytes = track.handle.acked_bytes();
            if watched && bytes != track.announced_bytes {
                track.announced_bytes = bytes;
                acked.insert(track.id.to_string(), json!(bytes));
            }
            let report_due = now_ns >= track.next_report_ns;
            let alive_due = now_ns - track.heard_ns.max(track.kept_alive_ns) >= KEEP_ALIVE_NS;
            let header_due = now_ns >= track.next_header_ns && track.header_packets != track.stats.packets;
            if report_due {
                self.send_report(at);
            }
            if alive_due {
                self.keep_alive(at);
            }
            if header_due {
                self.keep_header(at);
            }
            if acked.len() >= ACKED_TRACKS_MAX {
                self.outbox.acked(std::mem::take(&mut acked));
            }
        }
        if !acked.is_empty() {
            self.outbox.acked(acked);
        }
    }

    /// Sends a receiver report to where the peer's RTCP comes from or was negotiated.
    fn send_report(&mut self, at: usize) {
        let random = self.random();
        let now_ns = self.clock.now_ns;
        let Some(track) = self.tracks[at].as_mut() else { return };
        track.next_report_ns = now_ns + report_interval_ns(random);
        let pair = self.ports.pair(track.pair);
        let to = track.rtcp_from.or_else(|| {
            if track.settings.rtcp_mux {
                return track.source.latched().or(track.settings.remote.map(|remote| remote.rtp));
            }
            let remote = track.settings.remote?;
            remote.rtcp.or_else(|| Some(SocketAddr::new(remote.rtp.ip(), remote.rtp.port().checked_add(1)?)))
        });
        // Without a key to send with, a peer that speaks SRTP would not understand us.
        let Some(to) = to.filter(|_| track.srtp.is_none() || track.srtp_send.is_some()) else { return };
        let blocks: Vec<ReportBlock> = track
            .sequences
            .iter_mut()
            .rev()
            .filter(|sequence| sequence.started())
            .take(4)
            .map(|sequence| {
                let (fraction_lost, cumulative_lost, highest_sequence) = sequence.report();
                let (last_sender_report, delay_since_last) = match sequence.sender_report {
                    Some((middle_ntp, at_ns)) => {
                        let delay = (now_ns - at_ns).max(0) as i128 * 65_536 / 1_000_000_000;
                        (middle_ntp, delay.min(u32::MAX as i128) as u32)
                    }
                    None => (0, 0),
                };
                ReportBlock {
                    ssrc: sequence.ssrc,
                    fraction_lost,
                    cumulative_lost,
                    highest_sequence,
                    jitter: sequence.jitter(),
                    last_sender_report,
                    delay_since_last,
                }
            })
            .collect();
        self.scratch.clear();
        rtcp::write_receiver_report(&mut self.scratch, track.our_ssrc, &blocks, &format!("{:08x}@callward", track.our_ssrc));
        if let Some(sender) = &mut track.srtp_send {
            if !sender.protect(&mut self.scratch) {
                return;
            }
        }
        let socket = if track.settings.rtcp_mux { &pair.rtp } else { &pair.rtcp };
        // A report that cannot be sent is not missed: the next one follows.
        if socket.send_to(&self.scratch, to).is_ok() {
            track.stats.rtcp_sent += 1;
        }
    }

    /// Sends an empty datagram towards a peer that is not heard, so that a translator between us keeps its binding (RFC 6263 section 4.1).
    fn keep_alive(&mut self, at: usize) {
        let now_ns = self.clock.now_ns;
        let Some(track) = self.tracks[at].as_mut() else { return };
        track.kept_alive_ns = now_ns;
        if let Some(to) = track.source.latched().or(track.settings.remote.map(|remote| remote.rtp)) {
            // Lost or refused: the next one follows.
            let _ = self.ports.pair(track.pair).rtp.send_to(&[], to);
        }
    }

    fn keep_header(&mut self, at: usize) {
        let Some(track) = self.tracks[at].as_mut() else { return };
        track.next_header_ns = self.clock.now_ns + HEADER_EVERY_NS;
        let header = track.header(self.ports.pair(track.pair).rtp_port, &self.boot);
        let name = track.id;
        if let Err(error) = self.journal.update_track(name, &header, Box::new(|_| {})) {
            self.log_failure("header_not_kept", &error);
        }
    }

    /// Writes the headers of all open tracks, before the process ends.
    pub(super) fn keep_headers(&mut self) {
        for at in 0..self.tracks.len() {
            self.keep_header(at);
        }
    }
}

/// The event of many tracks' acknowledged bytes.
pub fn acked_fields(tracks: Map<String, Value>) -> Value {
    json!({ "tracks": tracks })
}
