//! The landing: packets that the journal has not synced yet, and the live state of each track, in memory that outlives a crash.
//!
//! The journal collects audio for a tenth of a second before it writes. A process that dies in between would lose it, though the
//! machine is well. So each packet is copied into a memfd as well, which the service manager keeps beside the sockets; the next
//! process reads it and hands to the journal what the journal had not written. What was received but not yet read from the sockets
//! waits there. So a kill costs at most the batch in hand.
//!
//! The memory has one fixed place per track for its state, and slabs of records. A slab is filled, then waits until everything in it
//! is acknowledged by the journal, then is used again. When all slabs wait (the disk hangs), packets go on to the journal's own buffer
//! without this second net.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use callward_journal::{TrackHandle, TrackId};

use crate::kernel::SharedMemory;

const MAGIC: &[u8; 8] = b"CWLAND01";
const HEADER_BYTES: usize = 4096;
/// Behind the magic.
const STATES_USED_AT: usize = 8;
/// Room for the state of one track.
pub const STATE_BYTES: usize = 512;
/// Tracks whose state is kept; at most two ports per track are available, so this is beyond what one process serves.
const STATES: usize = 32_768;
const SLAB_BYTES: usize = 4 << 20;
/// 256 MiB: more than a second at 200,000 packets a second.
const SLABS: usize = 64;
const SLAB_HEADER: usize = 16;
/// u32 length, u32 zero, track id, u64 position, i64 arrival.
const RECORD_HEADER: usize = 40;
const SLABS_START: usize = HEADER_BYTES + STATES * STATE_BYTES;
const TOTAL_BYTES: usize = SLABS_START + SLABS * SLAB_BYTES;

/// One packet that was found after a restart.
pub struct Landed {
    pub track: TrackId,
    /// Bytes of records of the track before it, as the journal counts them.
    pub position: u64,
    pub arrival_ns: i64,
    pub packet: Vec<u8>,
}

/// What an earlier process left.
#[derive(Default)]
pub struct Left {
    pub states: Vec<(TrackId, [u8; STATE_BYTES])>,
    /// In the order of arrival.
    pub packets: Vec<Landed>,
}

pub struct Landing {
    memory: SharedMemory,
    /// Slabs that wait for the journal, oldest first, with the position up to which each of their tracks must be acknowledged.
    waiting: VecDeque<(usize, Vec<(TrackHandle, u64)>)>,
    free: Vec<usize>,
    current: Option<usize>,
    used: usize,
    /// Grows with each slab that is begun: a track that knows another number is not noted in the current slab yet.
    generation: u64,
    touched: Vec<u32>,
}

impl Landing {
    pub fn create() -> io::Result<Landing> {
        let mut landing = Landing::over(SharedMemory::create(TOTAL_BYTES)?);
        landing.memory.bytes_mut()[..8].copy_from_slice(MAGIC);
        Ok(landing)
    }

    /// Takes over what an earlier process left, and reads it. Nothing is overwritten before `reset`.
    pub fn adopt(descriptor: OwnedFd) -> io::Result<(Landing, Left)> {
        let memory = SharedMemory::adopt(descriptor, TOTAL_BYTES)?;
        if &memory.bytes()[..8] != MAGIC {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the kept memory is not a landing"));
        }
        let left = read(memory.bytes());
        Ok((Landing::over(memory), left))
    }

    fn over(memory: SharedMemory) -> Landing {
        Landing {
            memory,
            waiting: VecDeque::new(),
            free: (0..SLABS).rev().collect(),
            current: None,
            used: 0,
            generation: 0,
            touched: Vec::new(),
        }
    }

    pub fn descriptor(&self) -> RawFd {
        self.memory.as_raw_fd()
    }

    /// Forgets everything: it stands in the journal.
    pub fn reset(&mut self) {
        for slab in 0..SLABS {
            self.memory.publish(slab_at(slab), 0);
        }
        for state in 0..states_used(self.memory.bytes()) {
            self.memory.publish(HEADER_BYTES + state * STATE_BYTES, 0);
        }
        self.memory.publish(STATES_USED_AT, 0);
        self.waiting.clear();
        self.free = (0..SLABS).rev().collect();
        self.current = None;
        self.touched.clear();
        self.generation += 1;
    }

    /// Copies one packet. `noted` belongs to the track and tells whether it is known to be in the current slab.
    #[inline]
    pub fn append(&mut self, at: u32, noted: &mut u64, track: &TrackId, position: u64, arrival_ns: i64, packet: &[u8]) {
        let needed = (RECORD_HEADER + packet.len()).next_multiple_of(8);
        let Some(slab) = self.current else { return };
        if self.used + needed > SLAB_BYTES {
            // `settle` makes room with each hand-over; until then the journal's own buffer must do.
            return;
        }
        let start = slab_at(slab) + self.used;
        let record = &mut self.memory.bytes_mut()[start..start + needed];
        record[..4].copy_from_slice(&(packet.len() as u32).to_le_bytes());
        record[8..24].copy_from_slice(track.bytes());
        record[24..32].copy_from_slice(&position.to_ne_bytes());
        record[32..40].copy_from_slice(&arrival_ns.to_ne_bytes());
        record[RECORD_HEADER..RECORD_HEADER + packet.len()].copy_from_slice(packet);
        self.used += needed;
        self.memory.publish(slab_at(slab) + 8, self.used as u64);
        if *noted != self.generation {
            *noted = self.generation;
            self.touched.push(at);
        }
    }

    /// True when a new slab should be begun: the current one is well filled, or there is none.
    pub fn wants_slab(&self) -> bool {
        self.current.is_none() || self.used > SLAB_BYTES / 2
    }

    /// Puts the current slab aside until its tracks are acknowledged up to where they are now, and begins another.
    /// `position` tells handle and position of a track that is still open.
    pub fn begin_slab(&mut self, mut position: impl FnMut(u32) -> Option<(TrackHandle, u64)>) {
        if let Some(slab) = self.current.take() {
            let tracks = self.touched.drain(..).filter_map(&mut position).collect();
            self.waiting.push_back((slab, tracks));
        }
        self.touched.clear();
        self.free_acknowledged();
        let Some(slab) = self.free.pop() else { return };
        self.generation += 1;
        self.used = SLAB_HEADER;
        self.memory.publish(slab_at(slab) + 8, SLAB_HEADER as u64);
        self.memory.publish(slab_at(slab), self.generation);
        self.current = Some(slab);
    }

    fn free_acknowledged(&mut self) {
        while let Some((slab, tracks)) = self.waiting.front_mut() {
            while tracks.last().is_some_and(|(handle, end)| handle.ended() || handle.acked_bytes() >= *end) {
                tracks.pop();
            }
            if !tracks.is_empty() {
                return;
            }
            let slab = *slab;
            self.waiting.pop_front();
            self.memory.publish(slab_at(slab), 0);
            self.free.push(slab);
        }
    }

    /// Packets were dropped by the journal, so its positions tell nothing about what waits here: lets all of it go.
    pub fn give_up_waiting(&mut self) {
        for (slab, _) in std::mem::take(&mut self.waiting) {
            self.memory.publish(slab_at(slab), 0);
            self.free.push(slab);
        }
    }

    /// Writes a track's state; `at` is its place. The first eight bytes belong to the landing.
    #[inline]
    pub fn keep_state(&mut self, at: u32, track: &TrackId, write: impl FnOnce(&mut [u8])) {
        if at as usize >= STATES {
            return;
        }
        let start = HEADER_BYTES + at as usize * STATE_BYTES;
        if at as usize >= states_used(self.memory.bytes()) {
            self.memory.publish(STATES_USED_AT, at as u64 + 1);
        }
        // Zero while it is being written: a torn state is no state.
        self.memory.publish(start, 0);
        let state = &mut self.memory.bytes_mut()[start..start + STATE_BYTES];
        state[8..24].copy_from_slice(track.bytes());
        write(&mut state[24..]);
        self.memory.publish(start, 1);
    }

    pub fn forget_state(&mut self, at: u32) {
        if (at as usize) < states_used(self.memory.bytes()) {
            self.memory.publish(HEADER_BYTES + at as usize * STATE_BYTES, 0);
        }
    }

    /// Overwrites every packet of a track: it was shredded.
    pub fn erase(&mut self, track: &TrackId) {
        let slabs: Vec<usize> = (0..SLABS).collect();
        for slab in slabs {
            let start = slab_at(slab);
            let bytes = &mut self.memory.bytes_mut()[start..start + SLAB_BYTES];
            let mut at = SLAB_HEADER;
            let used = (number(bytes, 8) as usize).min(SLAB_BYTES);
            while at + RECORD_HEADER <= used {
                let length = u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]) as usize;
                let end = at + RECORD_HEADER + length;
                if end > used {
                    break;
                }
                if bytes[at + 8..at + 24] == track.bytes()[..] {
                    bytes[at + RECORD_HEADER..end].fill(0);
                    bytes[at + 8..at + 24].fill(0);
                }
                at = end.next_multiple_of(8);
            }
        }
    }
}

/// Places of states that were ever written: the pages beyond were never touched and take no memory.
fn states_used(memory: &[u8]) -> usize {
    (number(memory, STATES_USED_AT) as usize).min(STATES)
}

fn slab_at(slab: usize) -> usize {
    SLABS_START + slab * SLAB_BYTES
}

fn number(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0u8; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_ne_bytes(word)
}

fn read(memory: &[u8]) -> Left {
    let mut left = Left::default();
    for at in 0..states_used(memory) {
        let start = HEADER_BYTES + at * STATE_BYTES;
        if number(memory, start) != 1 {
            continue;
        }
        let mut state = [0u8; STATE_BYTES];
        state.copy_from_slice(&memory[start..start + STATE_BYTES]);
        if let Some(id) = state[8..].first_chunk::<16>() {
            left.states.push((TrackId::from_bytes(*id), state));
        }
    }
    let mut slabs: Vec<(u64, usize)> =
        (0..SLABS).map(|slab| (number(memory, slab_at(slab)), slab)).filter(|(generation, _)| *generation != 0).collect();
    slabs.sort_unstable();
    for (_, slab) in slabs {
        let bytes = &memory[slab_at(slab)..slab_at(slab) + SLAB_BYTES];
        let used = (number(bytes, 8) as usize).min(SLAB_BYTES);
        let mut at = SLAB_HEADER;
        while at + RECORD_HEADER <= used {
            let length = u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]) as usize;
            let end = at + RECORD_HEADER + length;
            let Some(id) = bytes[at + 8..].first_chunk::<16>() else { break };
            if end > used {
                break;
            }
            left.packets.push(Landed {
                track: TrackId::from_bytes(*id),
                position: number(bytes, at + 24),
                arrival_ns: number(bytes, at + 32) as i64,
                packet: bytes[at + RECORD_HEADER..end].to_vec(),
            });
            at = end.next_multiple_of(8);
        }
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    fn track(number: u8) -> TrackId {
        TrackId::from_bytes([number; 16])
    }

    fn again(landing: &Landing) -> Left {
        // What another process would find.
        read(landing.memory.bytes())
    }

    #[test]
    fn what_was_appended_is_found_in_order() {
        let mut landing = Landing::create().unwrap();
        landing.begin_slab(|_| None);
        let mut noted = 0;
        for at in 0..1000u64 {
            landing.append(0, &mut noted, &track(1), at * 10, at as i64, &at.to_le_bytes());
        }
        landing.begin_slab(|_| None);
        landing.append(0, &mut noted, &track(2), 7, 8, b"last");
        landing.keep_state(3, &track(2), |state| state[..4].copy_from_slice(b"good"));
        let left = again(&landing);
        // The first slab had no open track left, so it was let go.
        assert_eq!(left.packets.len(), 1);
        assert_eq!((left.packets[0].track, left.packets[0].position, left.packets[0].arrival_ns), (track(2), 7, 8));
        assert_eq!(left.packets[0].packet, b"last");
        assert_eq!(left.states.len(), 1);
        assert_eq!(&left.states[0].1[24..28], b"good");
        landing.reset();
        let left = again(&landing);
        assert!(left.packets.is_empty() && left.states.is_empty());
    }

    #[test]
    fn a_shredded_track_is_overwritten() {
        let mut landing = Landing::create().unwrap();
        landing.begin_slab(|_| None);
        let mut noted = 0;
        landing.append(0, &mut noted, &track(1), 0, 0, b"secret");
        landing.append(0, &mut noted, &track(2), 0, 0, b"other");
        landing.erase(&track(1));
        assert!(!landing.memory.bytes()[SLABS_START..SLABS_START + 4096].windows(6).any(|bytes| bytes == b"secret"));
        assert_eq!(again(&landing).packets.iter().filter(|one| one.packet == b"other").count(), 1);
    }

    #[test]
    fn a_full_slab_takes_no_more_and_stays_whole() {
        let mut landing = Landing::create().unwrap();
        landing.begin_slab(|_| None);
        let mut noted = 0;
        for at in 0..5_000u64 {
            landing.append(0, &mut noted, &track(1), at, 0, &[at as u8; 1400]);
        }
        let left = again(&landing);
        assert!(left.packets.len() > 2_000 && left.packets.len() < 5_000);
        assert!(left.packets.iter().enumerate().all(|(at, one)| one.position == at as u64));
    }
}
