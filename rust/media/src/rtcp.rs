//! RTCP: compound packets as received, and the reports that we send (RFC 3550 section 6).

/// Longest CNAME that is kept; RFC 3550 section 6.5 allows 255 bytes.
const CNAME_MAX: usize = 255;

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const SOURCE_DESCRIPTION: u8 = 202;
const GOODBYE: u8 = 203;

/// One fact read from a compound packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A sender report; `middle_ntp` are the middle 32 bits of its NTP time (for LSR).
    SenderReport {
        ssrc: u32,
        middle_ntp: u32,
    },
    Cname {
        ssrc: u32,
        cname: String,
    },
    Goodbye {
        ssrc: u32,
    },
}

/// Walks a compound packet and calls `each` for what it says. Returns false when it is not a sound compound packet
/// (RFC 3550 appendix A.2, with reduced-size RTCP of RFC 5506 accepted); items read before the fault have been reported.
pub fn read(packet: &[u8], mut each: impl FnMut(Item)) -> bool {
    let mut rest = packet;
    if rest.len() < 4 {
        return false;
    }
    while !rest.is_empty() {
        let Some(head) = rest.first_chunk::<4>() else { return false };
        let length = 4 * (u16::from_be_bytes([head[2], head[3]]) as usize + 1);
        if head[0] >> 6 != 2 || length > rest.len() || !(192..=223).contains(&head[1]) {
            return false;
        }
        let count = head[0] & 0x1f;
        let body = &rest[4..length];
        match head[1] {
            SENDER_REPORT => {
                let Some(info) = body.first_chunk::<24>() else { return false };
                each(Item::SenderReport {
                    ssrc: u32::from_be_bytes([info[0], info[1], info[2], info[3]]),
                    middle_ntp: u32::from_be_bytes([info[6], info[7], info[8], info[9]]),
                });
            }
            SOURCE_DESCRIPTION if !read_descriptions(body, count, &mut each) => return false,
            GOODBYE => {
                for ssrc in body.chunks_exact(4).take(count as usize) {
                    each(Item::Goodbye { ssrc: u32::from_be_bytes([ssrc[0], ssrc[1], ssrc[2], ssrc[3]]) });
                }
            }
            _ => {}
        }
        rest = &rest[length..];
    }
    true
}

fn read_descriptions(mut body: &[u8], chunks: u8, each: &mut impl FnMut(Item)) -> bool {
    for _ in 0..chunks {
        let Some(ssrc) = body.first_chunk::<4>() else { return false };
        let ssrc = u32::from_be_bytes(*ssrc);
        let mut at = 4;
        loop {
            match body.get(at) {
                None => return false,
                Some(0) => break,
                Some(&kind) => {
                    let Some(&length) = body.get(at + 1) else { return false };
                    let Some(text) = body.get(at + 2..at + 2 + length as usize) else { return false };
                    if kind == 1 {
                        let text = &text[..text.len().min(CNAME_MAX)];
                        each(Item::Cname { ssrc, cname: String::from_utf8_lossy(text).into_owned() });
                    }
                    at += 2 + length as usize;
                }
            }
        }
        // The list ends with at least one zero byte and is padded to 32 bits.
        let end = (at / 4 + 1) * 4;
        if end > body.len() {
            return false;
        }
        body = &body[end..];
    }
    true
}

/// One report block of a receiver report (RFC 3550 section 6.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReportBlock {
    pub ssrc: u32,
    pub fraction_lost: u8,
    /// Signed, clamped to 24 bits.
    pub cumulative_lost: i32,
    pub highest_sequence: u32,
    /// In timestamp units.
    pub jitter: u32,
    pub last_sender_report: u32,
    /// In 1/65536 s.
    pub delay_since_last: u32,
}

/// Writes a receiver report with at most 31 blocks, followed by our CNAME, to `out`.
pub fn write_receiver_report(out: &mut Vec<u8>, our_ssrc: u32, blocks: &[ReportBlock], cname: &str) {
    let blocks = &blocks[..blocks.len().min(31)];
    out.extend_from_slice(&[0x80 | blocks.len() as u8, RECEIVER_REPORT]);
    out.extend_from_slice(&(1 + 6 * blocks.len() as u16).to_be_bytes());
    out.extend_from_slice(&our_ssrc.to_be_bytes());
    for block in blocks {
        out.extend_from_slice(&block.ssrc.to_be_bytes());
        let lost = block.cumulative_lost.clamp(-0x80_0000, 0x7f_ffff) as u32 & 0xff_ffff;
        out.extend_from_slice(&((block.fraction_lost as u32) << 24 | lost).to_be_bytes());
        out.extend_from_slice(&block.highest_sequence.to_be_bytes());
        out.extend_from_slice(&block.jitter.to_be_bytes());
        out.extend_from_slice(&block.last_sender_report.to_be_bytes());
        out.extend_from_slice(&block.delay_since_last.to_be_bytes());
    }
    let cname = &cname.as_bytes()[..cname.len().min(CNAME_MAX)];
    let start = out.len();
    out.extend_from_slice(&[0x81, SOURCE_DESCRIPTION, 0, 0]);
    out.extend_from_slice(&our_ssrc.to_be_bytes());
    out.extend_from_slice(&[1, cname.len() as u8]);
    out.extend_from_slice(cname);
    out.push(0);
    while !(out.len() - start).is_multiple_of(4) {
        out.push(0);
    }
    let words = ((out.len() - start) / 4 - 1) as u16;
    out[start + 2..start + 4].copy_from_slice(&words.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn items(packet: &[u8]) -> (bool, Vec<Item>) {
        let mut all = Vec::new();
        let sound = read(packet, |item| all.push(item));
        (sound, all)
    }

    #[test]
    fn reads_sender_report_cname_and_bye() {
        let mut packet = vec![0x80, 200, 0, 6, 0, 0, 0, 7];
        packet.extend_from_slice(&[0, 0, 0xaa, 0xbb, 0xcc, 0xdd, 0, 0]);
        packet.extend_from_slice(&[0; 12]);
        packet.extend_from_slice(&[0x81, 202, 0, 3, 0, 0, 0, 7, 1, 3, b'a', b'@', b'b', 0, 0, 0]);
        packet.extend_from_slice(&[0x81, 203, 0, 1, 0, 0, 0, 7]);
        let (sound, all) = items(&packet);
        assert!(sound);
        assert_eq!(
            all,
            vec![
                Item::SenderReport { ssrc: 7, middle_ntp: 0xaabb_ccdd },
                Item::Cname { ssrc: 7, cname: "a@b".into() },
                Item::Goodbye { ssrc: 7 },
            ]
        );
    }

    #[test]
    fn our_report_is_a_sound_compound_packet() {
        let mut packet = Vec::new();
        let block = ReportBlock {
            ssrc: 9,
            fraction_lost: 64,
            cumulative_lost: -2,
            highest_sequence: 0x0001_0002,
            jitter: 3,
            last_sender_report: 4,
            delay_since_last: 5,
        };
        write_receiver_report(&mut packet, 1, &[block], "callward");
        assert_eq!(packet.len() % 4, 0);
        assert_eq!(&packet[12..16], &[64, 0xff, 0xff, 0xfe]);
        let (sound, all) = items(&packet);
        assert!(sound);
        assert_eq!(all, vec![Item::Cname { ssrc: 1, cname: "callward".into() }]);
    }

    #[test]
    fn refuses_what_is_cut() {
        assert!(!read(&[0x80, 200, 0, 6, 0, 0], |_| {}));
        assert!(!read(&[0x81, 202, 0, 1, 0, 0, 0, 7], |_| {}));
        assert!(!read(&[], |_| {}));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = items(&bytes);
        }

        #[test]
        fn mutated_reports_are_read_without_panic(at in 0usize..60, value: u8) {
            let mut packet = Vec::new();
            write_receiver_report(&mut packet, 1, &[], "a long enough name for this test @ callward");
            let at = at % packet.len();
            packet[at] = value;
            let _ = items(&packet);
        }
    }
}
