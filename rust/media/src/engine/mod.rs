//! The network thread: receives, keeps tracks, hands audio to the journal, answers the operations that concern open tracks.
//!
//! `packets` is the way of a datagram, `operations` what clients ask for, `timers` what is due by time (hand-over, reports, silence,
//! acknowledgements), `recovery` how tracks go on after a restart, `track` the state of one.

mod live_state;
mod operations;
mod packets;
mod recovery;
mod timers;
mod track;

pub use timers::acked_fields;

use std::collections::HashMap;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::Arc;

use callward_journal::{Feed, Journal, TrackId, TrackSlot};
use crossbeam_channel::Receiver;

use crate::kernel::{Clock, Intake, Wake};
use crate::landing::Landing;
use crate::log;
use crate::metrics::Totals;
use crate::outbox::Outbox;
use crate::ports::Ports;
use crate::protocol::Request;
use crate::service_manager::ServiceManager;
use track::Track;

const NO_TRACK: u32 = u32::MAX;

/// A request on its way to the network thread.
pub struct Order {
    pub client: u64,
    pub request: Request,
}

/// Counters of the network thread, published for `status` and `metrics`.
#[derive(Default)]
struct Counters {
    packets: u64,
    strangers: u64,
    stale: u64,
    lost_kernel: u64,
    overflow: u64,
}

/// Something seen in the packet path that is told to clients once the batch is done.
enum Notice {
    Heard { track: u32, first: bool, arrival_ns: i64 },
}

pub struct Engine {
    clock: Clock,
    boot: String,
    tracks: Vec<Option<Track>>,
    free: Vec<u32>,
    by_id: HashMap<TrackId, u32>,
    by_slot: HashMap<TrackSlot, u32>,
    /// Track of each port pair.
    pair_tracks: Vec<u32>,
    ports: Ports,
    /// Pairs whose sockets must still be given to the intake.
    fresh_pairs: Vec<u32>,
    kernel_drops: Vec<u32>,
    journal: Journal,
    feed: Feed,
    landing: Landing,
    journal_dir: PathBuf,
    keys_dir: PathBuf,
    silent_after_ns: i64,
    dirty: Vec<u32>,
    notices: Vec<Notice>,
    totals: Counters,
    outbox: Outbox,
    shared: Arc<Totals>,
    manager: ServiceManager,
    random: u64,
    scratch: Vec<u8>,
}

/// What the engine is made of.
pub struct Parts {
    pub ports: Ports,
    pub journal: Journal,
    pub outbox: Outbox,
    pub shared: Arc<Totals>,
    pub manager: ServiceManager,
    pub landing: Landing,
    pub journal_dir: PathBuf,
    pub keys_dir: PathBuf,
    pub silent_after_ns: i64,
    pub seed: u64,
}

impl Engine {
    pub fn new(parts: Parts) -> Engine {
        let feed = parts.journal.feed();
        Engine {
            clock: Clock::new(),
            boot: crate::kernel::boot_id(),
            tracks: Vec::new(),
            free: Vec::new(),
            by_id: HashMap::new(),
            by_slot: HashMap::new(),
            pair_tracks: Vec::new(),
            ports: parts.ports,
            fresh_pairs: Vec::new(),
            kernel_drops: Vec::new(),
            journal: parts.journal,
            feed,
            landing: parts.landing,
            journal_dir: parts.journal_dir,
            keys_dir: parts.keys_dir,
            silent_after_ns: parts.silent_after_ns,
            dirty: Vec::new(),
            notices: Vec::new(),
            totals: Counters::default(),
            outbox: parts.outbox,
            shared: parts.shared,
            manager: parts.manager,
            random: parts.seed | 1,
            scratch: Vec::with_capacity(2048),
        }
    }

    /// Runs until `orders` is closed. `flush_ms`: how often audio is handed to the journal.
    pub fn run(&mut self, mut intake: Box<dyn Intake>, orders: &Receiver<Order>, wake: &Wake, flush_ms: u64) -> std::io::Result<()> {
        let flush_ns = flush_ms as i64 * 1_000_000;
        let tick_ns = intake.tick_ms().min(flush_ms.max(1) as i64) * 1_000_000;
        let mut next_flush = self.clock.now_ns + flush_ns;
        let mut next_timers = self.clock.now_ns;
        let mut open = true;
        while open {
            self.give_pairs_to(intake.as_mut())?;
            wake.wait(tick_ns);
            self.clock.refresh();
            // What arrived before a client closed its track belongs to the track: only orders that are there already are obeyed after
            // this reception, and a backlog is taken first. A bound per round, so that a flood of orders cannot stop the reception.
            let stopping = self.shared.stopping.load(Relaxed);
            let due = orders.len().clamp(usize::from(stopping), 256);
            let mut taken = intake.poll(self)?;
            for _ in 0..64 {
                if due == 0 || taken < 64 {
                    break;
                }
                taken = intake.poll(self)?;
            }
            self.tell_notices();
            self.settle_landing();
            self.publish();
            for _ in 0..due {
                match orders.try_recv() {
                    Ok(order) => self.obey(order),
                    Err(crossbeam_channel::TryRecvError::Empty) => break,
                    Err(crossbeam_channel::TryRecvError::Disconnected) => {
                        open = false;
                        break;
                    }
                }
            }
            if !orders.is_empty() {
                wake.wake();
            }
            if self.clock.now_ns >= next_flush || !open {
                self.flush();
                next_flush = (next_flush + flush_ns).max(self.clock.now_ns);
            }
            if self.clock.now_ns >= next_timers {
                self.run_timers();
                self.publish();
                next_timers = self.clock.now_ns + timers::EVERY_NS;
            }
        }
        self.keep_headers();
        self.publish();
        Ok(())
    }

    /// Registers sockets that were opened since the last round, and stores them with the service manager.
    fn give_pairs_to(&mut self, intake: &mut dyn Intake) -> std::io::Result<()> {
        for at in std::mem::take(&mut self.fresh_pairs) {
            let pair = self.ports.pair(at);
            intake.add(2 * at, pair.rtp.as_raw_fd())?;
            intake.add(2 * at + 1, pair.rtcp.as_raw_fd())?;
        }
        self.manager.retry();
        Ok(())
    }

    /// A pair that was opened by this process: it must be received from and stored.
    fn note_new_pair(&mut self, at: u32) {
        self.fresh_pairs.push(at);
        let pair = self.ports.pair(at);
        self.manager.store(format!("rtp-{}", pair.rtp_port), pair.rtp.as_raw_fd());
        self.manager.store(format!("rtcp-{}", pair.rtcp_port()), pair.rtcp.as_raw_fd());
    }

    fn insert(&mut self, track: Track) -> u32 {
        let (id, slot, pair) = (track.id, track.handle.slot(), track.pair as usize);
        let at = match self.free.pop() {
            Some(at) => {
                self.tracks[at as usize] = Some(track);
                at
            }
            None => {
                self.tracks.push(Some(track));
                self.tracks.len() as u32 - 1
            }
        };
        self.by_id.insert(id, at);
        self.by_slot.insert(slot, at);
        if self.pair_tracks.len() <= pair {
            self.pair_tracks.resize(pair + 1, NO_TRACK);
        }
        self.pair_tracks[pair] = at;
        at
    }

    fn remove(&mut self, at: u32) -> Option<Track> {
        let track = self.tracks[at as usize].take()?;
        self.by_id.remove(&track.id);
        self.by_slot.remove(&track.handle.slot());
        self.pair_tracks[track.pair as usize] = NO_TRACK;
        self.ports.release(track.pair, self.clock.now_ns);
        self.landing.forget_state(at);
        self.free.push(at);
        Some(track)
    }

    /// Notes that something waits in a track's buffer.
    fn touch(&mut self, at: u32) {
        if let Some(track) = self.tracks[at as usize].as_mut() {
            if !track.dirty {
                track.dirty = true;
                self.dirty.push(at);
            }
        }
    }

    fn random(&mut self) -> u64 {
        // xorshift64*: spreads timers and names sources; nothing secret hangs on it.
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        self.random.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn publish(&self) {
        let shared = &self.shared;
        shared.packets.store(self.totals.packets, Relaxed);
        shared.strangers.store(self.totals.strangers, Relaxed);
        shared.stale.store(self.totals.stale, Relaxed);
        shared.lost_kernel.store(self.totals.lost_kernel, Relaxed);
        shared.overflow.store(self.totals.overflow, Relaxed);
        shared.open_tracks.store(self.by_id.len() as u64, Relaxed);
        shared.sockets.store(2 * self.ports.len() as u64, Relaxed);
    }

    fn log_failure(&self, what: &str, error: &dyn std::fmt::Display) {
        log::error(what, serde_json::json!({"error": error.to_string()}));
    }
}
