//! The media process: receives RTP and RTCP for thousands of streams and stores them in the audio journal.
//!
//! `engine` is the network thread, `control` the thread of the control socket, `serve` puts them together. `rtp`, `rtcp`, `srtp`,
//! `sequence`, `source_check` and `stats` know nothing of threads, sockets and clocks. Unsafe code lives in `kernel` only.

pub mod config;
pub mod control;
pub mod engine;
pub mod kernel;
pub mod landing;
pub mod log;
pub mod metrics;
pub mod outbox;
pub mod ports;
pub mod protocol;
pub mod rtcp;
pub mod rtp;
pub mod sequence;
pub mod serve;
pub mod service_manager;
pub mod source_check;
pub mod srtp;
pub mod stats;
