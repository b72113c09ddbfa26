//! The way of the audio from a hot thread to the writer: buffers out, buffers back, nothing allocated per packet.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use crossbeam_channel::{Receiver, Sender};

use crate::handle::TrackSlot;
use crate::journal::{Command, Shared};
use crate::record::BlockBuffer;

/// Buffers kept ready per feed.
const POOL_BUFFERS: usize = 65_536;
/// A returned buffer that has grown beyond this is given back to the allocator.
const POOL_BUFFER_BYTES: usize = 64 << 10;

/// One track's records in a batch.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) slot: TrackSlot,
    pub(crate) buffer: BlockBuffer,
}

/// What the writer could not take in time: these packets are lost, counted, and marked in the track as soon as there is room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overflow {
    pub slot: TrackSlot,
    pub packets: u32,
}

#[derive(Debug)]
struct Dropped {
    since_ns: i64,
    packets: u64,
}

/// The hand-over of one hot thread. Each thread has its own ([`crate::Journal::feed`]).
///
/// ```no_run
/// # use callward_journal::*;
/// # fn demo(journal: &Journal, handle: &TrackHandle) {
/// let mut feed = journal.feed();
/// let mut buffer = feed.buffer();                    // one per track
/// buffer.push_packet(1_700_000_000_000_000_000, b"the whole decrypted RTP packet");
/// feed.take(handle.slot(), &mut buffer);             // each flush tick, for each track that has something
/// for lost in feed.submit() { /* event `overflow` */ }
/// # }
/// ```
#[derive(Debug)]
pub struct Feed {
    shared: Arc<Shared>,
    batch: Vec<Block>,
    batch_bytes: u64,
    pool: Vec<BlockBuffer>,
    returns: Receiver<Vec<Block>>,
    returned_to: Sender<Vec<Block>>,
    dropped: HashMap<TrackSlot, Dropped>,
}

impl Feed {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let (returned_to, returns) = crossbeam_channel::bounded(64);
        Self { shared, batch: Vec::new(), batch_bytes: 0, pool: Vec::new(), returns, returned_to, dropped: HashMap::new() }
    }

    /// An empty buffer, from the pool when there is one.
    #[inline]
    pub fn buffer(&mut self) -> BlockBuffer {
        self.pool.pop().unwrap_or_default()
    }

    /// Takes what stands in `buffer` into the next batch and leaves an empty one. Cheap; no lock, no system call.
    #[inline]
    pub fn take(&mut self, slot: TrackSlot, buffer: &mut BlockBuffer) {
        if buffer.is_empty() {
            return;
        }
        let fresh = self.buffer();
        let full = std::mem::replace(buffer, fresh);
        self.batch_bytes += full.data.len() as u64;
        self.batch.push(Block { slot, buffer: full });
    }

    /// Hands the batch to the writer. At the bound (`buffer_bytes`) the batch is dropped instead and reported, one line per track;
    /// a mark `overflow` (`since_ns`, `packets`) follows in the track with the next batch that fits.
    /// Handed-over audio precedes a later `close_track` from the same thread.
    pub fn submit(&mut self) -> Vec<Overflow> {
        self.collect();
        if self.batch.is_empty() {
            return Vec::new();
        }
        if !self.shared.reserve(self.batch_bytes) {
            return self.drop_batch();
        }
        if !self.dropped.is_empty() {
            self.mark_dropped();
        }
        self.shared.send(Command::Batch { blocks: std::mem::take(&mut self.batch), back: self.returned_to.clone() });
        self.batch_bytes = 0;
        Vec::new()
    }

    /// Takes back the buffers that the writer is done with.
    fn collect(&mut self) {
        while let Ok(mut blocks) = self.returns.try_recv() {
            for block in blocks.drain(..) {
                let mut buffer = block.buffer;
                if self.pool.len() < POOL_BUFFERS && buffer.data.capacity() <= POOL_BUFFER_BYTES {
                    buffer.clear();
                    self.pool.push(buffer);
                }
            }
            if self.batch.capacity() == 0 {
                self.batch = blocks;
            }
        }
    }

    fn drop_batch(&mut self) -> Vec<Overflow> {
        let now_ns = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as i64);
        let mut lost = Vec::with_capacity(self.batch.len());
        for mut block in self.batch.drain(..) {
            let packets = block.buffer.packets;
            lost.push(Overflow { slot: block.slot, packets });
            let entry = self.dropped.entry(block.slot).or_insert(Dropped { since_ns: now_ns, packets: 0 });
            entry.packets += u64::from(packets);
            block.buffer.clear();
            self.pool.push(block.buffer);
        }
        self.batch_bytes = 0;
        self.shared.count_overflow(lost.iter().map(|one| u64::from(one.packets)).sum());
        lost
    }

    fn mark_dropped(&mut self) {
        let now_ns = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as i64);
        let marks: Vec<Block> = self
            .dropped
            .drain()
            .map(|(slot, dropped)| {
                let mut buffer = BlockBuffer::default();
                let json = format!("{{\"kind\":\"overflow\",\"since_ns\":{},\"packets\":{}}}", dropped.since_ns, dropped.packets);
                buffer.push_mark(now_ns, json.as_bytes());
                Block { slot, buffer }
            })
            .collect();
        let bytes: u64 = marks.iter().map(|block| block.buffer.data.len() as u64).sum();
        // The marks are small; they may pass the bound so that they are never lost themselves.
        self.shared.reserve_always(bytes);
        self.batch_bytes += bytes;
        self.batch.splice(0..0, marks);
    }
}
