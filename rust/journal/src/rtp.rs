//! The parts of an RTP packet (RFC 3550 section 5.1), each bound checked: the packet comes from a stranger.

/// What an extraction needs of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RtpPacket<'p> {
    pub(crate) marker: bool,
    pub(crate) payload_type: u8,
    pub(crate) sequence: u16,
    pub(crate) timestamp: u32,
    pub(crate) ssrc: u32,
    /// Four bytes per source, at most fifteen.
    pub(crate) csrc: &'p [u8],
    /// Without header extension and padding.
    pub(crate) payload: &'p [u8],
}

/// None when the packet is no RTP version 2, or is shorter than it says.
pub(crate) fn parse(packet: &[u8]) -> Option<RtpPacket<'_>> {
    let (fixed, after) = packet.split_first_chunk::<12>()?;
    if fixed[0] >> 6 != 2 {
        return None;
    }
    let csrc_bytes = usize::from(fixed[0] & 0x0f) * 4;
    let csrc = after.get(..csrc_bytes)?;
    let mut payload = &after[csrc_bytes..];
    if fixed[0] & 0x10 != 0 {
        let (extension, rest) = payload.split_first_chunk::<4>()?;
        let words = usize::from(u16::from_be_bytes([extension[2], extension[3]]));
        payload = rest.get(words * 4..)?;
    }
    if fixed[0] & 0x20 != 0 {
        let padding = usize::from(*payload.last()?);
        if padding == 0 {
            return None;
        }
        payload = payload.get(..payload.len().checked_sub(padding)?)?;
    }
    Some(RtpPacket {
        marker: fixed[1] & 0x80 != 0,
        payload_type: fixed[1] & 0x7f,
        sequence: u16::from_be_bytes([fixed[2], fixed[3]]),
        timestamp: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
        ssrc: u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]),
        csrc,
        payload,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn extension_csrc_and_padding_are_taken_off() {
        let mut packet = vec![0x80 | 0x20 | 0x10 | 2, 0x80 | 8, 0x12, 0x34, 0, 0, 0, 160, 0xde, 0xad, 0xbe, 0xef];
        packet.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0, 2]);
        packet.extend_from_slice(&[0xbe, 0xde, 0, 1, 9, 9, 9, 9]);
        packet.extend_from_slice(b"audio");
        packet.extend_from_slice(&[0, 0, 3]);
        let parsed = parse(&packet).unwrap();
        assert_eq!(
            (parsed.marker, parsed.payload_type, parsed.sequence, parsed.timestamp, parsed.ssrc),
            (true, 8, 0x1234, 160, 0xdead_beef)
        );
        assert_eq!(parsed.csrc, [0, 0, 0, 1, 0, 0, 0, 2]);
        assert_eq!(parsed.payload, b"audio");
    }

    #[test]
    fn what_is_shorter_than_it_says_is_no_packet() {
        assert_eq!(parse(&[0x80; 11]), None);
        assert_eq!(parse(&[0x8f; 12]), None);
        assert_eq!(parse(&[0x90, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255]), None);
        assert_eq!(parse(&[0xa0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9]), None);
        assert_eq!(parse(&[0x40; 40]), None);
    }

    proptest! {
        #[test]
        fn no_packet_makes_it_panic_and_the_payload_lies_inside(mut packet in proptest::collection::vec(any::<u8>(), 0..200), version in any::<bool>()) {
            if let (true, Some(first)) = (version, packet.first_mut()) {
                *first = 0x80 | (*first & 0x3f);
            }
            if let Some(parsed) = parse(&packet) {
                prop_assert!(parsed.payload.len() + parsed.csrc.len() + 12 <= packet.len());
            }
        }
    }
}
