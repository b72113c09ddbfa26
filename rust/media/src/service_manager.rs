//! The service manager (systemd or `callward up`): readiness, and sockets that outlive this process (sd_notify(3), FDSTORE).

use std::collections::VecDeque;
use std::io;
use std::net::UdpSocket;
use std::os::fd::RawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use crate::kernel::send_with_descriptors;
use crate::log;

/// Messages that wait while the manager's socket is full.
const WAITING_MAX: usize = 65_536;

/// Speaks to the manager; does nothing without one.
pub struct ServiceManager {
    socket: Option<UnixDatagram>,
    waiting: VecDeque<(String, Option<RawFd>)>,
}

impl ServiceManager {
    /// From the variable NOTIFY_SOCKET.
    pub fn from_environment() -> ServiceManager {
        let socket = std::env::var("NOTIFY_SOCKET").ok().and_then(|path| match connect(&path) {
            Ok(socket) => Some(socket),
            Err(error) => {
                log::warning("service_manager_unreachable", serde_json::json!({"path": path, "error": error.to_string()}));
                None
            }
        });
        ServiceManager { socket, waiting: VecDeque::new() }
    }

    pub fn none() -> ServiceManager {
        ServiceManager { socket: None, waiting: VecDeque::new() }
    }

    /// Gives a descriptor into the manager's keeping. It must stay open here until `retry` has sent everything.
    pub fn store(&mut self, name: String, descriptor: RawFd) {
        self.send(format!("FDSTORE=1\nFDNAME={name}\n"), Some(descriptor));
    }

    pub fn notify(&mut self, text: &str) {
        self.send(format!("{text}\n"), None);
    }

    fn send(&mut self, text: String, descriptor: Option<RawFd>) {
        if self.socket.is_some() && self.waiting.len() < WAITING_MAX {
            self.waiting.push_back((text, descriptor));
            self.retry();
        }
    }

    /// Sends what waits, as far as the manager takes it.
    pub fn retry(&mut self) {
        let Some(socket) = &self.socket else { return };
        while let Some((text, descriptor)) = self.waiting.front() {
            let descriptors: &[RawFd] = descriptor.as_ref().map_or(&[], std::slice::from_ref);
            match send_with_descriptors(socket, text, descriptors) {
                Err(error) if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EINTR | libc::ENOBUFS)) => return,
                Err(error) if error.raw_os_error() == Some(libc::ETOOMANYREFS) => return,
                Err(error) => log::warning("service_manager_refused", serde_json::json!({"error": error.to_string()})),
                Ok(()) => {}
            }
            self.waiting.pop_front();
        }
    }
}

fn connect(path: &str) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    let address = match path.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(path)?,
    };
    socket.connect_addr(&address)?;
    Ok(socket)
}

/// Pairs up inherited RTP and RTCP sockets by their local addresses; others are closed.
pub fn pair_up(inherited: Vec<(String, std::os::fd::OwnedFd)>) -> Vec<(UdpSocket, UdpSocket)> {
    let mut by_address = std::collections::HashMap::new();
    for (name, descriptor) in inherited {
        if !name.starts_with("rtp-") && !name.starts_with("rtcp-") {
            continue;
        }
        let socket = UdpSocket::from(descriptor);
        if let Ok(local) = socket.local_addr() {
            by_address.insert(local, socket);
        }
    }
    let mut even: Vec<_> = by_address.keys().copied().filter(|local| local.port().is_multiple_of(2)).collect();
    even.sort();
    even.into_iter()
        .filter_map(|local| {
            let above = std::net::SocketAddr::new(local.ip(), local.port() + 1);
            let rtp = by_address.remove(&local)?;
            let rtcp = by_address.remove(&above)?;
            Some((rtp, rtcp))
        })
        .collect()
}
