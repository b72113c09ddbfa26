//! Protects the RTCP that we send (RFC 3711 section 3.4, RFC 7714 section 9), and the RTP of load generators.

use ring::aead;

use super::keys::{apply_keystream, rtcp_nonce, rtp_nonce, tag, Purpose, SessionKeys};
use super::suite::MasterKey;

/// Keys and index for one SSRC of ours. An index is never used twice under one SSRC: whoever makes a new `Sender` with the same
/// key must choose a new SSRC.
pub struct Sender {
    keys: SessionKeys,
    index: u32,
}

impl Sender {
    pub fn new(master: &MasterKey) -> Sender {
        Sender { keys: SessionKeys::new(master, Purpose::Rtcp), index: 0 }
    }

    /// Turns the compound packet in `packet` into SRTCP. Returns false once the key is used up (2^31 packets).
    pub fn protect(&mut self, packet: &mut Vec<u8>) -> bool {
        const HEADER: usize = 8;
        if packet.len() < HEADER || self.index >= 0x7fff_fffe {
            return false;
        }
        self.index += 1;
        let word = (1u32 << 31 | self.index).to_be_bytes();
        let ssrc = u32::from_be_bytes([packet[4], packet[5], packet[6], packet[7]]);
        match &self.keys {
            SessionKeys::CounterMode { aes, salt, mac, tag_bytes } => {
                apply_keystream(aes, salt, ssrc, self.index as u64, &mut packet[HEADER..]);
                packet.extend_from_slice(&word);
                let computed = tag(mac, &[packet]);
                packet.extend_from_slice(&computed[..*tag_bytes]);
            }
            SessionKeys::Gcm { key, salt } => {
                let mut associated = [0u8; 12];
                associated[..8].copy_from_slice(&packet[..8]);
                associated[8..].copy_from_slice(&word);
                let nonce = rtcp_nonce(salt, ssrc, self.index);
                let sealed = key.seal_in_place_separate_tag(nonce, aead::Aad::from(&associated), &mut packet[HEADER..]);
                let Ok(computed) = sealed else { return false };
                packet.extend_from_slice(computed.as_ref());
                packet.extend_from_slice(&word);
            }
        }
        true
    }
}

/// Protects RTP packets, as the peers do whose calls are recorded.
pub struct Protector {
    keys: SessionKeys,
}

impl Protector {
    pub fn new(master: &MasterKey) -> Protector {
        Protector { keys: SessionKeys::new(master, Purpose::Rtp) }
    }

    /// Turns a packet without CSRC list and extension into SRTP. `index` is rollover counter and sequence number.
    pub fn protect(&self, packet: &mut Vec<u8>, ssrc: u32, index: u64) {
        const HEADER: usize = 12;
        match &self.keys {
            SessionKeys::CounterMode { aes, salt, mac, tag_bytes } => {
                apply_keystream(aes, salt, ssrc, index, &mut packet[HEADER..]);
                let computed = tag(mac, &[packet, &((index >> 16) as u32).to_be_bytes()]);
                packet.extend_from_slice(&computed[..*tag_bytes]);
            }
            SessionKeys::Gcm { key, salt } => {
                let (associated, plain) = packet.split_at_mut(HEADER);
                let nonce = rtp_nonce(salt, ssrc, index);
                if let Ok(computed) = key.seal_in_place_separate_tag(nonce, aead::Aad::from(&*associated), plain) {
                    packet.extend_from_slice(computed.as_ref());
                }
            }
        }
    }
}
