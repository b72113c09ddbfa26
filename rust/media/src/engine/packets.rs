//! The way of a packet: source check, header, SRTP, order, journal buffer. Runs for each datagram; nothing here waits or allocates in
//! the normal case.

use std::net::SocketAddr;

use callward_journal::RECORD_HEADER_BYTES;
use serde_json::json;

use super::track::{PayloadKind, Track};
use super::{Engine, NO_TRACK};
use crate::kernel::{Arrived, Sink};
use crate::rtcp;
use crate::rtp;
use crate::sequence::Arrival;
use crate::source_check::{Held, Verdict};
use crate::srtp::Refusal;

impl Sink for Engine {
    #[inline]
    fn expect(&self, socket: u32, near: bool) {
        let at = self.pair_tracks.get((socket >> 1) as usize).copied().unwrap_or(NO_TRACK);
        if let Some(Some(track)) = self.tracks.get(at as usize) {
            track.expect(near);
        }
    }

    #[inline]
    fn packet(&mut self, arrived: Arrived<'_>) {
        self.totals.packets += 1;
        if arrived.kernel_drops != 0 {
            self.note_kernel_drops(arrived.socket, arrived.kernel_drops);
        }
        let pair = (arrived.socket >> 1) as usize;
        let at = self.pair_tracks.get(pair).copied().unwrap_or(NO_TRACK);
        let Some(track) = self.tracks.get_mut(at as usize).and_then(Option::as_mut) else {
            self.totals.stale += 1;
            return;
        };
        if arrived.data.is_empty() {
            // Keeps a translator's binding open (RFC 6263 section 4.1) and means nothing.
            return;
        }
        let arrival_ns = self.clock.monotonic(arrived.stamp_ns);
        let is_rtcp = arrived.socket & 1 == 1 || (track.settings.rtcp_mux && rtp::is_rtcp(arrived.data));
        if is_rtcp {
            if !take_rtcp(track, &arrived.from, arrived.data, arrived.truncated, arrival_ns) {
                self.totals.strangers += 1;
            }
            return;
        }
        match track.source.check(&arrived.from) {
            Verdict::Accept => {}
            Verdict::Candidate => return self.take_candidate(at, arrived, arrival_ns),
            Verdict::Stranger => {
                track.stats.stranger += 1;
                self.totals.strangers += 1;
                return;
            }
        }
        if arrived.truncated {
            track.stats.malformed += 1;
            return;
        }
        let Some((header, length)) = open(track, arrived.data, arrival_ns) else { return };
        self.keep(at, &arrived.data[..length], &header, arrival_ns);
    }
}

/// Reads the header, verifies and decrypts. Counts what is wrong.
#[inline]
fn open(track: &mut Track, data: &mut [u8], arrival_ns: i64) -> Option<(rtp::Header, usize)> {
    let Some(header) = rtp::parse(data) else {
        track.stats.malformed += 1;
        return None;
    };
    let mut length = data.len();
    if let Some(receiver) = &mut track.srtp {
        match receiver.open_rtp(data, &header, arrival_ns) {
            Ok(plain) => length = plain,
            Err(refusal) => {
                note_refusal(track, refusal);
                return None;
            }
        }
    }
    if !rtp::padding_is_sound(&data[..length], &header) {
        track.stats.malformed += 1;
        return None;
    }
    Some((header, length))
}

#[cold]
fn note_refusal(track: &mut Track, refusal: Refusal) {
    match refusal {
        Refusal::BadTag | Refusal::Truncated => track.stats.bad_srtp += 1,
        Refusal::Replayed => track.stats.duplicate += 1,
        Refusal::TooOld => track.stats.late += 1,
    }
}

impl Engine {
    /// Takes a plain packet from the right source into order, statistics and the journal buffer.
    #[inline]
    pub(super) fn keep(&mut self, at: u32, packet: &[u8], header: &rtp::Header, arrival_ns: i64) {
        let Some(track) = self.tracks[at as usize].as_mut() else { return };
        if track.heard_ns == 0 || track.silent {
            self.notices.push(super::Notice::Heard { track: at, first: track.stats.first_at_ns == 0 && track.heard_ns == 0, arrival_ns });
            track.silent = false;
        }
        if !track.dirty {
            track.dirty = true;
            self.dirty.push(at);
        }
        if !count(track, packet.len(), header, arrival_ns) {
            return;
        }
        let utc_ns = track.utc(arrival_ns);
        if track.lands {
            self.landing.append(at, &mut track.landed, &track.id, track.position, utc_ns, packet);
        }
        track.position += (RECORD_HEADER_BYTES + packet.len()) as u64;
        if !track.buffer.push_packet(utc_ns, packet) {
            // A megabyte in one tick: hand it over now.
            self.feed.take(track.handle.slot(), &mut track.buffer);
            track.buffer.push_packet(utc_ns, packet);
            self.submit();
        }
    }

    /// A packet of an address that may become the source.
    #[cold]
    fn take_candidate(&mut self, at: u32, arrived: Arrived<'_>, arrival_ns: i64) {
        let Some(track) = self.tracks[at as usize].as_mut() else { return };
        if arrived.truncated {
            track.stats.malformed += 1;
            return;
        }
        let from = arrived.from;
        let authenticated = track.srtp.is_some();
        let Some((header, length)) = open(track, arrived.data, arrival_ns) else { return };
        let packet = &arrived.data[..length];
        if authenticated || track.source.is_negotiated(&from) {
            self.latch(at, from, arrival_ns);
            self.keep(at, packet, &header, arrival_ns);
            return;
        }
        match track.source.hold(from, arrival_ns, packet) {
            Held::Waiting => {}
            Held::Latch(source) => self.latch(at, source, arrival_ns),
            Held::Dropped => {
                track.stats.stranger += 1;
                self.totals.strangers += 1;
            }
        }
    }

    /// Listens to this source from now on and stores what was held back of it.
    pub(super) fn latch(&mut self, at: u32, source: SocketAddr, now_ns: i64) {
        let Some(track) = self.tracks[at as usize].as_mut() else { return };
        let (held, dropped) = track.source.latch(source);
        track.mark(now_ns, "source", json!({"rtp": source.to_string()}));
        track.next_header_ns = now_ns;
        self.take_held(at, held, dropped);
    }

    /// Stores packets that were held back; those of others count as a stranger's.
    pub(super) fn take_held(&mut self, at: u32, held: Vec<(i64, Vec<u8>)>, dropped: u64) {
        if let Some(track) = self.tracks[at as usize].as_mut() {
            track.stats.stranger += dropped;
            self.totals.strangers += dropped;
            if !track.dirty && !track.buffer.is_empty() {
                track.dirty = true;
                self.dirty.push(at);
            }
        }
        for (arrival_ns, packet) in held {
            if let Some(header) = rtp::parse(&packet) {
                self.keep(at, &packet, &header, arrival_ns);
            }
        }
    }

    #[cold]
    fn note_kernel_drops(&mut self, socket: u32, drops: u32) {
        let at = socket as usize;
        if self.kernel_drops.len() <= at {
            self.kernel_drops.resize(at + 1, 0);
        }
        self.totals.lost_kernel += drops.wrapping_sub(self.kernel_drops[at]) as u64;
        self.kernel_drops[at] = drops;
    }
}

/// Takes a packet into order and statistics; false when it is not stored.
#[inline]
pub(super) fn count(track: &mut Track, bytes: usize, header: &rtp::Header, arrival_ns: i64) -> bool {
    let before_ns = track.heard_ns;
    track.heard_ns = arrival_ns;
    let (kind, clock_hz) = track.payload(header.payload_type);
    let (current, _) = track.sequence(header.ssrc);
    let arrival = track.sequences[current].accept(header.sequence, header.timestamp, clock_hz);
    if track.settings.paused {
        track.stats.while_paused += 1;
        return false;
    }
    let ssrc = header.ssrc;
    match arrival {
        Arrival::Next | Arrival::First | Arrival::Restart | Arrival::Suspect => {}
        Arrival::Ahead { missing, timestamp_step } => {
            let first = track.sequences[current].highest() - missing as u64;
            let packet_us = packet_length_us(missing, timestamp_step, clock_hz, arrival_ns - before_ns);
            let at_ns = track.utc(before_ns) + packet_us as i64 * 1_000;
            track.stats.note_gap(ssrc, first, missing as u32, at_ns, packet_us);
        }
        Arrival::Reordered { extended } => {
            track.stats.reordered += 1;
            track.stats.fill_gap(ssrc, extended);
        }
        Arrival::Late => track.stats.late += 1,
        Arrival::Duplicate => {
            track.stats.duplicate += 1;
            return false;
        }
    }
    match kind {
        PayloadKind::Audio => track.sequences[current].take_jitter(header.timestamp, arrival_ns, clock_hz),
        PayloadKind::Event => {
            if track.last_event != Some((ssrc, header.timestamp)) {
                track.last_event = Some((ssrc, header.timestamp));
                track.stats.events += 1;
            }
        }
        PayloadKind::Unknown => track.stats.unknown_payload_type += 1,
    }
    let utc_ns = track.utc(arrival_ns);
    let stats = &mut track.stats;
    stats.packets += 1;
    stats.bytes += bytes as u64;
    if stats.first_at_ns == 0 {
        stats.first_at_ns = utc_ns;
    }
    stats.last_at_ns = utc_ns;
    true
}

/// Length of one packet around a gap: from the timestamps, or from the arrival times when the timestamps jumped.
fn packet_length_us(missing: u16, timestamp_step: u32, clock_hz: u32, arrival_step_ns: i64) -> u64 {
    let packets = missing as u64 + 1;
    let by_timestamp = timestamp_step as u64 * 1_000_000 / clock_hz.max(1) as u64 / packets;
    let by_arrival = (arrival_step_ns.max(0) / 1_000) as u64 / packets;
    if by_timestamp == 0 || by_timestamp > 1_000_000 {
        by_arrival.min(1_000_000)
    } else {
        by_timestamp
    }
}

/// Takes an RTCP packet; false when it is a stranger's.
#[cold]
fn take_rtcp(track: &mut Track, from: &SocketAddr, data: &mut [u8], truncated: bool, arrival_ns: i64) -> bool {
    let negotiated = track.settings.remote.map(|remote| match remote.rtcp {
        Some(rtcp) => rtcp,
        None if track.settings.rtcp_mux => remote.rtp,
        None => SocketAddr::new(remote.rtp.ip(), remote.rtp.port().wrapping_add(1)),
    });
    // With a shared port, RTCP comes from where RTP comes from; else from the same host, once that is known.
    let latched = track.source.latched();
    let known = track.rtcp_from == Some(*from)
        || negotiated == Some(*from)
        || (track.settings.rtcp_mux && latched == Some(*from))
        || (track.source.mode() != crate::source_check::Mode::Strict
            && track.rtcp_from.is_none()
            && latched.is_some_and(|latched| latched.ip() == from.ip()));
    if !known {
        track.stats.stranger += 1;
        return false;
    }
    if truncated || data.len() < 8 {
        track.stats.malformed += 1;
        return true;
    }
    let mut length = data.len();
    if let Some(receiver) = &mut track.srtp {
        match receiver.open_rtcp(data, arrival_ns) {
            Ok(plain) => length = plain,
            Err(refusal) => {
                note_refusal(track, refusal);
                return true;
            }
        }
    }
    let mut cname = None;
    let sequences = &mut track.sequences;
    let sound = rtcp::read(&data[..length], |item| match item {
        rtcp::Item::SenderReport { ssrc, middle_ntp } => {
            if let Some(sequence) = sequences.iter_mut().find(|sequence| sequence.ssrc == ssrc) {
                sequence.sender_report = Some((middle_ntp, arrival_ns));
            }
        }
        rtcp::Item::Cname { cname: text, .. } => cname = Some(text),
        rtcp::Item::Goodbye { .. } => {}
    });
    if !sound {
        track.stats.malformed += 1;
        return true;
    }
    track.stats.rtcp_received += 1;
    track.rtcp_from = Some(*from);
    if let Some(cname) = cname.filter(|cname| *cname != track.stats.cname) {
        track.stats.cname = cname;
    }
    true
}
