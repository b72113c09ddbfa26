//! Protection profiles and their master keys.

use base64::Engine;

/// A crypto suite of SDES (RFC 4568 section 6.2, RFC 6188 section 4, RFC 7714 section 14.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suite {
    AesCm128Sha1Tag80,
    AesCm128Sha1Tag32,
    AesCm256Sha1Tag80,
    AesCm256Sha1Tag32,
    AeadAes128Gcm,
    AeadAes256Gcm,
}

impl Suite {
    pub fn from_name(name: &str) -> Option<Suite> {
        Some(match name {
            "AES_CM_128_HMAC_SHA1_80" => Suite::AesCm128Sha1Tag80,
            "AES_CM_128_HMAC_SHA1_32" => Suite::AesCm128Sha1Tag32,
            "AES_256_CM_HMAC_SHA1_80" => Suite::AesCm256Sha1Tag80,
            "AES_256_CM_HMAC_SHA1_32" => Suite::AesCm256Sha1Tag32,
            "AEAD_AES_128_GCM" => Suite::AeadAes128Gcm,
            "AEAD_AES_256_GCM" => Suite::AeadAes256Gcm,
            _ => return None,
        })
    }

    pub fn key_bytes(self) -> usize {
        match self {
            Suite::AesCm128Sha1Tag80 | Suite::AesCm128Sha1Tag32 | Suite::AeadAes128Gcm => 16,
            Suite::AesCm256Sha1Tag80 | Suite::AesCm256Sha1Tag32 | Suite::AeadAes256Gcm => 32,
        }
    }

    pub fn is_aead(self) -> bool {
        matches!(self, Suite::AeadAes128Gcm | Suite::AeadAes256Gcm)
    }

    pub fn salt_bytes(self) -> usize {
        if self.is_aead() {
            12
        } else {
            14
        }
    }

    /// Bytes of the authentication tag of an RTP packet. SRTCP has 10 for all counter-mode suites, 16 for the AEAD ones.
    pub fn rtp_tag_bytes(self) -> usize {
        match self {
            Suite::AesCm128Sha1Tag80 | Suite::AesCm256Sha1Tag80 => 10,
            Suite::AesCm128Sha1Tag32 | Suite::AesCm256Sha1Tag32 => 4,
            Suite::AeadAes128Gcm | Suite::AeadAes256Gcm => 16,
        }
    }
}

/// A master key with its salt, as it stands in an `a=crypto` line.
#[derive(Clone, PartialEq, Eq)]
pub struct MasterKey {
    pub suite: Suite,
    pub key: Vec<u8>,
    pub salt: Vec<u8>,
    /// Bytes of the master key identifier in each packet (RFC 3711 section 3.1); 0 when there is none.
    pub mki_bytes: usize,
}

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "MasterKey({:?})", self.suite)
    }
}

impl MasterKey {
    /// Reads base64 of key and salt; the error is a sentence about what is wrong with it.
    pub fn from_base64(suite: Suite, text: &str, mki_bytes: usize) -> Result<MasterKey, String> {
        let bytes = base64::engine::general_purpose::STANDARD
            .decode(text)
            .or_else(|_| base64::engine::general_purpose::STANDARD_NO_PAD.decode(text))
            .map_err(|_| "the SRTP key is not base64".to_string())?;
        let wanted = suite.key_bytes() + suite.salt_bytes();
        if bytes.len() != wanted {
            return Err(format!("the SRTP key and salt have {} bytes, this suite needs {wanted}", bytes.len()));
        }
        if mki_bytes > 128 {
            return Err("a master key identifier has at most 128 bytes".into());
        }
        let (key, salt) = bytes.split_at(suite.key_bytes());
        Ok(MasterKey { suite, key: key.to_vec(), salt: salt.to_vec(), mki_bytes })
    }
}
