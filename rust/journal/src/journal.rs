//! The journal as its owner sees it.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;

use crate::clock;
use crate::config::JournalConfig;
use crate::error::JournalError;
use crate::feed::{Block, Feed};
use crate::handle::{TrackHandle, TrackInfo, TrackShared, TrackSlot, TrackState};
use crate::housekeeping::HouseReport;
use crate::recover;
use crate::TrackId;

/// The longest header of a track.
pub const HEADER_MAX_BYTES: usize = 16 << 10;
/// The longest statistics of a track.
pub const STATS_MAX_BYTES: usize = 128 << 10;
/// Operations that may wait for the writer at one time.
const WAITING_MAX: u64 = 65_536;

/// Called once, on the writer's thread, when the operation is durable or has failed. Keep it short: send a message, wake an event loop.
pub type Done<T> = Box<dyn FnOnce(Result<T, JournalError>) + Send>;

/// What the journal reports by itself, on the writer's thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JournalEvent {
    /// New tracks are taken, or not (disk watermark, or the writer is behind). Sent when it changes.
    Able { able: bool, why: String },
}

/// A picture of the journal's state.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JournalStatus {
    pub able: bool,
    /// Why not able; empty when able.
    pub why: String,
    /// Not able because what was received waits too long for the disk, not for lack of room.
    pub behind: bool,
    /// Segments in use and track files.
    pub journal_bytes: u64,
    /// Free disk below the journal.
    pub free_bytes: u64,
    pub segments: usize,
    pub open_tracks: usize,
    pub unreleased_tracks: usize,
    /// Of the last 1,024 sync groups: write and `fdatasync`.
    pub sync_ms_p50: f64,
    pub sync_ms_p99: f64,
    pub sync_ms_max: f64,
    /// Sync groups so far.
    pub groups: u64,
    /// Handed over and not synced yet.
    pub buffered_bytes: u64,
    /// Age of the oldest of that.
    pub buffered_ms: u64,
    /// Packets dropped at the bound since the start.
    pub overflow_packets: u64,
    /// Packets handed over for a track that had ended.
    pub orphan_packets: u64,
}

/// What `close_track` answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClosedTrack {
    pub acked_bytes: u64,
}

/// What reaches the writer, in this order.
pub(crate) enum Command {
    Batch { blocks: Vec<Block>, back: Sender<Vec<Block>> },
    Open { shared: Arc<TrackShared>, header: Vec<u8>, at_ns: i64, done: Done<()> },
    Update { track: TrackId, header: Vec<u8>, at_ns: i64, done: Done<()> },
    CloseTrack { track: TrackId, stats: Vec<u8>, at_ns: i64, done: Done<ClosedTrack> },
    Erase { track: TrackId, done: Done<()> },
    Flush(Sender<bool>),
    House(HouseReport),
    Close(Sender<()>),
}

impl Command {
    /// Somebody waits for the answer.
    pub(crate) fn is_urgent(&self) -> bool {
        !matches!(self, Self::Batch { .. } | Self::House(_))
    }

    /// The journal is closed.
    pub(crate) fn refuse(self) {
        match self {
            Self::Open { done, .. } | Self::Update { done, .. } | Self::Erase { done, .. } => done(Err(JournalError::Closed)),
            Self::CloseTrack { done, .. } => done(Err(JournalError::Closed)),
            Self::Batch { .. } | Self::Flush(_) | Self::House(_) | Self::Close(_) => {}
        }
    }
}

/// One unreleased track as the callers see it.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) shared: Arc<TrackShared>,
    pub(crate) header: Arc<[u8]>,
    pub(crate) stats: Arc<[u8]>,
    pub(crate) recovered: bool,
    pub(crate) readable: bool,
    pub(crate) opened_at_ns: i64,
}

/// All of them, and which slots of the writer's table are free.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    pub(crate) tracks: HashMap<TrackId, Known>,
    generations: Vec<u32>,
    free: Vec<u32>,
}

impl Directory {
    pub(crate) fn new_slot(&mut self) -> TrackSlot {
        let index = self.free.pop().unwrap_or_else(|| {
            self.generations.push(0);
            (self.generations.len() - 1) as u32
        });
        let generation = &mut self.generations[index as usize];
        *generation = generation.wrapping_add(1);
        TrackSlot { index, generation: *generation }
    }
}

/// What callers, feeds and the writer share.
pub(crate) struct Shared {
    commands: Sender<Command>,
    directory: Mutex<Directory>,
    status: Mutex<JournalStatus>,
    max_tracks: usize,
    buffer_bytes: u64,
    in_flight: AtomicU64,
    begun_at: Instant,
    /// Since when something is in flight that is not synced, in ms after `begun_at`; 0: nothing is.
    in_flight_since_ms: AtomicU64,
    waiting: AtomicU64,
    closed: AtomicBool,
    pub(crate) able: AtomicBool,
    overflow_packets: AtomicU64,
    pub(crate) orphan_packets: AtomicU64,
}

impl fmt::Debug for Shared {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Shared").field("in_flight", &self.in_flight).field("closed", &self.closed).finish_non_exhaustive()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl Shared {
    pub(crate) fn new(commands: Sender<Command>, config: &JournalConfig, directory: Directory) -> Self {
        Self {
            commands,
            directory: Mutex::new(directory),
            status: Mutex::new(JournalStatus { able: true, ..JournalStatus::default() }),
            max_tracks: config.max_tracks(),
            buffer_bytes: config.buffer_bytes,
            in_flight: AtomicU64::new(0),
            begun_at: Instant::now(),
            in_flight_since_ms: AtomicU64::new(0),
            waiting: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            able: AtomicBool::new(true),
            overflow_packets: AtomicU64::new(0),
            orphan_packets: AtomicU64::new(0),
        }
    }

    /// Takes room for these bytes; false at the bound.
    pub(crate) fn reserve(&self, bytes: u64) -> bool {
        if self.closed.load(Ordering::Acquire) {
            return false;
        }
        let before = self.in_flight.fetch_add(bytes, Ordering::AcqRel);
        if before + bytes > self.buffer_bytes {
            self.in_flight.fetch_sub(bytes, Ordering::AcqRel);
            return false;
        }
        if before == 0 {
            self.in_flight_since_ms.store(self.ms_at(Instant::now()), Ordering::Relaxed);
        }
        true
    }

    pub(crate) fn reserve_always(&self, bytes: u64) {
        self.in_flight.fetch_add(bytes, Ordering::AcqRel);
    }

    fn ms_at(&self, at: Instant) -> u64 {
        at.saturating_duration_since(self.begun_at).as_millis() as u64 + 1
    }

    /// Everything that was handed over before this time is synced.
    pub(crate) fn synced_until(&self, at: Instant) {
        self.in_flight_since_ms.store(self.ms_at(at), Ordering::Relaxed);
    }

    /// Age of what waits longest for the disk, at most.
    fn in_flight_ms(&self) -> u64 {
        match (self.in_flight(), self.in_flight_since_ms.load(Ordering::Relaxed)) {
            (0, _) | (_, 0) => 0,
            (_, since_ms) => self.ms_at(Instant::now()).saturating_sub(since_ms),
        }
    }

    /// The sentence when more waits than is sound, also while the writer hangs in a sync.
    pub(crate) fn too_much_waits(&self, able: bool) -> Option<String> {
        let buffered = self.in_flight();
        // Once refused, less must wait than the bound before new tracks are taken again.
        let bound = if able { self.buffer_bytes / 2 } else { self.buffer_bytes / 4 };
        (buffered > bound).then(|| format!("the disk is too slow: {buffered} bytes wait to be written"))
    }

    pub(crate) fn give_back(&self, bytes: u64) {
        self.in_flight.fetch_sub(bytes, Ordering::AcqRel);
    }

    pub(crate) fn in_flight(&self) -> u64 {
        self.in_flight.load(Ordering::Acquire)
    }

    pub(crate) fn send(&self, command: Command) {
        if let Err(refused) = self.commands.send(command) {
            refused.0.refuse();
        }
    }

    pub(crate) fn count_overflow(&self, packets: u64) {
        self.overflow_packets.fetch_add(packets, Ordering::Relaxed);
    }

    pub(crate) fn directory(&self) -> MutexGuard<'_, Directory> {
        locked(&self.directory)
    }

    /// The writer is done with this track: its slot may be used again.
    pub(crate) fn forget(&self, shared: &Arc<TrackShared>) {
        let mut directory = self.directory();
        if directory.tracks.get(&shared.track).is_some_and(|known| known.shared.slot == shared.slot) {
            directory.tracks.remove(&shared.track);
        }
        directory.free.push(shared.slot.index);
    }

    pub(crate) fn set_status(&self, status: JournalStatus) {
        *locked(&self.status) = status;
    }
}

struct Owner {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Owner {
    fn end(&self) {
        if self.shared.closed.swap(true, Ordering::AcqRel) {
            return;
        }
        let (done, ended) = crossbeam_channel::bounded(1);
        self.shared.send(Command::Close(done));
        // The writer drops its end when it is through.
        let _ = ended.recv();
        for thread in locked(&self.threads).drain(..) {
            if thread.thread().id() != thread::current().id() {
                let _ = thread.join();
            }
        }
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.end();
    }
}

/// The owner's handle of the journal. Clones share; [`Journal::close`] or the last drop ends the writer after a last sync.
/// A callback must not be the last owner: the writer would wait for itself.
#[derive(Clone)]
pub struct Journal {
    owner: Arc<Owner>,
}

impl Journal {
    /// Takes the journal for this process, recovers what is there and starts the writer thread.
    /// `on_event` is called on the writer's thread. Tracks that were open get a mark `restart` each.
    pub fn open(config: JournalConfig, on_event: impl Fn(JournalEvent) + Send + 'static) -> Result<Self, JournalError> {
        config.check()?;
        let (shared, threads) = recover::open(config, Box::new(on_event))?;
        Ok(Self { owner: Arc::new(Owner { shared, threads: Mutex::new(threads) }) })
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.owner.shared
    }

    /// A hand-over for one hot thread.
    pub fn feed(&self) -> Feed {
        Feed::new(self.shared().clone())
    }

    /// Opens a track. `header` is a JSON object of at most 16 KiB, stored encrypted: `session`, `meta`, `payload_types` go into the
    /// extracted track, the rest (ports, keys) is what the caller needs to go on after a crash.
    /// Records may be handed over at once; `done` comes when key and header are synced.
    /// Fails at once with `TrackExists`, `NoSpace`, `Behind`, `TooManyTracks`, `TooLong`, `Closed` (then `done` is not called).
    pub fn open_track(&self, track: TrackId, header: &[u8], done: Done<()>) -> Result<TrackHandle, JournalError> {
        let status = self.status();
        if !status.able {
            return Err(if status.behind { JournalError::Behind(status.why) } else { JournalError::NoSpace(status.why) });
        }
        self.open_following_track(track, header, done)
    }

    /// Opens the track in which a stream that is being recorded goes on: like `open_track`, but also while the journal takes no new
    /// streams, because what is open goes on.
    pub fn open_following_track(&self, track: TrackId, header: &[u8], done: Done<()>) -> Result<TrackHandle, JournalError> {
        bounded("the header", header, HEADER_MAX_BYTES)?;
        let shared = self.shared();
        self.may_wait()?;
        let at_ns = clock::utc_ns();
        // The command goes out under the lock: the writer sees opens in the order in which slots were given.
        let mut directory = shared.directory();
        if directory.tracks.contains_key(&track) {
            return Err(JournalError::TrackExists(track));
        }
        if directory.tracks.len() >= shared.max_tracks {
            return Err(JournalError::TooManyTracks(shared.max_tracks));
        }
        let slot = directory.new_slot();
        let track_shared = Arc::new(TrackShared { track, slot, recovered: 0, acked: AtomicU64::new(0), ended: AtomicBool::new(false) });
        directory.tracks.insert(
            track,
            Known {
                shared: track_shared.clone(),
                header: header.into(),
                stats: Arc::default(),
                recovered: false,
                readable: true,
                opened_at_ns: at_ns,
            },
        );
        shared.send(Command::Open { shared: track_shared.clone(), header: header.to_vec(), at_ns, done: self.counted(done) });
        Ok(TrackHandle { shared: track_shared })
    }

    /// Replaces the header (the whole new JSON object). `payload_types` of all headers are remembered for the extraction.
    /// Of a closed track: changes nothing that is stored.
    pub fn update_track(&self, track: TrackId, header: &[u8], done: Done<()>) -> Result<(), JournalError> {
        bounded("the header", header, HEADER_MAX_BYTES)?;
        self.may_wait()?;
        let mut directory = self.shared().directory();
        directory.tracks.get_mut(&track).ok_or(JournalError::UnknownTrack(track))?.header = header.into();
        self.shared().send(Command::Update { track, header: header.to_vec(), at_ns: clock::utc_ns(), done: self.counted(done) });
        Ok(())
    }

    /// Ends a track with its statistics (a JSON object of at most 128 KiB); `done` comes when everything handed over before is synced.
    /// Closing a closed track changes nothing and answers as before.
    pub fn close_track(&self, track: TrackId, stats: &[u8], done: Done<ClosedTrack>) -> Result<(), JournalError> {
        bounded("the statistics", stats, STATS_MAX_BYTES)?;
        self.may_wait()?;
        let mut directory = self.shared().directory();
        let known = directory.tracks.get_mut(&track).ok_or(JournalError::UnknownTrack(track))?;
        if known.stats.is_empty() {
            known.stats = stats.into();
        }
        self.shared().send(Command::CloseTrack { track, stats: stats.to_vec(), at_ns: clock::utc_ns(), done: self.counted(done) });
        Ok(())
    }

    /// The archive holds the audio: destroys the key, frees the space. Of an unknown track: done at the next sync.
    pub fn release_track(&self, track: TrackId, done: Done<()>) -> Result<(), JournalError> {
        self.may_wait()?;
        self.shared().send(Command::Erase { track, done: self.counted(done) });
        Ok(())
    }

    /// Destroys the key, also of an open track: nothing of it can be read any more once `done` is called.
    pub fn shred_track(&self, track: TrackId, done: Done<()>) -> Result<(), JournalError> {
        self.release_track(track, done)
    }

    /// All unreleased tracks, recovered ones included.
    pub fn tracks(&self) -> Vec<TrackInfo> {
        let directory = self.shared().directory();
        let mut tracks: Vec<TrackInfo> = directory.tracks.values().map(info_of).collect();
        tracks.sort_by_key(|info| info.track);
        tracks
    }

    /// One unreleased track.
    pub fn track(&self, track: TrackId) -> Option<TrackInfo> {
        self.shared().directory().tracks.get(&track).map(info_of)
    }

    /// The handle of an unreleased track, to go on with a recovered one.
    pub fn handle(&self, track: TrackId) -> Option<TrackHandle> {
        self.shared().directory().tracks.get(&track).map(|known| TrackHandle { shared: known.shared.clone() })
    }

    /// How the journal does.
    pub fn status(&self) -> JournalStatus {
        let shared = self.shared();
        let mut status = locked(&shared.status).clone();
        status.able = shared.able.load(Ordering::Acquire);
        if let Some(why) = shared.too_much_waits(true).filter(|_| status.able) {
            (status.able, status.behind, status.why) = (false, true, why);
        }
        status.buffered_bytes = shared.in_flight();
        status.buffered_ms = shared.in_flight_ms();
        status.overflow_packets = shared.overflow_packets.load(Ordering::Relaxed);
        status.orphan_packets = shared.orphan_packets.load(Ordering::Relaxed);
        status
    }

    /// Syncs what was handed over and waits for it, at most this long. True when everything is durable.
    pub fn flush(&self, at_most: Duration) -> bool {
        let (done, flushed) = crossbeam_channel::bounded(1);
        self.shared().send(Command::Flush(done));
        flushed.recv_timeout(at_most).unwrap_or(false)
    }

    /// Syncs and ends the writer. Later calls answer `Closed`.
    pub fn close(&self) {
        self.owner.end();
    }

    fn may_wait(&self) -> Result<(), JournalError> {
        let shared = self.shared();
        if shared.closed.load(Ordering::Acquire) {
            return Err(JournalError::Closed);
        }
        if shared.waiting.load(Ordering::Relaxed) >= WAITING_MAX {
            return Err(JournalError::Behind(format!("{WAITING_MAX} operations wait for the disk already")));
        }
        Ok(())
    }

    fn counted<T: 'static>(&self, done: Done<T>) -> Done<T> {
        let shared = self.shared().clone();
        shared.waiting.fetch_add(1, Ordering::Relaxed);
        Box::new(move |answer| {
            shared.waiting.fetch_sub(1, Ordering::Relaxed);
            done(answer);
        })
    }
}

fn bounded(what: &'static str, bytes: &[u8], limit: usize) -> Result<(), JournalError> {
    if bytes.len() > limit {
        return Err(JournalError::TooLong { what, bytes: bytes.len(), limit });
    }
    Ok(())
}

fn info_of(known: &Known) -> TrackInfo {
    let handle = TrackHandle { shared: known.shared.clone() };
    TrackInfo {
        track: handle.track(),
        state: if handle.ended() { TrackState::Closed } else { TrackState::Open },
        header: known.header.clone(),
        stats: known.stats.clone(),
        acked_bytes: handle.acked_bytes(),
        recovered: known.recovered,
        readable: known.readable,
        opened_at_ns: known.opened_at_ns,
    }
}
