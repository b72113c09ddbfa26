//! RTP packets (RFC 3550 section 5.1) as views on the bytes received. Nothing here allocates or panics on remote input.

/// Bytes of the fixed header.
pub const FIXED_HEADER: usize = 12;

/// The fields of one packet's header that the receiver needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    pub marker: bool,
    pub padding: bool,
    pub payload_type: u8,
    pub sequence: u16,
    pub timestamp: u32,
    pub ssrc: u32,
    pub csrc_count: u8,
    /// Fixed header, CSRC list and header extension: where the payload starts.
    pub length: usize,
}

/// Reads the header of `packet`; `None` when it is not a whole RTP header of version 2.
#[inline]
pub fn parse(packet: &[u8]) -> Option<Header> {
    let fixed: &[u8; FIXED_HEADER] = packet.first_chunk()?;
    if fixed[0] >> 6 != 2 {
        return None;
    }
    let csrc_count = fixed[0] & 0x0f;
    let mut length = FIXED_HEADER + 4 * csrc_count as usize;
    if fixed[0] & 0x10 != 0 {
        let words = packet.get(length + 2..length + 4)?;
        length += 4 + 4 * u16::from_be_bytes([words[0], words[1]]) as usize;
    }
    if packet.len() < length {
        return None;
    }
    Some(Header {
        marker: fixed[1] & 0x80 != 0,
        padding: fixed[0] & 0x20 != 0,
        payload_type: fixed[1] & 0x7f,
        sequence: u16::from_be_bytes([fixed[2], fixed[3]]),
        timestamp: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
        ssrc: u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]),
        csrc_count,
        length,
    })
}

/// True when the padding (after decryption) fits behind the header: its last byte counts itself and is never zero.
#[inline]
pub fn padding_is_sound(packet: &[u8], header: &Header) -> bool {
    if !header.padding {
        return true;
    }
    match packet.last() {
        Some(&count) if packet.len() > header.length => count != 0 && header.length + count as usize <= packet.len(),
        _ => false,
    }
}

/// Tells RTCP from RTP on a shared port (RFC 5761 section 4): RTCP packet types 192 to 223.
#[inline]
pub fn is_rtcp(packet: &[u8]) -> bool {
    packet.len() >= 2 && packet[0] >> 6 == 2 && (192..=223).contains(&packet[1])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packet(first: u8, rest: &[u8]) -> Vec<u8> {
        let mut bytes = vec![first, 0x88, 0x12, 0x34, 0, 0, 0, 160, 0xde, 0xad, 0xbe, 0xef];
        bytes.extend_from_slice(rest);
        bytes
    }

    #[test]
    fn reads_the_fixed_header() {
        let header = parse(&packet(0x80, &[1, 2, 3])).unwrap();
        assert!(header.marker);
        assert_eq!(header.payload_type, 8);
        assert_eq!(header.sequence, 0x1234);
        assert_eq!(header.timestamp, 160);
        assert_eq!(header.ssrc, 0xdead_beef);
        assert_eq!(header.length, 12);
    }

    #[test]
    fn skips_csrc_list_and_extension() {
        let bytes = packet(0x92, &[0, 0, 0, 1, 0, 0, 0, 2, 0xbe, 0xde, 0, 1, 9, 9, 9, 9, 7]);
        let header = parse(&bytes).unwrap();
        assert_eq!(header.length, 12 + 8 + 8);
        assert_eq!(header.csrc_count, 2);
    }

    #[test]
    fn refuses_truncated_and_foreign_packets() {
        assert!(parse(&packet(0x80, &[])[..11]).is_none());
        assert!(parse(&packet(0x40, &[0; 20])).is_none());
        assert!(parse(&packet(0x8f, &[0; 4])).is_none(), "CSRC list is cut");
        assert!(parse(&packet(0x90, &[0, 0, 0xff, 0xff])).is_none(), "extension is cut");
        assert!(parse(b"").is_none());
    }

    #[test]
    fn padding_must_fit() {
        let sound = packet(0xa0, &[5, 5, 0, 2]);
        let header = parse(&sound).unwrap();
        assert!(padding_is_sound(&sound, &header));
        let too_long = packet(0xa0, &[5, 5, 0, 5]);
        assert!(!padding_is_sound(&too_long, &header));
        let zero = packet(0xa0, &[5, 5, 0, 0]);
        assert!(!padding_is_sound(&zero, &header));
        assert!(!padding_is_sound(&packet(0xa0, &[]), &header));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Some(header) = parse(&bytes) {
                prop_assert!(header.length <= bytes.len());
                let _ = padding_is_sound(&bytes, &header);
            }
            let _ = is_rtcp(&bytes);
        }
    }
}
