//! The state of a track as it lies in the landing: what changes with each packet, in fixed places, so that a hand-over costs a copy.

use super::track::Track;
use crate::sequence::Sequence;
use crate::srtp::SourceCounter;

/// Sources whose order is kept; the one heard last is among them.
const SEQUENCES: usize = 3;
/// SRTP counters kept.
const COUNTERS: usize = 4;

struct Writer<'a> {
    out: &'a mut [u8],
    at: usize,
}

impl Writer<'_> {
    fn bytes(&mut self, bytes: &[u8]) {
        self.out[self.at..self.at + bytes.len()].copy_from_slice(bytes);
        self.at += bytes.len();
    }

    fn number(&mut self, number: u64) {
        self.bytes(&number.to_le_bytes());
    }
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(*first)
    }

    fn number(&mut self) -> Option<u64> {
        self.take::<8>().map(u64::from_le_bytes)
    }
}

/// Writes the state; `out` has room for it (408 bytes at most).
pub(super) fn write(track: &Track, out: &mut [u8]) {
    let mut writer = Writer { out, at: 0 };
    let stats = &track.stats;
    writer.number(track.position);
    writer.number(track.utc_offset_ns as u64);
    for number in [
        stats.packets,
        stats.bytes,
        stats.lost,
        stats.late,
        stats.duplicate,
        stats.reordered,
        stats.stranger,
        stats.unknown_payload_type,
        stats.bad_srtp,
        stats.malformed,
        stats.while_paused,
        stats.events,
        stats.rtcp_received,
        stats.rtcp_sent,
        stats.first_at_ns as u64,
        stats.last_at_ns as u64,
        track.heard_ns as u64,
    ] {
        writer.number(number);
    }
    // The current source first, then the others from the newest on.
    let current = track.current;
    let others = (0..track.sequences.len()).rev().filter(|at| *at != current);
    let order = std::iter::once(current).filter(|at| *at < track.sequences.len()).chain(others).take(SEQUENCES);
    writer.number(track.sequences.len().min(SEQUENCES) as u64);
    for at in order {
        writer.bytes(&track.sequences[at].to_bytes());
    }
    let counters = track.srtp.iter().flat_map(|receiver| receiver.counters());
    let at = writer.at;
    writer.number(0);
    let mut count = 0u64;
    for counter in counters.take(COUNTERS) {
        writer.bytes(&counter.ssrc.to_le_bytes());
        writer.number(counter.index);
        count += 1;
    }
    writer.out[at..at + 8].copy_from_slice(&count.to_le_bytes());
}

/// Takes a state up; returns its position. `None`: the bytes make no sense, and the track is as before.
pub(super) fn read(track: &mut Track, bytes: &[u8]) -> Option<u64> {
    let mut reader = Reader { rest: bytes };
    let position = reader.number()?;
    let utc_offset_ns = reader.number()? as i64;
    let mut numbers = [0u64; 17];
    for number in &mut numbers {
        *number = reader.number()?;
    }
    let mut sequences = Vec::new();
    for _ in 0..reader.number()?.min(SEQUENCES as u64) {
        sequences.push(Sequence::from_bytes(&reader.take()?));
    }
    let mut counters = Vec::new();
    for _ in 0..reader.number()?.min(COUNTERS as u64) {
        let ssrc = u32::from_le_bytes(reader.take()?);
        counters.push(SourceCounter { ssrc, index: reader.number()? });
    }
    let stats = &mut track.stats;
    [
        stats.packets,
        stats.bytes,
        stats.lost,
        stats.late,
        stats.duplicate,
        stats.reordered,
        stats.stranger,
        stats.unknown_payload_type,
        stats.bad_srtp,
        stats.malformed,
        stats.while_paused,
        stats.events,
        stats.rtcp_received,
        stats.rtcp_sent,
    ] = *numbers.first_chunk()?;
    stats.first_at_ns = numbers[14] as i64;
    stats.last_at_ns = numbers[15] as i64;
    track.heard_ns = numbers[16] as i64;
    track.utc_offset_ns = utc_offset_ns;
    for sequence in sequences.iter().rev() {
        track.stats.note_source(sequence.ssrc);
    }
    track.sequences = sequences;
    track.current = 0;
    if let Some(receiver) = &mut track.srtp {
        receiver.restore(&counters);
    }
    Some(position)
}
