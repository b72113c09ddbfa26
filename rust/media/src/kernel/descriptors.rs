//! Descriptors and process settings: inheriting sockets, handing them to the service manager, options, limits, locks, signals.

use std::fs::File;
use std::io;
use std::net::UdpSocket;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixDatagram;
use std::path::Path;

/// First descriptor that a service manager hands over (sd_listen_fds(3)).
const LISTEN_START: RawFd = 3;

fn set_option(descriptor: RawFd, level: i32, option: i32, value: i32) -> io::Result<()> {
    // SAFETY: the kernel reads four bytes from `value`.
    let result = unsafe { libc::setsockopt(descriptor, level, option, (&raw const value).cast(), 4) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Time stamps, drop counters and room for `buffer_bytes`.
pub fn set_receive_options(socket: &UdpSocket, buffer_bytes: i32) -> io::Result<()> {
    let descriptor = socket.as_raw_fd();
    socket.set_nonblocking(true)?;
    set_option(descriptor, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1)?;
    set_option(descriptor, libc::SOL_SOCKET, libc::SO_RXQ_OVFL, 1)?;
    // The forced variant passes the system's limit, with the right to do so.
    if set_option(descriptor, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, buffer_bytes).is_err() {
        set_option(descriptor, libc::SOL_SOCKET, libc::SO_RCVBUF, buffer_bytes)?;
    }
    Ok(())
}

/// The descriptors that the service manager kept for us, with their names; to be called once, at the start.
pub fn inherited_sockets() -> Vec<(String, OwnedFd)> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<i32>().ok());
    if number("LISTEN_PID") != Some(std::process::id() as i32) {
        return Vec::new();
    }
    let count = number("LISTEN_FDS").unwrap_or(0).clamp(0, 1 << 20);
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':');
    let mut all = Vec::new();
    for descriptor in LISTEN_START..LISTEN_START + count {
        let name = names.next().unwrap_or_default().to_string();
        // SAFETY: asks for the flags of a descriptor; fails harmlessly when it is not open.
        if unsafe { libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC) } < 0 {
            continue;
        }
        // SAFETY: LISTEN_PID says that these descriptors are ours, and nobody else in this process has taken them: this runs once,
        // before any other descriptor is made.
        all.push((name, unsafe { OwnedFd::from_raw_fd(descriptor) }));
    }
    all
}

/// Sends a datagram with descriptors to the service manager.
pub fn send_with_descriptors(socket: &UnixDatagram, text: &str, descriptors: &[RawFd]) -> io::Result<()> {
    const MAX: usize = 250;
    let descriptors = &descriptors[..descriptors.len().min(MAX)];
    let bytes = std::mem::size_of_val(descriptors);
    let mut vector = libc::iovec { iov_base: text.as_ptr().cast_mut().cast(), iov_len: text.len() };
    let mut control = vec![0u64; (64 + bytes).div_ceil(8)];
    // SAFETY: an all-zero msghdr is valid.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut vector;
    message.msg_iovlen = 1;
    if !descriptors.is_empty() {
        message.msg_control = control.as_mut_ptr().cast();
        // SAFETY: arithmetic only.
        message.msg_controllen = unsafe { libc::CMSG_SPACE(bytes as u32) } as _;
        // SAFETY: `control` is zeroed, aligned to eight bytes and longer than CMSG_SPACE(bytes), so the first header lies within it
        // and its data has room for the descriptors.
        unsafe {
            let header = libc::CMSG_FIRSTHDR(&message);
            (*header).cmsg_level = libc::SOL_SOCKET;
            (*header).cmsg_type = libc::SCM_RIGHTS;
            (*header).cmsg_len = libc::CMSG_LEN(bytes as u32) as _;
            std::ptr::copy_nonoverlapping(descriptors.as_ptr().cast::<u8>(), libc::CMSG_DATA(header), bytes);
        }
    }
    // SAFETY: all pointers in `message` live across the call.
    let sent = unsafe { libc::sendmsg(socket.as_raw_fd(), &message, libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT) };
    if sent < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Raises the soft limit of open descriptors to the hard one; returns it.
pub fn raise_descriptor_limit() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel writes and reads one rlimit.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) == 0 && limit.rlim_cur < limit.rlim_max {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &limit);
        }
    }
    limit.rlim_cur
}

/// Binds the calling thread to one processor.
pub fn pin_to_cpu(cpu: usize) -> io::Result<()> {
    // SAFETY: an all-zero cpu_set_t is the empty set; CPU_SET checks the bound of `cpu`.
    let result = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set)
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Takes the lock file for the life of the returned file; `None` when a live process has it.
pub fn lock_file(path: &Path) -> io::Result<Option<File>> {
    let file = File::options().create(true).truncate(false).write(true).open(path)?;
    // SAFETY: a plain call on an open descriptor.
    if unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } < 0 {
        let error = io::Error::last_os_error();
        return if error.kind() == io::ErrorKind::WouldBlock { Ok(None) } else { Err(error) };
    }
    Ok(Some(file))
}

/// Blocks SIGTERM and SIGINT for this thread and those it starts, and returns a descriptor that reads them.
pub fn stop_signals() -> io::Result<OwnedFd> {
    // SAFETY: an initialised set, then a new descriptor that nobody else owns.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, libc::SIGTERM);
        libc::sigaddset(&mut set, libc::SIGINT);
        if libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut()) != 0 {
            return Err(io::Error::last_os_error());
        }
        let raw = libc::signalfd(-1, &set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK);
        if raw < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(OwnedFd::from_raw_fd(raw))
    }
}
