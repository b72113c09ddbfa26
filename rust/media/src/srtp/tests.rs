//! Vectors of RFC 7714 section 16 and 17, and behaviour over whole streams.

use super::keys::{apply_keystream, rtp_nonce, tag, Purpose, SessionKeys};
use super::{MasterKey, Receiver, Refusal, Sender, SourceCounter, Suite};
use crate::rtp;
use proptest::prelude::*;
use ring::aead;

const SUITES: [Suite; 6] = [
    Suite::AesCm128Sha1Tag80,
    Suite::AesCm128Sha1Tag32,
    Suite::AesCm256Sha1Tag80,
    Suite::AesCm256Sha1Tag32,
    Suite::AeadAes128Gcm,
    Suite::AeadAes256Gcm,
];

fn hex(text: &str) -> Vec<u8> {
    let text: String = text.split_whitespace().collect();
    (0..text.len() / 2).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap()).collect()
}

fn master(suite: Suite, seed: u8) -> MasterKey {
    MasterKey { suite, key: vec![seed; suite.key_bytes()], salt: vec![seed ^ 0x5a; suite.salt_bytes()], mki_bytes: 0 }
}

fn plain(sequence: u16, ssrc: u32) -> Vec<u8> {
    let mut packet = vec![0x80, 8];
    packet.extend_from_slice(&sequence.to_be_bytes());
    packet.extend_from_slice(&(sequence as u32 * 160).to_be_bytes());
    packet.extend_from_slice(&ssrc.to_be_bytes());
    packet.extend((0..160u32).map(|at| (at as u16 ^ sequence) as u8));
    packet
}

fn protect(master: &MasterKey, packet: &[u8], rollover: u32) -> Vec<u8> {
    let header = rtp::parse(packet).unwrap();
    let index = (rollover as u64) << 16 | header.sequence as u64;
    let mut out = packet.to_vec();
    match SessionKeys::new(master, Purpose::Rtp) {
        SessionKeys::CounterMode { aes, salt, mac, tag_bytes } => {
            apply_keystream(&aes, &salt, header.ssrc, index, &mut out[header.length..]);
            let computed = tag(&mac, &[&out, &rollover.to_be_bytes()]);
            out.extend(std::iter::repeat_n(7, master.mki_bytes));
            out.extend_from_slice(&computed[..tag_bytes]);
        }
        SessionKeys::Gcm { key, salt } => {
            let (associated, body) = out.split_at_mut(header.length);
            let nonce = rtp_nonce(&salt, header.ssrc, index);
            let computed = key.seal_in_place_separate_tag(nonce, aead::Aad::from(&*associated), body).unwrap();
            out.extend_from_slice(computed.as_ref());
            out.extend(std::iter::repeat_n(7, master.mki_bytes));
        }
    }
    out
}

fn open(receiver: &mut Receiver, packet: &[u8]) -> Result<Vec<u8>, Refusal> {
    let mut packet = packet.to_vec();
    let header = rtp::parse(&packet).unwrap();
    let length = receiver.open_rtp(&mut packet, &header, 0)?;
    packet.truncate(length);
    Ok(packet)
}

#[test]
fn rfc7714_section_16_1_1_aead_aes_128_gcm() {
    // The vector gives session key and salt, so the cipher is used below the key derivation.
    let key = aead::UnboundKey::new(&aead::AES_128_GCM, &hex("000102030405060708090a0b0c0d0e0f")).unwrap();
    let key = aead::LessSafeKey::new(key);
    let mut salt = [0u8; 12];
    salt.copy_from_slice(&hex("517569642070726f2071756f"));
    let mut packet =
        hex("8040f17b 8041f8d3 5501a0b2 47616c6c 69612065 7374206f 6d6e6973 20646976 69736120 696e2070 61727465 73207472 6573");
    let header = rtp::parse(&packet).unwrap();
    let nonce = rtp_nonce(&salt, header.ssrc, header.sequence as u64);
    let (associated, body) = packet.split_at_mut(12);
    let computed = key.seal_in_place_separate_tag(nonce, aead::Aad::from(&*associated), body).unwrap();
    assert_eq!(body.to_vec(), hex("f24de3a3 fb34de6c acba861c 9d7e4bca be633bd5 0d294e6f 42a5f47a 51c7d19b 36de3adf 8833"));
    assert_eq!(computed.as_ref(), hex("899d7f27 beb16a91 52cf765e e4390cce"));
}

#[test]
fn every_suite_opens_a_stream_over_the_sequence_wrap_and_refuses_replays() {
    for suite in SUITES {
        let key = master(suite, 3);
        let mut receiver = Receiver::new(&key);
        for at in 65_500u32..65_700 {
            let packet = plain(at as u16, 77);
            let protected = protect(&key, &packet, at >> 16);
            assert_ne!(protected[12..28], packet[12..28]);
            assert_eq!(open(&mut receiver, &protected).as_ref(), Ok(&packet), "{suite:?} {at}");
            assert_eq!(open(&mut receiver, &protected), Err(Refusal::Replayed));
        }
        assert_eq!(receiver.counters().collect::<Vec<_>>(), vec![SourceCounter { ssrc: 77, index: 65_699 }]);
    }
}

#[test]
fn a_restarted_receiver_goes_on_with_the_rollover_counter() {
    for suite in SUITES {
        let key = master(suite, 4);
        let mut receiver = Receiver::new(&key);
        receiver.restore(&[SourceCounter { ssrc: 5, index: (9 << 16) + 65_530 }]);
        let packet = plain(3, 5);
        assert_eq!(open(&mut receiver, &protect(&key, &packet, 10)), Ok(packet));
    }
}

#[test]
fn a_flood_of_bad_tags_changes_nothing() {
    for suite in SUITES {
        let key = master(suite, 5);
        let mut receiver = Receiver::new(&key);
        open(&mut receiver, &protect(&key, &plain(10, 1), 0)).unwrap();
        for at in 0..500u32 {
            let mut forged = protect(&key, &plain(11 + at as u16 * 60, 1 + at % 3), 0);
            let last = forged.len() - 1;
            forged[last] ^= 1;
            assert_eq!(open(&mut receiver, &forged), Err(Refusal::BadTag));
        }
        assert_eq!(open(&mut receiver, &protect(&key, &plain(11, 1), 0)), Ok(plain(11, 1)));
        assert_eq!(receiver.counters().count(), 1);
    }
}

#[test]
fn after_a_change_of_keys_stragglers_are_taken_and_the_rollover_counter_may_go_on_or_begin_again() {
    for suite in SUITES {
        for goes_on in [true, false] {
            let (old, new) = (master(suite, 6), master(suite, 7));
            let mut receiver = Receiver::new(&old);
            receiver.restore(&[SourceCounter { ssrc: 1, index: (2 << 16) + 100 }]);
            receiver.rekey(&new, 1_000);
            let rollover = if goes_on { 2 } else { 0 };
            assert_eq!(open(&mut receiver, &protect(&new, &plain(103, 1), rollover)), Ok(plain(103, 1)), "{suite:?}");
            assert_eq!(open(&mut receiver, &protect(&old, &plain(102, 1), 2)), Ok(plain(102, 1)));
            assert_eq!(open(&mut receiver, &protect(&new, &plain(104, 1), rollover)), Ok(plain(104, 1)));
            let mut late = protect(&old, &plain(105, 1), 2);
            let header = rtp::parse(&late).unwrap();
            assert_eq!(receiver.open_rtp(&mut late, &header, 1_001), Err(Refusal::BadTag));
        }
    }
}

#[test]
fn a_master_key_identifier_is_skipped() {
    for suite in SUITES {
        let key = MasterKey { mki_bytes: 4, ..master(suite, 8) };
        let mut receiver = Receiver::new(&key);
        assert_eq!(open(&mut receiver, &protect(&key, &plain(1, 1), 0)), Ok(plain(1, 1)));
    }
}

#[test]
fn rtcp_goes_both_ways() {
    for suite in SUITES {
        let key = master(suite, 9);
        let mut sender = Sender::new(&key);
        let mut receiver = Receiver::new(&key);
        for _ in 0..3 {
            let mut packet = Vec::new();
            crate::rtcp::write_receiver_report(&mut packet, 42, &[], "callward");
            let before = packet.clone();
            assert!(sender.protect(&mut packet));
            assert_ne!(packet[8..before.len()], before[8..]);
            let mut forged = packet.clone();
            forged[9] ^= 1;
            assert_eq!(receiver.open_rtcp(&mut forged, 0), Err(Refusal::BadTag));
            let mut again = packet.clone();
            let length = receiver.open_rtcp(&mut packet, 0).unwrap();
            assert_eq!(packet[..length], before[..]);
            assert_eq!(receiver.open_rtcp(&mut again, 0), Err(Refusal::Replayed));
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_refused_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..120), which in 0usize..6) {
        let mut receiver = Receiver::new(&master(SUITES[which], 1));
        let mut packet = bytes.clone();
        if let Some(header) = rtp::parse(&packet) {
            prop_assert!(receiver.open_rtp(&mut packet, &header, 0).is_err());
        }
        let mut packet = bytes;
        prop_assert!(receiver.open_rtcp(&mut packet, 0).is_err());
    }
}
