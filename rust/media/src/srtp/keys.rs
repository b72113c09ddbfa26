//! Session keys and the two ciphers: AES counter mode with HMAC-SHA1 (RFC 3711) and AES-GCM (RFC 7714).

use aes::cipher::{InnerIvInit, KeyInit, StreamCipher};
use aes::{Aes128Enc, Aes256Enc};
use hmac::{Hmac, Mac};
use ring::aead;
use sha1::Sha1;

use super::suite::{MasterKey, Suite};

type CounterMode<'k, C> = ctr::Ctr128BE<&'k C>;

/// An AES key expanded for encryption only, which is all that counter mode needs.
enum Aes {
    Bits128(Box<Aes128Enc>),
    Bits256(Box<Aes256Enc>),
}

impl Aes {
    fn new(key: &[u8]) -> Aes {
        match key.len() {
            16 => Aes::Bits128(Box::new(Aes128Enc::new(key.into()))),
            _ => Aes::Bits256(Box::new(Aes256Enc::new(key.into()))),
        }
    }

    #[inline]
    fn apply(&self, iv: &[u8; 16], data: &mut [u8]) {
        match self {
            Aes::Bits128(aes) => apply_counter_mode::<Aes128Enc>(aes, iv, data),
            Aes::Bits256(aes) => apply_counter_mode::<Aes256Enc>(aes, iv, data),
        }
    }
}

#[inline]
fn apply_counter_mode<C>(aes: &C, iv: &[u8; 16], data: &mut [u8])
where
    C: aes::cipher::BlockCipher
        + aes::cipher::BlockEncryptMut
        + aes::cipher::BlockEncrypt
        + aes::cipher::BlockSizeUser<BlockSize = aes::cipher::consts::U16>,
{
    let core = ctr::CtrCore::<&C, ctr::flavors::Ctr128BE>::inner_iv_init(aes, iv.into());
    let mut stream: CounterMode<'_, C> = aes::cipher::StreamCipherCoreWrapper::from_core(core);
    stream.apply_keystream(data);
}

/// Key derivation labels (RFC 3711 section 4.3.2).
#[derive(Clone, Copy)]
pub enum Purpose {
    Rtp = 0,
    Rtcp = 3,
}

/// Derives `out` from a master key (RFC 3711 section 4.3.1, key derivation rate 0).
pub fn derive(master: &MasterKey, label: u8, out: &mut [u8]) {
    let mut iv = [0u8; 16];
    iv[..master.salt.len()].copy_from_slice(&master.salt);
    iv[7] ^= label;
    out.fill(0);
    Aes::new(&master.key).apply(&iv, out);
}

/// The session keys of one direction, for RTP or for RTCP.
pub enum SessionKeys {
    CounterMode { aes: BlockCipherKey, salt: [u8; 14], mac: Hmac<Sha1>, tag_bytes: usize },
    Gcm { key: Box<aead::LessSafeKey>, salt: [u8; 12] },
}

/// The expanded cipher of a session; opaque outside this module.
pub struct BlockCipherKey(Aes);

impl SessionKeys {
    pub fn new(master: &MasterKey, purpose: Purpose) -> SessionKeys {
        let first_label = purpose as u8;
        let mut key = vec![0u8; master.suite.key_bytes()];
        derive(master, first_label, &mut key);
        if master.suite.is_aead() {
            let algorithm = if master.suite == Suite::AeadAes128Gcm { &aead::AES_128_GCM } else { &aead::AES_256_GCM };
            let mut salt = [0u8; 12];
            derive(master, first_label + 2, &mut salt);
            let key = aead::UnboundKey::new(algorithm, &key).expect("the key length comes from the suite");
            return SessionKeys::Gcm { key: Box::new(aead::LessSafeKey::new(key)), salt };
        }
        let mut mac_key = [0u8; 20];
        derive(master, first_label + 1, &mut mac_key);
        let mut salt = [0u8; 14];
        derive(master, first_label + 2, &mut salt);
        let tag_bytes = match purpose {
            Purpose::Rtp => master.suite.rtp_tag_bytes(),
            Purpose::Rtcp => 10,
        };
        SessionKeys::CounterMode {
            aes: BlockCipherKey(Aes::new(&key)),
            salt,
            mac: <Hmac<Sha1> as Mac>::new_from_slice(&mac_key).expect("HMAC takes keys of any length"),
            tag_bytes,
        }
    }

    /// Bytes that protection adds to the payload, without the SRTCP index and the master key identifier.
    pub fn tag_bytes(&self) -> usize {
        match self {
            SessionKeys::CounterMode { tag_bytes, .. } => *tag_bytes,
            SessionKeys::Gcm { .. } => 16,
        }
    }
}

/// Runs counter mode over `data` for a packet (RFC 3711 section 4.1.1).
#[inline]
pub fn apply_keystream(aes: &BlockCipherKey, salt: &[u8; 14], ssrc: u32, index: u64, data: &mut [u8]) {
    let mut iv = [0u8; 16];
    iv[4..8].copy_from_slice(&ssrc.to_be_bytes());
    iv[8..14].copy_from_slice(&index.to_be_bytes()[2..]);
    for (byte, salt) in iv.iter_mut().zip(salt) {
        *byte ^= salt;
    }
    aes.0.apply(&iv, data);
}

/// The tag over `parts`, cut by the caller to its length.
#[inline]
pub fn tag(mac: &Hmac<Sha1>, parts: &[&[u8]]) -> [u8; 20] {
    let mut mac = mac.clone();
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// Compares tags in constant time.
#[inline]
pub fn same_tag(computed: &[u8], received: &[u8]) -> bool {
    computed.len() == received.len() && computed.iter().zip(received).fold(0u8, |all, (a, b)| all | (a ^ b)) == 0
}

/// The GCM nonce of an RTP packet (RFC 7714 section 8.1).
pub fn rtp_nonce(salt: &[u8; 12], ssrc: u32, index: u64) -> aead::Nonce {
    let mut iv = [0u8; 12];
    iv[2..6].copy_from_slice(&ssrc.to_be_bytes());
    iv[6..12].copy_from_slice(&index.to_be_bytes()[2..]);
    mix(iv, salt)
}

/// The GCM nonce of an RTCP packet (RFC 7714 section 9.1).
pub fn rtcp_nonce(salt: &[u8; 12], ssrc: u32, index: u32) -> aead::Nonce {
    let mut iv = [0u8; 12];
    iv[2..6].copy_from_slice(&ssrc.to_be_bytes());
    iv[8..12].copy_from_slice(&index.to_be_bytes());
    mix(iv, salt)
}

fn mix(mut iv: [u8; 12], salt: &[u8; 12]) -> aead::Nonce {
    for (byte, salt) in iv.iter_mut().zip(salt) {
        *byte ^= salt;
    }
    aead::Nonce::assume_unique_for_key(iv)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len() / 2).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap()).collect()
    }

    #[test]
    fn rfc3711_appendix_b3_key_derivation() {
        let master = MasterKey {
            suite: Suite::AesCm128Sha1Tag80,
            key: hex("E1F97A0D3E018BE0D64FA32C06DE4139"),
            salt: hex("0EC675AD498AFEEBB6960B3AABE6"),
            mki_bytes: 0,
        };
        let mut cipher = [0u8; 16];
        derive(&master, 0, &mut cipher);
        assert_eq!(cipher.to_vec(), hex("C61E7A93744F39EE10734AFE3FF7A087"));
        let mut salt = [0u8; 14];
        derive(&master, 2, &mut salt);
        assert_eq!(salt.to_vec(), hex("30CBBC08863D8C85D49DB34A9AE1"));
        let mut auth = [0u8; 32];
        derive(&master, 1, &mut auth);
        assert_eq!(auth.to_vec(), hex("CEBE321F6FF7716B6FD4AB49AF256A156D38BAA48F0A0ACF3C34E2359E6CDBCE"));
    }

    #[test]
    fn rfc3711_appendix_b2_counter_mode() {
        let aes = BlockCipherKey(Aes::new(&hex("2B7E151628AED2A6ABF7158809CF4F3C")));
        let mut salt = [0u8; 14];
        salt.copy_from_slice(&hex("F0F1F2F3F4F5F6F7F8F9FAFBFCFD"));
        let mut data = [0u8; 48];
        apply_keystream(&aes, &salt, 0, 0, &mut data);
        assert_eq!(data.to_vec(), hex("E03EAD0935C95E80E166B16DD92B4EB4D23513162B02D0F72A43A2FE4A5F97AB41E95B3BB0A2E8DD477901E4FCA894C0"));
    }

    #[test]
    fn rfc6188_section_7_2_key_derivation_256() {
        let master = MasterKey {
            suite: Suite::AesCm256Sha1Tag80,
            key: hex("f0f04914b513f2763a1b1fa130f10e2998f6f6e43e4309d1e622a0e332b9f1b6"),
            salt: hex("3b04803de51ee7c96423ab5b78d2"),
            mki_bytes: 0,
        };
        let mut cipher = [0u8; 32];
        derive(&master, 0, &mut cipher);
        assert_eq!(cipher.to_vec(), hex("5ba1064e30ec51613cad926c5a28ef731ec7fb397f70a960653caf06554cd8c4"));
        let mut salt = [0u8; 14];
        derive(&master, 2, &mut salt);
        assert_eq!(salt.to_vec(), hex("fa31791685ca444a9e07c6c64e93"));
        let mut auth = [0u8; 20];
        derive(&master, 1, &mut auth);
        assert_eq!(auth.to_vec(), hex("fd9c32d39ed5fbb5a9dc96b30818454d1313dc05"));
    }
}
