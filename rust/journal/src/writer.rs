//! The writer thread: collects what is handed over, and once per sync interval makes it durable as one group.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use ring::aead::LessSafeKey;

use crate::checkpoint::{Entry, Hole};
use crate::config::JournalConfig;
use crate::disk::DiskFile;
use crate::error::JournalError;
use crate::evacuate::Job;
use crate::feed::Block;
use crate::frame::FrameKind;
use crate::handle::TrackShared;
use crate::housekeeping::SpareTask;
use crate::journal::{ClosedTrack, Command, Done, JournalEvent, Shared};
use crate::keys::KeyRing;
use crate::pace::SyncTimes;
use crate::TrackId;

/// Somebody waits: do not let them wait for the whole interval, but take others along.
const URGENT_WITHIN: Duration = Duration::from_millis(4);
/// Disk space and the like are looked at this often when nothing else happens.
const IDLE_ROUND: Duration = Duration::from_millis(250);

/// A track as the writer keeps it.
pub(crate) struct Track {
    pub(crate) shared: Arc<TrackShared>,
    pub(crate) entry: Entry,
    /// None: the ring holds no readable key. Nothing can be written to it.
    pub(crate) key: Option<LessSafeKey>,
    pub(crate) key_slot: Option<u32>,
    /// Segments that hold frames of it which are not in its track file; ascending.
    pub(crate) segments: Vec<u64>,
    /// Handed over and not written yet: batch and place in it.
    pub(crate) pending: Vec<(u32, u32)>,
    /// Bytes of the first of these that were written already.
    pub(crate) skip: usize,
    pub(crate) has_file: bool,
}

/// A header or an end that waits to be written.
pub(crate) struct Note {
    pub(crate) index: u32,
    pub(crate) kind: FrameKind,
    pub(crate) at_ns: i64,
    pub(crate) json: Vec<u8>,
    pub(crate) done: NoteDone,
}

pub(crate) enum NoteDone {
    Header(Done<()>),
    Close(Done<ClosedTrack>),
}

impl NoteDone {
    pub(crate) fn fail(self, error: JournalError) {
        match self {
            Self::Header(done) => done(Err(error)),
            Self::Close(done) => done(Err(error)),
        }
    }
}

pub(crate) struct Batch {
    pub(crate) blocks: Vec<Block>,
    pub(crate) back: Option<Sender<Vec<Block>>>,
}

/// The segment that is being written.
pub(crate) struct Current {
    pub(crate) segment: u64,
    pub(crate) file: DiskFile,
    /// Where the next group starts.
    pub(crate) at: u64,
}

pub(crate) struct Writer {
    pub(crate) config: JournalConfig,
    pub(crate) shared: Arc<Shared>,
    pub(crate) commands: Receiver<Command>,
    pub(crate) on_event: Box<dyn Fn(JournalEvent) + Send>,
    pub(crate) ring: KeyRing,
    pub(crate) boot: u64,
    pub(crate) started: Instant,
    pub(crate) journal_counter: u32,
    pub(crate) group_number: u16,
    pub(crate) group_begun_at: Instant,

    pub(crate) tracks: Vec<Option<Track>>,
    pub(crate) by_id: HashMap<TrackId, u32>,
    /// Per existing segment: how many tracks need it.
    pub(crate) needed: BTreeMap<u64, u32>,
    pub(crate) holes: Vec<Hole>,
    pub(crate) current: Current,
    pub(crate) spares: Vec<u64>,
    pub(crate) next_number: u64,
    pub(crate) spares_under_way: usize,
    pub(crate) spare_failure: Option<(String, Instant)>,
    pub(crate) spare_tasks: Sender<SpareTask>,
    pub(crate) evacuations: Sender<Job>,
    pub(crate) evacuating: bool,
    pub(crate) evacuation_rest_until: Option<Instant>,
    pub(crate) track_file_bytes: u64,

    /// The group under way, as it will stand in the segment.
    pub(crate) buffer: Vec<u8>,
    pub(crate) batches: Vec<Batch>,
    pub(crate) touched: Vec<u32>,
    pub(crate) headers: Vec<Note>,
    pub(crate) closes: Vec<Note>,
    pub(crate) erased: Vec<(TrackId, Done<()>)>,
    pub(crate) released: Vec<TrackId>,
    /// Tracks whose keys are overwritten but perhaps not yet on the disk: until then their audio must stay.
    pub(crate) leftovers: Vec<Track>,
    pub(crate) written_tracks: Vec<u32>,
    pub(crate) callbacks: Vec<Box<dyn FnOnce() + Send>>,
    pub(crate) flushes: Vec<Sender<bool>>,
    pub(crate) consumed_bytes: u64,
    pub(crate) last_anchor: Instant,
    pub(crate) last_round: Instant,
    pub(crate) times: SyncTimes,
    pub(crate) out_of_space: bool,
    pub(crate) able: bool,
    pub(crate) behind: bool,
    pub(crate) why: String,
}

impl Writer {
    /// Runs until the journal is closed.
    pub(crate) fn run(mut self) {
        let mut next_group = Instant::now() + self.config.sync_interval;
        let mut urgent: Option<Instant> = None;
        self.round();
        loop {
            let waiting = self.has_work();
            let wake = match (waiting, urgent) {
                (true, Some(urgent)) => next_group.min(urgent),
                (true, None) => next_group,
                (false, _) => Instant::now() + IDLE_ROUND,
            };
            match self.commands.recv_deadline(wake) {
                Ok(command) => {
                    // Everything that is there joins this group: a slow disk gets larger groups, not more of them.
                    let mut next = Some(command);
                    while let Some(command) = next {
                        if let Command::Close(done) = command {
                            self.group();
                            self.end();
                            drop(done);
                            return;
                        }
                        if command.is_urgent() && urgent.is_none() {
                            urgent = Some(Instant::now() + URGENT_WITHIN);
                        }
                        self.take(command);
                        next = self.commands.try_recv().ok();
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    self.group();
                    self.end();
                    return;
                }
            }
            let now = Instant::now();
            if self.has_work() && (now >= next_group || urgent.is_some_and(|urgent| now >= urgent)) {
                self.group();
                urgent = None;
                next_group = now + self.config.sync_interval;
                if now >= self.last_round + IDLE_ROUND || self.out_of_space == self.able {
                    self.round();
                }
            } else if now >= self.last_round + IDLE_ROUND {
                self.round();
                if !self.has_work() {
                    next_group = now + self.config.sync_interval;
                }
            }
        }
    }

    fn has_work(&self) -> bool {
        !self.touched.is_empty()
            || !self.headers.is_empty()
            || !self.closes.is_empty()
            || !self.erased.is_empty()
            || !self.released.is_empty()
            || !self.flushes.is_empty()
            || self.consumed_bytes > 0
            || self.ring.is_dirty()
    }

    fn take(&mut self, command: Command) {
        match command {
            Command::Batch { blocks, back } => self.take_batch(blocks, Some(back)),
            Command::Open { shared, header, at_ns, done } => self.take_open(shared, header, at_ns, done),
            Command::Update { track, header, at_ns, done } => match self.by_id.get(&track) {
                Some(index) => {
                    self.headers.push(Note { index: *index, kind: FrameKind::Update, at_ns, json: header, done: NoteDone::Header(done) })
                }
                None => done(Err(JournalError::UnknownTrack(track))),
            },
            Command::CloseTrack { track, stats, at_ns, done } => match self.by_id.get(&track) {
                Some(index) => {
                    self.closes.push(Note { index: *index, kind: FrameKind::Close, at_ns, json: stats, done: NoteDone::Close(done) })
                }
                None => done(Err(JournalError::UnknownTrack(track))),
            },
            Command::Erase { track, done } => self.take_erase(track, done),
            Command::Flush(done) => self.flushes.push(done),
            Command::House(report) => self.take_report(report),
            Command::Close(_) => {}
        }
    }

    pub(crate) fn take_batch(&mut self, blocks: Vec<Block>, back: Option<Sender<Vec<Block>>>) {
        let batch = self.batches.len() as u32;
        for (place, block) in blocks.iter().enumerate() {
            let track = match self.tracks.get_mut(block.slot.index as usize) {
                Some(Some(track)) if track.shared.slot == block.slot && !track.entry.closed && track.key.is_some() => track,
                _ => {
                    self.consumed_bytes += block.buffer.data.len() as u64;
                    self.shared.orphan_packets.fetch_add(u64::from(block.buffer.packets), Ordering::Relaxed);
                    continue;
                }
            };
            if track.pending.is_empty() {
                self.touched.push(block.slot.index);
            }
            track.pending.push((batch, place as u32));
        }
        self.batches.push(Batch { blocks, back });
    }

    fn take_open(&mut self, shared: Arc<TrackShared>, header: Vec<u8>, at_ns: i64, done: Done<()>) {
        let track = shared.track;
        let ring_key = match self.ring.put(track) {
            Ok(ring_key) => ring_key,
            Err(error) => {
                self.shared.forget(&shared);
                return done(Err(JournalError::NoSpace(format!("the key ring cannot grow: {error}"))));
            }
        };
        let index = shared.slot.index as usize;
        if self.tracks.len() <= index {
            self.tracks.resize_with(index + 1, || None);
        }
        self.tracks[index] = Some(Track {
            shared,
            entry: Entry { opened_at_ns: at_ns, ..Entry::default() },
            key: Some(ring_key.key),
            key_slot: Some(ring_key.slot),
            segments: Vec::new(),
            pending: Vec::new(),
            skip: 0,
            has_file: false,
        });
        self.by_id.insert(track, index as u32);
        self.headers.push(Note { index: index as u32, kind: FrameKind::Open, at_ns, json: header, done: NoteDone::Header(done) });
    }

    /// Release and shred are one thing here: the key goes, and with it everything that was written.
    fn take_erase(&mut self, track: TrackId, done: Done<()>) {
        if let Some(index) = self.by_id.remove(&track) {
            if let Some(gone) = self.tracks[index as usize].take() {
                crate::fault::point("release.begin");
                if let Some(slot) = gone.key_slot {
                    self.ring.erase(slot);
                }
                crate::fault::point("release.erased");
                self.consumed_bytes += self.pending_bytes(&gone);
                self.touched.retain(|touched| *touched != index);
                for note in drain_of(&mut self.headers, index).into_iter().chain(drain_of(&mut self.closes, index)) {
                    note.done.fail(JournalError::UnknownTrack(track));
                }
                self.written_tracks.retain(|written| *written != index);
                gone.shared.ended.store(true, Ordering::Release);
                self.shared.forget(&gone.shared);
                self.released.push(track);
                self.leftovers.push(gone);
            }
        }
        self.erased.push((track, done));
    }

    /// Bytes that were handed over for this track and are not in a frame yet.
    pub(crate) fn pending_bytes(&self, track: &Track) -> u64 {
        let bytes: usize =
            track.pending.iter().map(|(batch, place)| self.batches[*batch as usize].blocks[*place as usize].buffer.data.len()).sum();
        bytes.saturating_sub(track.skip) as u64
    }

    /// What can still be made durable is; the rest is told that the journal is closed.
    fn end(&mut self) {
        let unwritten: u64 = self.tracks.iter().flatten().map(|track| self.pending_bytes(track)).sum();
        if unwritten > 0 {
            eprintln!("callward journal: closed while the disk was full; {unwritten} bytes of audio could not be stored");
        }
        for note in self.headers.drain(..).chain(self.closes.drain(..)) {
            note.done.fail(JournalError::Closed);
        }
        for (_, done) in self.erased.drain(..) {
            done(Err(JournalError::Closed));
        }
        while let Ok(command) = self.commands.try_recv() {
            command.refuse();
        }
    }
}

fn drain_of(notes: &mut Vec<Note>, index: u32) -> Vec<Note> {
    let (mine, others) = std::mem::take(notes).into_iter().partition(|note| note.index == index);
    *notes = others;
    mine
}
