//! SRTP and SRTCP with keys from SDES (RFC 3711, RFC 4568, RFC 6188, RFC 7714).
//!
//! `suite` names the protection profiles and reads their keys, `keys` derives session keys, `receiver` unprotects what arrives and
//! follows the rollover counter, `sender` protects the RTCP that we send. A packet changes no state before its tag was verified.

mod keys;
mod receiver;
mod replay;
mod sender;
mod suite;
#[cfg(test)]
mod tests;

pub use receiver::{Receiver, Refusal, SourceCounter};
pub use sender::{Protector, Sender};
pub use suite::{MasterKey, Suite};
