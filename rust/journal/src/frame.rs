//! Frames: how one encrypted block stands in a segment or a track file. The layout is in docs/reference/audio-journal.md.

use ring::aead::{Aad, LessSafeKey, Nonce};

use crate::TrackId;

/// Bytes before the cipher text.
pub(crate) const HEADER_BYTES: usize = 80;
/// Bytes of the authentication tag.
pub(crate) const TAG_BYTES: usize = 16;
const MAGIC: [u8; 4] = *b"CWJ1";
const VERSION: u8 = 1;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum FrameKind {
    /// Opens each segment: the table of unreleased tracks.
    Checkpoint = 1,
    /// Wall clock and monotonic clock, side by side.
    Anchor = 2,
    /// Tracks whose keys were destroyed.
    Released = 3,
    /// A new track and its header.
    Open = 4,
    /// Its new header.
    Update = 5,
    /// Its records.
    Audio = 6,
    /// Its end and statistics.
    Close = 7,
}

impl FrameKind {
    fn of(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Checkpoint,
            2 => Self::Anchor,
            3 => Self::Released,
            4 => Self::Open,
            5 => Self::Update,
            6 => Self::Audio,
            7 => Self::Close,
            _ => return None,
        })
    }
}

/// Where a frame was first written. Segments count from 1; segment 0 is nowhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Place {
    pub(crate) segment: u64,
    pub(crate) offset: u32,
}

impl Place {
    pub(crate) const NOWHERE: Place = Place { segment: 0, offset: 0 };

    pub(crate) fn is_nowhere(&self) -> bool {
        self.segment == 0
    }
}

/// The clear part of a frame; all of it is authenticated with the cipher text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    /// Bytes of cipher text and tag.
    pub(crate) length: u32,
    pub(crate) kind: FrameKind,
    /// Number of the sync group in its run, modulo 65,536: what was written together.
    pub(crate) group: u16,
    pub(crate) place: Place,
    /// Frames of this track before this one, in this and all earlier runs; the nonce together with `boot`.
    pub(crate) counter: u32,
    /// Random number of the run that wrote it.
    pub(crate) boot: u64,
    /// Bytes of the track's records before this frame.
    pub(crate) position: u64,
    /// The track's frame before this one.
    pub(crate) previous: Place,
    /// Packet records inside.
    pub(crate) packets: u32,
    pub(crate) track: TrackId,
}

impl FrameHeader {
    /// Bytes on disk, padding included.
    pub(crate) fn frame_bytes(&self) -> usize {
        padded(HEADER_BYTES + self.length as usize)
    }

    /// Bytes of plain text.
    pub(crate) fn plain_bytes(&self) -> u64 {
        (self.length as usize - TAG_BYTES) as u64
    }

    /// Where this track's records go on.
    pub(crate) fn end_position(&self) -> u64 {
        self.position + if self.kind == FrameKind::Audio { self.plain_bytes() } else { 0 }
    }

    fn nonce(&self) -> Nonce {
        let mut bytes = [0u8; 12];
        bytes[0..8].copy_from_slice(&self.boot.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.counter.to_le_bytes());
        Nonce::assume_unique_for_key(bytes)
    }

    fn encode(&self, out: &mut [u8]) {
        out[4..8].copy_from_slice(&MAGIC);
        out[8..12].copy_from_slice(&self.length.to_le_bytes());
        out[12] = self.kind as u8;
        out[13] = VERSION;
        out[14..16].copy_from_slice(&self.group.to_le_bytes());
        out[16..24].copy_from_slice(&self.place.segment.to_le_bytes());
        out[24..28].copy_from_slice(&self.place.offset.to_le_bytes());
        out[28..32].copy_from_slice(&self.counter.to_le_bytes());
        out[32..40].copy_from_slice(&self.boot.to_le_bytes());
        out[40..48].copy_from_slice(&self.position.to_le_bytes());
        out[48..56].copy_from_slice(&self.previous.segment.to_le_bytes());
        out[56..60].copy_from_slice(&self.previous.offset.to_le_bytes());
        out[60..64].copy_from_slice(&self.packets.to_le_bytes());
        out[64..80].copy_from_slice(self.track.bytes());
    }

    /// The header in these bytes, if they look like one. Nothing is trusted before the CRC was checked.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; HEADER_BYTES] = bytes.first_chunk()?;
        if bytes[4..8] != MAGIC || bytes[13] != VERSION {
            return None;
        }
        let length = u32_at(bytes, 8);
        if (length as usize) < TAG_BYTES || length > 1 << 30 {
            return None;
        }
        let mut track = [0u8; 16];
        track.copy_from_slice(&bytes[64..80]);
        Some(Self {
            length,
            kind: FrameKind::of(bytes[12])?,
            group: u16::from_le_bytes([bytes[14], bytes[15]]),
            place: Place { segment: u64_at(bytes, 16), offset: u32_at(bytes, 24) },
            counter: u32_at(bytes, 28),
            boot: u64_at(bytes, 32),
            position: u64_at(bytes, 40),
            previous: Place { segment: u64_at(bytes, 48), offset: u32_at(bytes, 56) },
            packets: u32_at(bytes, 60),
            track: TrackId::from_bytes(track),
        })
    }
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut number = [0u8; 4];
    number.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(number)
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut number = [0u8; 8];
    number.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(number)
}

const fn padded(bytes: usize) -> usize {
    (bytes + 7) & !7
}

/// Bytes on disk of a frame with this much plain text.
pub(crate) const fn frame_bytes_of(plain_bytes: usize) -> usize {
    padded(HEADER_BYTES + plain_bytes + TAG_BYTES)
}

/// Encrypts and frames `parts`, one after the other, at the end of `out`. `header.length` is set here.
pub(crate) fn append(out: &mut Vec<u8>, mut header: FrameHeader, key: &LessSafeKey, parts: &[&[u8]]) {
    let start = out.len();
    let plain: usize = parts.iter().map(|part| part.len()).sum();
    header.length = (plain + TAG_BYTES) as u32;
    out.reserve(frame_bytes_of(plain));
    let mut head = [0u8; HEADER_BYTES];
    header.encode(&mut head);
    out.extend_from_slice(&head);
    for part in parts {
        out.extend_from_slice(part);
    }
    let body = &mut out[start + HEADER_BYTES..];
    // ring fails only beyond 2^36 bytes; a frame never gets there.
    let tag =
        key.seal_in_place_separate_tag(header.nonce(), Aad::from(&head[4..]), body).expect("a frame is far below the limit of AES-GCM");
    out.extend_from_slice(tag.as_ref());
    out.resize(start + frame_bytes_of(plain), 0);
    let crc = crc32c::crc32c(&out[start + 4..]);
    out[start..start + 4].copy_from_slice(&crc.to_le_bytes());
}

/// Whether the CRC of this whole frame (padding included) is right.
pub(crate) fn crc_holds(frame: &[u8]) -> bool {
    frame.len() >= HEADER_BYTES && u32_at(frame, 0) == crc32c::crc32c(&frame[4..])
}

/// Decrypts a frame in place; None when it is not what was written with this key.
pub(crate) fn open<'f>(key: &LessSafeKey, header: &FrameHeader, frame: &'f mut [u8]) -> Option<&'f [u8]> {
    let mut aad = [0u8; HEADER_BYTES - 4];
    aad.copy_from_slice(frame.get(4..HEADER_BYTES)?);
    let sealed = frame.get_mut(HEADER_BYTES..HEADER_BYTES + header.length as usize)?;
    let plain = key.open_in_place(header.nonce(), Aad::from(&aad[..]), sealed).ok()?;
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring::aead::{UnboundKey, AES_256_GCM};

    fn key() -> LessSafeKey {
        LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &[7; 32]).unwrap())
    }

    fn frame() -> (FrameHeader, Vec<u8>) {
        let header = FrameHeader {
            length: 0,
            kind: FrameKind::Audio,
            group: 3,
            place: Place { segment: 3, offset: 4096 },
            counter: 9,
            boot: 77,
            position: 1000,
            previous: Place { segment: 2, offset: 80 },
            packets: 1,
            track: TrackId::from_bytes([5; 16]),
        };
        let mut out = Vec::new();
        append(&mut out, header, &key(), &[b"first ", b"second"]);
        (FrameHeader::decode(&out).unwrap(), out)
    }

    #[test]
    fn a_frame_opens_with_its_key_and_is_padded_to_eight() {
        let (header, mut bytes) = frame();
        assert_eq!(bytes.len() % 8, 0);
        assert_eq!(bytes.len(), header.frame_bytes());
        assert!(crc_holds(&bytes));
        assert_eq!(open(&key(), &header, &mut bytes).unwrap(), b"first second");
    }

    #[test]
    fn any_flipped_bit_breaks_the_crc() {
        let (_, bytes) = frame();
        for at in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[at / 8] ^= 1 << (at % 8);
            assert!(!crc_holds(&bad), "bit {at}");
        }
    }

    #[test]
    fn a_changed_header_with_a_mended_crc_does_not_open() {
        let (_, bytes) = frame();
        for at in 16..HEADER_BYTES {
            let mut bad = bytes.clone();
            bad[at] ^= 1;
            let crc = crc32c::crc32c(&bad[4..]);
            bad[..4].copy_from_slice(&crc.to_le_bytes());
            let header = FrameHeader::decode(&bad).unwrap();
            assert!(open(&key(), &header, &mut bad).is_none(), "byte {at}");
        }
    }
}
