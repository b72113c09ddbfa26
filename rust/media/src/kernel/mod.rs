//! The only module with unsafe code: system calls that have no safe wrapper, and the memory that the kernel writes to.
//!
//! Everything outside sees slices, `SocketAddr` and owned descriptors. `receive` holds what both receive paths share.
#![allow(unsafe_code)]

mod clock;
mod descriptors;
mod poll;
mod receive;
mod recvmmsg;
mod sendmmsg;
mod shared_memory;
mod uring;
mod wake;

pub use clock::{boot_id, Clock};
pub use descriptors::{
    inherited_sockets, lock_file, pin_to_cpu, raise_descriptor_limit, send_with_descriptors, set_receive_options, stop_signals,
};
pub use poll::{poll_ready, Interest, Ready};
pub use receive::{prefetch, Arrived, Intake, Sink, PACKET_MAX_BYTES};
pub use recvmmsg::MultiMessage;
pub use sendmmsg::{raw_address, thread_cpu_ns, SendBatch};
pub use shared_memory::SharedMemory;
pub use uring::Uring;
pub use wake::Wake;
