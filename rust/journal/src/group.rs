//! One sync group: keys first, then everything that waits as frames in one write, then `fdatasync`, then the acknowledgements.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::checkpoint;
use crate::clock;
use crate::disk::{self, DiskFile};
use crate::error::JournalError;
use crate::fault;
use crate::frame::{self, frame_bytes_of, FrameHeader, FrameKind, Place, HEADER_BYTES};
use crate::journal::ClosedTrack;
use crate::record::{RecordKind, Records, RECORD_HEADER_BYTES};
use crate::segments;
use crate::writer::{Batch, Current, Note, NoteDone, Writer};
use crate::TrackId;

/// The largest plain text of one audio frame.
const AUDIO_MAX_BYTES: usize = 256 << 10;
/// Ids in one frame of released tracks.
const RELEASED_PER_FRAME: usize = 4096;
const ANCHOR_EVERY: Duration = Duration::from_secs(60);

impl Writer {
    /// Makes everything that waits durable, as far as there is room.
    pub(crate) fn group(&mut self) {
        let started = Instant::now();
        self.group_begun_at = started;
        self.group_number = self.group_number.wrapping_add(1);
        if self.ring.sync() {
            fault::point("release.synced");
            for gone in std::mem::take(&mut self.leftovers) {
                self.clear_away(&gone);
            }
            for (_, done) in self.erased.drain(..) {
                done(Ok(()));
            }
        }
        let complete = self.write_buffer() && self.encode();
        if fault::mutant("ack_before_sync") {
            self.publish(complete);
        }
        if self.write_buffer() {
            fault::point("sync.before");
            self.current.file.sync();
            fault::point("sync.after");
            self.publish(complete);
            self.out_of_space = !complete;
        } else {
            self.out_of_space = true;
        }
        if self.out_of_space {
            self.refuse_opens();
        }
        self.times.note(started.elapsed());
    }

    /// Turns what waits into frames. False: no room for all of it; the rest stays where it is.
    fn encode(&mut self) -> bool {
        let batches = std::mem::take(&mut self.batches);
        let complete =
            self.encode_released() && self.encode_headers() && self.encode_audio(&batches) && self.encode_closes() && self.encode_anchor();
        self.batches = batches;
        complete
    }

    fn encode_released(&mut self) -> bool {
        while !self.released.is_empty() {
            let many = self.released.len().min(RELEASED_PER_FRAME);
            if !self.make_room(frame_bytes_of(many * 16)) {
                return false;
            }
            let ids: Vec<u8> = self.released.drain(..many).flat_map(|track| *track.bytes()).collect();
            self.put_own(FrameKind::Released, &ids);
        }
        true
    }

    fn encode_headers(&mut self) -> bool {
        let mut notes = std::mem::take(&mut self.headers).into_iter();
        while let Some(note) = notes.next() {
            if !self.make_room(frame_bytes_of(8 + note.json.len())) {
                self.headers = std::iter::once(note).chain(notes).collect();
                return false;
            }
            let writable = self.put_note(&note);
            self.answer_header(note, writable);
        }
        true
    }

    fn answer_header(&mut self, note: Note, writable: bool) {
        let track = self.track_of(note.index);
        match note.done {
            NoteDone::Header(done) if writable => self.callbacks.push(Box::new(move || done(Ok(())))),
            other => other.fail(track.map_or(JournalError::Closed, JournalError::KeyDamaged)),
        }
    }

    fn track_of(&self, index: u32) -> Option<TrackId> {
        self.tracks.get(index as usize)?.as_ref().map(|track| track.shared.track)
    }

    fn encode_audio(&mut self, batches: &[Batch]) -> bool {
        let limit = AUDIO_MAX_BYTES.min(self.config.segment_bytes as usize / 8);
        let touched = std::mem::take(&mut self.touched);
        let mut parts: Vec<&[u8]> = Vec::with_capacity(16);
        for (nth, index) in touched.iter().enumerate() {
            let Some(Some(track)) = self.tracks.get_mut(*index as usize) else {
                continue;
            };
            let mut pending = std::mem::take(&mut track.pending);
            let mut skip = track.skip;
            let mut taken = 0;
            let mut room = true;
            while taken < pending.len() {
                parts.clear();
                let (mut bytes, mut packets) = (0, 0);
                let (mut next_taken, mut next_skip) = (taken, skip);
                while let Some((batch, place)) = pending.get(next_taken) {
                    let buffer = &batches[*batch as usize].blocks[*place as usize].buffer;
                    let data = &buffer.data[next_skip..];
                    if bytes + data.len() <= limit {
                        packets += if next_skip == 0 { buffer.packets } else { packets_in(data) };
                        bytes += data.len();
                        parts.push(data);
                        next_taken += 1;
                        next_skip = 0;
                    } else {
                        if parts.is_empty() {
                            let head = &data[..whole_records(data, limit)];
                            packets += packets_in(head);
                            bytes += head.len();
                            parts.push(head);
                            next_skip += head.len();
                        }
                        break;
                    }
                }
                if !self.make_room(frame_bytes_of(bytes)) {
                    room = false;
                    break;
                }
                self.put(*index, FrameKind::Audio, packets, bytes as u64, &parts);
                self.consumed_bytes += bytes as u64;
                (taken, skip) = (next_taken, next_skip);
            }
            if let Some(Some(track)) = self.tracks.get_mut(*index as usize) {
                pending.drain(..taken);
                track.pending = pending;
                track.skip = skip;
            }
            if !room {
                self.touched = touched[nth..].to_vec();
                return false;
            }
        }
        self.touched = touched;
        self.touched.clear();
        true
    }

    fn encode_closes(&mut self) -> bool {
        let mut notes = std::mem::take(&mut self.closes).into_iter();
        while let Some(note) = notes.next() {
            let closed = matches!(self.tracks.get(note.index as usize), Some(Some(track)) if track.entry.closed || track.key.is_none());
            if !closed {
                if !self.make_room(frame_bytes_of(8 + note.json.len())) {
                    self.closes = std::iter::once(note).chain(notes).collect();
                    return false;
                }
                self.put_note(&note);
            }
            let Some(Some(track)) = self.tracks.get_mut(note.index as usize) else {
                continue;
            };
            track.entry.closed = true;
            let closed = ClosedTrack { acked_bytes: track.entry.position };
            let shared = track.shared.clone();
            if let NoteDone::Close(done) = note.done {
                self.callbacks.push(Box::new(move || {
                    shared.ended.store(true, Ordering::Release);
                    done(Ok(closed));
                }));
            }
        }
        true
    }

    fn encode_anchor(&mut self) -> bool {
        if self.last_anchor.elapsed() < ANCHOR_EVERY {
            return true;
        }
        self.last_anchor = Instant::now();
        if !self.make_room(frame_bytes_of(16)) {
            return false;
        }
        let mut anchor = clock::utc_ns().to_le_bytes().to_vec();
        anchor.extend_from_slice(&self.monotonic_ns().to_le_bytes());
        self.put_own(FrameKind::Anchor, &anchor);
        true
    }

    pub(crate) fn monotonic_ns(&self) -> u64 {
        self.started.elapsed().as_nanos() as u64
    }

    fn put_note(&mut self, note: &Note) -> bool {
        let at = note.at_ns.to_le_bytes();
        let parts: [&[u8]; 2] = [&at, &note.json];
        self.put(note.index, note.kind, 0, 0, &parts)
    }

    /// Frames these parts for a track. The room was made before. False: the track cannot be written any more.
    fn put(&mut self, index: u32, kind: FrameKind, packets: u32, record_bytes: u64, parts: &[&[u8]]) -> bool {
        let place = Place { segment: self.current.segment, offset: (self.current.at + self.buffer.len() as u64) as u32 };
        let Some(Some(track)) = self.tracks.get_mut(index as usize) else {
            return false;
        };
        let Some(key) = &track.key else { return false };
        let header = FrameHeader {
            length: 0,
            kind,
            group: self.group_number,
            place,
            counter: track.entry.counter,
            boot: self.boot,
            position: track.entry.position,
            previous: track.entry.last,
            packets,
            track: track.shared.track,
        };
        frame::append(&mut self.buffer, header, key, parts);
        track.entry.counter += 1;
        track.entry.position += record_bytes;
        track.entry.last = place;
        if matches!(kind, FrameKind::Open | FrameKind::Update) {
            track.entry.header = place;
            track.entry.header_in_file = 0;
        }
        if track.segments.last() != Some(&place.segment) {
            if track.segments.is_empty() {
                track.entry.first_segment = place.segment;
            }
            track.segments.push(place.segment);
            *self.needed.entry(place.segment).or_insert(0) += 1;
        }
        self.written_tracks.push(index);
        true
    }

    /// Frames something of the journal's own.
    fn put_own(&mut self, kind: FrameKind, plain: &[u8]) {
        let header = FrameHeader {
            length: 0,
            kind,
            group: self.group_number,
            place: Place { segment: self.current.segment, offset: (self.current.at + self.buffer.len() as u64) as u32 },
            counter: self.journal_counter,
            boot: self.boot,
            position: 0,
            previous: Place::NOWHERE,
            packets: 0,
            track: TrackId::JOURNAL,
        };
        self.journal_counter += 1;
        frame::append(&mut self.buffer, header, self.ring.journal_key(), &[plain]);
    }

    /// Room for a frame of this size in the current segment, or in a new one.
    fn make_room(&mut self, bytes: usize) -> bool {
        let used = self.current.at + (self.buffer.len() + bytes + HEADER_BYTES) as u64;
        used <= self.config.segment_bytes || self.roll()
    }

    /// Finishes the current segment and begins the next one with a checkpoint.
    fn roll(&mut self) -> bool {
        if self.spares.is_empty() || !self.write_buffer() {
            return false;
        }
        // The checkpoint speaks of everything before it: that must be on the disk first.
        self.current.file.sync();
        fault::point("roll.synced");
        let Some(spare) = self.spares.pop() else {
            return false;
        };
        let finished = self.current.segment;
        self.current = begin_segment(&self.config.journal_dir, spare, self.next_number);
        self.next_number += 1;
        self.needed.insert(self.current.segment, 0);
        self.put_checkpoint();
        fault::point("roll.done");
        if self.needed.get(&finished) == Some(&0) {
            self.free_segment(finished);
        }
        self.want_spares();
        true
    }

    /// The table of all tracks, into the buffer.
    pub(crate) fn put_checkpoint(&mut self) {
        let known =
            self.tracks.iter().flatten().filter(|track| !track.entry.last.is_nowhere()).map(|track| (track.shared.track, &track.entry));
        let plain = checkpoint::encode(clock::utc_ns(), self.started.elapsed().as_nanos() as u64, &self.holes, known);
        self.put_own(FrameKind::Checkpoint, &plain);
    }

    /// Writes the buffer where it belongs, with the blank that ends a journal behind it. False: the disk is full; the buffer stays.
    pub(crate) fn write_buffer(&mut self) -> bool {
        if self.buffer.is_empty() {
            return true;
        }
        let frames = self.buffer.len();
        self.buffer.resize(frames + HEADER_BYTES, 0);
        fault::point("append.before_write");
        let written = self.current.file.write_at(&self.buffer, self.current.at);
        self.buffer.truncate(frames);
        if written.is_err() {
            return false;
        }
        fault::point("append.after_write");
        self.current.at += frames as u64;
        self.buffer.clear();
        true
    }

    /// What was synced is acknowledged; buffers go back to the hot threads.
    fn publish(&mut self, complete: bool) {
        for index in self.written_tracks.drain(..) {
            if let Some(Some(track)) = self.tracks.get(index as usize) {
                track.shared.acked.store(track.entry.position, Ordering::Release);
            }
        }
        for callback in self.callbacks.drain(..) {
            callback();
        }
        self.shared.give_back(self.consumed_bytes);
        self.consumed_bytes = 0;
        if complete {
            for batch in self.batches.drain(..) {
                if let Some(back) = batch.back {
                    let _ = back.try_send(batch.blocks);
                }
            }
            self.shared.synced_until(self.group_begun_at);
            for flush in self.flushes.drain(..) {
                let _ = flush.send(true);
            }
        }
        fault::point("ack.after");
    }

    /// Without room, who wants to open a track learns it now; open tracks wait for the disk.
    fn refuse_opens(&mut self) {
        let (opens, others) = std::mem::take(&mut self.headers).into_iter().partition::<Vec<_>, _>(|note| note.kind == FrameKind::Open);
        self.headers = others;
        for note in opens {
            let Some(track) = self.track_of(note.index) else {
                continue;
            };
            self.forget_track(track);
            note.done.fail(JournalError::NoSpace("the disk is full".into()));
        }
    }
}

/// Makes a spare the segment of this number.
pub(crate) fn begin_segment(journal_dir: &std::path::Path, spare: u64, segment: u64) -> Current {
    let path = segments::segment_path(journal_dir, segment);
    disk::rename(&segments::spare_path(journal_dir, spare), &path);
    disk::sync_folder(&segments::segments_dir(journal_dir));
    fault::point("roll.renamed");
    match DiskFile::open(&path) {
        Ok(file) => Current { segment, file, at: 0 },
        Err(error) => disk::die("cannot open the new segment", &path, &std::io::Error::other(error.to_string())),
    }
}

fn packets_in(data: &[u8]) -> u32 {
    Records::of(data).filter(|record| record.kind == RecordKind::Packet as u8).count() as u32
}

/// The length of as many whole records as fit into `limit` (at least one).
fn whole_records(data: &[u8], limit: usize) -> usize {
    let mut length = 0;
    for record in Records::of(data) {
        let more = RECORD_HEADER_BYTES + record.bytes.len();
        if length > 0 && length + more > limit {
            break;
        }
        length += more;
    }
    length
}
