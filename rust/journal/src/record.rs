//! The records of a track: what stands, in order of arrival, in the plain text of its audio blocks.
//!
//! A record is `u16 length, u8 kind, u8 flags, i64 arrival_ns, bytes` (little-endian): twelve bytes, then `length` bytes.

/// Length of what stands before a record's bytes.
pub const RECORD_HEADER_BYTES: usize = 12;

/// A buffer that has grown to this size takes no more records until it was handed over.
pub const BLOCK_MAX_BYTES: usize = 1 << 20;

/// The longest mark that is kept.
pub const MARK_MAX_BYTES: usize = 4096;

/// What a record holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum RecordKind {
    /// One whole RTP packet, decrypted.
    Packet = 1,
    /// A JSON object with `kind` (pause, resume, restart, overflow, source, payload_types, rekey, ...).
    Mark = 2,
}

/// One record as read back. `kind` stays a number: a later version may know more kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    pub kind: u8,
    pub flags: u8,
    /// Nanoseconds of UTC at arrival.
    pub arrival_ns: i64,
    pub bytes: &'a [u8],
}

/// Records of one track that wait to be handed over: a plain vector, appended by the hot thread.
#[derive(Clone, Debug, Default)]
pub struct BlockBuffer {
    pub(crate) data: Vec<u8>,
    pub(crate) packets: u32,
}

impl BlockBuffer {
    /// Appends one packet (at most 65,535 bytes). False when the buffer is full: hand it over first.
    #[inline]
    pub fn push_packet(&mut self, arrival_ns: i64, packet: &[u8]) -> bool {
        let pushed = self.push(RecordKind::Packet, 0, arrival_ns, packet);
        self.packets += u32::from(pushed);
        pushed
    }

    /// Appends one mark (a JSON object with `kind`, at most [`MARK_MAX_BYTES`]). False when it is too long or the buffer is full.
    pub fn push_mark(&mut self, at_ns: i64, json: &[u8]) -> bool {
        json.len() <= MARK_MAX_BYTES && self.push(RecordKind::Mark, 0, at_ns, json)
    }

    #[inline]
    fn push(&mut self, kind: RecordKind, flags: u8, arrival_ns: i64, bytes: &[u8]) -> bool {
        let Ok(length) = u16::try_from(bytes.len()) else {
            return false;
        };
        if self.data.len() + RECORD_HEADER_BYTES + bytes.len() > BLOCK_MAX_BYTES {
            return false;
        }
        let mut header = [0u8; RECORD_HEADER_BYTES];
        header[0..2].copy_from_slice(&length.to_le_bytes());
        header[2] = kind as u8;
        header[3] = flags;
        header[4..12].copy_from_slice(&arrival_ns.to_le_bytes());
        self.data.extend_from_slice(&header);
        self.data.extend_from_slice(bytes);
        true
    }

    /// Nothing waits.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// Bytes that wait, record headers included.
    #[inline]
    pub fn len(&self) -> usize {
        self.data.len()
    }

    /// Packets that wait.
    #[inline]
    pub fn packets(&self) -> u32 {
        self.packets
    }

    /// The encoded records.
    pub fn as_bytes(&self) -> &[u8] {
        &self.data
    }

    pub(crate) fn clear(&mut self) {
        self.data.clear();
        self.packets = 0;
    }
}

/// Walks the records of a block's plain text. Ends at the first record that does not fit.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    rest: &'a [u8],
}

impl<'a> Records<'a> {
    /// The records in `plain`.
    pub fn of(plain: &'a [u8]) -> Self {
        Self { rest: plain }
    }

    /// Bytes that were not understood (only after the walk ended).
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    #[inline]
    fn next(&mut self) -> Option<Record<'a>> {
        let (header, after) = self.rest.split_first_chunk::<RECORD_HEADER_BYTES>()?;
        let length = usize::from(u16::from_le_bytes([header[0], header[1]]));
        let bytes = after.get(..length)?;
        self.rest = &after[length..];
        let mut arrival = [0u8; 8];
        arrival.copy_from_slice(&header[4..12]);
        Some(Record { kind: header[2], flags: header[3], arrival_ns: i64::from_le_bytes(arrival), bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back_as_they_were_pushed() {
        let mut buffer = BlockBuffer::default();
        assert!(buffer.push_packet(7, b"rtp"));
        assert!(buffer.push_mark(8, b"{\"kind\":\"pause\"}"));
        assert!(buffer.push_packet(9, b""));
        let records: Vec<_> =
            Records::of(buffer.as_bytes()).map(|record| (record.kind, record.arrival_ns, record.bytes.to_vec())).collect();
        assert_eq!(records, vec![(1, 7, b"rtp".to_vec()), (2, 8, b"{\"kind\":\"pause\"}".to_vec()), (1, 9, vec![])]);
        assert_eq!(buffer.packets(), 2);
    }

    #[test]
    fn a_full_buffer_takes_no_more_and_a_long_mark_is_refused() {
        let mut buffer = BlockBuffer::default();
        assert!(!buffer.push_mark(0, &[b' '; MARK_MAX_BYTES + 1]));
        while buffer.push_packet(0, &[0; 60_000]) {}
        assert!(buffer.len() <= BLOCK_MAX_BYTES);
    }

    #[test]
    fn a_cut_record_ends_the_walk() {
        let mut buffer = BlockBuffer::default();
        buffer.push_packet(7, b"abc");
        buffer.push_packet(7, b"def");
        for cut in 0..buffer.len() {
            assert!(Records::of(&buffer.as_bytes()[..cut]).count() <= 1);
        }
    }
}
