//! The media process: receives RTP and RTCP for thousands of streams and stores them in the audio journal.

pub mod rtcp;
pub mod rtp;
pub mod srtp;
