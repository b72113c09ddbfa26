//! The table of unreleased tracks that opens every segment: what recovery and readers start from.

use crate::frame::{u32_at, u64_at, Place};
use crate::TrackId;

/// Bytes of one track in the table.
pub(crate) const ENTRY_BYTES: usize = 112;
const HEAD_BYTES: usize = 40;
const HOLE_BYTES: usize = 16;
const VERSION: u32 = 1;

/// What the journal knows of one unreleased track.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) closed: bool,
    /// Frames written so far.
    pub(crate) counter: u32,
    /// Bytes of records written so far.
    pub(crate) position: u64,
    /// Its newest frame.
    pub(crate) last: Place,
    /// Its newest header (an open or update frame).
    pub(crate) header: Place,
    /// Where that header stands in the track file, plus one; 0 while it stands in a segment.
    pub(crate) header_in_file: u64,
    /// Good bytes of the track file.
    pub(crate) file_bytes: u64,
    /// The newest frame in the track file, and where it stands there.
    pub(crate) file_last: Place,
    pub(crate) file_last_at: u64,
    /// The oldest segment that may still hold frames that are not in the track file.
    pub(crate) first_segment: u64,
    pub(crate) opened_at_ns: i64,
}

/// Bytes of a segment that do not count: what a crash left behind. `to` is `u32::MAX` where nothing follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hole {
    pub(crate) segment: u64,
    pub(crate) from: u32,
    pub(crate) to: u32,
}

impl Hole {
    /// Whether a frame that claims to stand here is none of ours.
    pub(crate) fn covers(&self, place: Place) -> bool {
        self.segment == place.segment && self.from <= place.offset && place.offset < self.to
    }
}

/// The content of a checkpoint frame.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    pub(crate) utc_ns: i64,
    pub(crate) monotonic_ns: u64,
    pub(crate) holes: Vec<Hole>,
    pub(crate) tracks: Vec<(TrackId, Entry)>,
}

/// Encodes without building a [`Checkpoint`] first: the writer has its own tables.
pub(crate) fn encode<'e>(utc_ns: i64, monotonic_ns: u64, holes: &[Hole], tracks: impl Iterator<Item = (TrackId, &'e Entry)>) -> Vec<u8> {
    let mut out = vec![0u8; HEAD_BYTES];
    for hole in holes {
        out.extend_from_slice(&hole.segment.to_le_bytes());
        out.extend_from_slice(&hole.from.to_le_bytes());
        out.extend_from_slice(&hole.to.to_le_bytes());
    }
    let mut count = 0u32;
    for (track, entry) in tracks {
        count += 1;
        out.extend_from_slice(track.bytes());
        out.extend_from_slice(&u32::from(entry.closed).to_le_bytes());
        out.extend_from_slice(&entry.counter.to_le_bytes());
        out.extend_from_slice(&entry.position.to_le_bytes());
        for place in [entry.last, entry.header] {
            out.extend_from_slice(&place.segment.to_le_bytes());
            out.extend_from_slice(&place.offset.to_le_bytes());
        }
        out.extend_from_slice(&entry.file_last.segment.to_le_bytes());
        out.extend_from_slice(&entry.file_last.offset.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        for number in [entry.header_in_file, entry.file_bytes, entry.file_last_at, entry.first_segment] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&entry.opened_at_ns.to_le_bytes());
    }
    out[0..4].copy_from_slice(&VERSION.to_le_bytes());
    out[4..8].copy_from_slice(&count.to_le_bytes());
    out[8..16].copy_from_slice(&utc_ns.to_le_bytes());
    out[16..24].copy_from_slice(&monotonic_ns.to_le_bytes());
    out[24..28].copy_from_slice(&(holes.len() as u32).to_le_bytes());
    out
}

/// None when the bytes do not hold together.
pub(crate) fn decode(bytes: &[u8]) -> Option<Checkpoint> {
    if bytes.len() < HEAD_BYTES || u32_at(bytes, 0) != VERSION {
        return None;
    }
    let tracks = u32_at(bytes, 4) as usize;
    let holes = u32_at(bytes, 24) as usize;
    if bytes.len() != HEAD_BYTES.checked_add(holes.checked_mul(HOLE_BYTES)?)?.checked_add(tracks.checked_mul(ENTRY_BYTES)?)? {
        return None;
    }
    let (hole_bytes, track_bytes) = bytes[HEAD_BYTES..].split_at(holes * HOLE_BYTES);
    Some(Checkpoint {
        utc_ns: u64_at(bytes, 8) as i64,
        monotonic_ns: u64_at(bytes, 16),
        holes: hole_bytes
            .chunks_exact(HOLE_BYTES)
            .map(|hole| Hole { segment: u64_at(hole, 0), from: u32_at(hole, 8), to: u32_at(hole, 12) })
            .collect(),
        tracks: track_bytes.chunks_exact(ENTRY_BYTES).map(decode_entry).collect(),
    })
}

fn decode_entry(bytes: &[u8]) -> (TrackId, Entry) {
    let place = |at: usize| Place { segment: u64_at(bytes, at), offset: u32_at(bytes, at + 8) };
    let mut track = [0u8; 16];
    track.copy_from_slice(&bytes[0..16]);
    let entry = Entry {
        closed: u32_at(bytes, 16) & 1 == 1,
        counter: u32_at(bytes, 20),
        position: u64_at(bytes, 24),
        last: place(32),
        header: place(44),
        file_last: place(56),
        header_in_file: u64_at(bytes, 72),
        file_bytes: u64_at(bytes, 80),
        file_last_at: u64_at(bytes, 88),
        first_segment: u64_at(bytes, 96),
        opened_at_ns: u64_at(bytes, 104) as i64,
    };
    (TrackId::from_bytes(track), entry)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_comes_back_as_it_was() {
        let entry = Entry {
            closed: true,
            counter: 1,
            position: 2,
            last: Place { segment: 3, offset: 4 },
            header: Place { segment: 5, offset: 6 },
            header_in_file: 7,
            file_bytes: 8,
            file_last: Place { segment: 9, offset: 10 },
            file_last_at: 11,
            first_segment: 12,
            opened_at_ns: -13,
        };
        let hole = Hole { segment: 3, from: 8, to: u32::MAX };
        let tracks = vec![(TrackId::from_bytes([1; 16]), entry), (TrackId::from_bytes([2; 16]), Entry::default())];
        let bytes = encode(-5, 6, &[hole], tracks.iter().map(|(track, entry)| (*track, entry)));
        assert_eq!(decode(&bytes), Some(Checkpoint { utc_ns: -5, monotonic_ns: 6, holes: vec![hole], tracks }));
        assert_eq!(decode(&bytes[..bytes.len() - 1]), None);
    }
}
