//! The name of a track: a ULID, as sixteen bytes inside and twenty-six characters outside.

use std::fmt;
use std::str::FromStr;

use crate::error::JournalError;

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// A ULID (Crockford base 32, upper case, 26 characters; big-endian 128-bit number).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TrackId([u8; 16]);

impl TrackId {
    /// The id under which the journal files its own frames (checkpoints, anchors, releases).
    pub(crate) const JOURNAL: TrackId = TrackId([0; 16]);

    /// The id of these sixteen bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The sixteen bytes, most significant first.
    pub const fn bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl FromStr for TrackId {
    type Err = JournalError;

    /// Strict: upper case only, no `I`, `L`, `O`, `U`, first character at most `7`; the journal's own id is refused.
    fn from_str(text: &str) -> Result<Self, JournalError> {
        let refused = || JournalError::BadTrackId(text.chars().take(64).collect());
        if text.len() != 26 {
            return Err(refused());
        }
        let mut value: u128 = 0;
        for (place, byte) in text.bytes().enumerate() {
            let digit = ALPHABET.iter().position(|known| *known == byte).ok_or_else(refused)?;
            if place == 0 && digit > 7 {
                return Err(refused());
            }
            value = (value << 5) | digit as u128;
        }
        if value == 0 {
            return Err(refused());
        }
        Ok(Self(value.to_be_bytes()))
    }
}

impl fmt::Display for TrackId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = u128::from_be_bytes(self.0);
        let mut text = [0u8; 26];
        for (place, slot) in text.iter_mut().enumerate() {
            *slot = ALPHABET[((value >> (5 * (25 - place))) & 31) as usize];
        }
        formatter.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

impl fmt::Debug for TrackId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ulid_prints_as_it_was_read() {
        let text = "01JD8Z3K4M5N6P7Q8R9S0T1V2W";
        assert_eq!(text.parse::<TrackId>().unwrap().to_string(), text);
    }

    #[test]
    fn what_is_no_ulid_is_refused() {
        for text in [
            "",
            "01JD8Z3K4M5N6P7Q8R9S0T1V2",
            "81JD8Z3K4M5N6P7Q8R9S0T1V2W",
            "01jd8z3k4m5n6p7q8r9s0t1v2w",
            "../../../../../etc/passwd0",
            "00000000000000000000000000",
        ] {
            assert!(text.parse::<TrackId>().is_err(), "{text}");
        }
    }
}
