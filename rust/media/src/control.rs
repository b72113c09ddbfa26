//! The control socket: one thread for all clients. It reads requests, answers what needs no network thread, and passes on the rest.
//! A client that sends too long a line or does not read what it is sent is disconnected; nobody waits for it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::Arc;

use callward_journal::{Journal, TrackId, TrackState};
use crossbeam_channel::{Receiver, Sender, TrySendError};
use serde_json::{json, Value};

use crate::engine::Order;
use crate::kernel::{poll_ready, Interest, Wake};
use crate::log;
use crate::metrics::{exposition, Totals};
use crate::outbox::{Outbox, Outgoing};
use crate::protocol::{event_line, reply_line, Answer, Failure, Operation, Request, LINE_MAX_BYTES, PROTOCOL};

const CLIENTS_MAX: usize = 64;
/// A client that leaves so much unread is disconnected.
const UNREAD_MAX_BYTES: usize = 16 << 20;
/// Bytes of one `list_tracks` page, so that the line stays below its bound.
const PAGE_MAX_BYTES: usize = 200 << 10;

struct Client {
    stream: UnixStream,
    input: Vec<u8>,
    output: Vec<u8>,
    /// Bytes of `output` that were written already.
    written: usize,
    watches_acks: bool,
    gone: bool,
}

/// What the control thread is made of.
pub struct Control {
    pub listener: UnixListener,
    pub wake: Wake,
    pub outgoing: Receiver<Outgoing>,
    pub outbox: Outbox,
    pub orders: Sender<Order>,
    pub engine_wake: Wake,
    pub journal: Journal,
    pub totals: Arc<Totals>,
    pub boot: String,
    pub receive: &'static str,
    /// Tracks that could not go on when this process started; told to each client.
    pub ended: Vec<String>,
}

/// Makes the socket file with mode 0600 in place of a stale one. The caller holds the lock of the runtime folder.
pub fn listen(path: &Path) -> io::Result<UnixListener> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => fs::remove_file(path)?,
        Ok(_) => return Err(io::Error::new(io::ErrorKind::AlreadyExists, format!("{} is not a socket", path.display()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    // Bound under another name first, so that nobody can connect before the mode is set.
    let fresh = path.with_extension("new");
    let _ = fs::remove_file(&fresh);
    let listener = UnixListener::bind(&fresh)?;
    fs::set_permissions(&fresh, fs::Permissions::from_mode(0o600))?;
    fs::rename(&fresh, path)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

impl Control {
    /// Serves until `totals.stopping` is set and the wake-up comes.
    pub fn run(self) {
        let mut clients: BTreeMap<u64, Client> = BTreeMap::new();
        let mut next = 1u64;
        let mut ready = Vec::new();
        loop {
            let mut interests = vec![
                Interest { descriptor: self.wake.as_raw_fd(), write: false },
                Interest { descriptor: self.listener.as_raw_fd(), write: false },
            ];
            interests.extend(
                clients
                    .values()
                    .map(|client| Interest { descriptor: client.stream.as_raw_fd(), write: client.written < client.output.len() }),
            );
            if let Err(error) = poll_ready(&interests, 1_000, &mut ready) {
                log::error("control_poll_failed", json!({"error": error.to_string()}));
                return;
            }
            self.wake.clear();
            let names: Vec<u64> = clients.keys().copied().collect();
            for (at, name) in names.iter().enumerate() {
                let Some(client) = clients.get_mut(name) else { continue };
                if ready[at + 2].read {
                    self.read(*name, client);
                }
            }
            self.deliver(&mut clients);
            for client in clients.values_mut() {
                client.write();
            }
            if self.totals.stopping.load(Relaxed) {
                return;
            }
            clients.retain(|_, client| {
                if client.gone && client.watches_acks {
                    self.totals.ack_watchers.fetch_sub(1, Relaxed);
                }
                !client.gone
            });
            if ready[1].read {
                self.accept(&mut clients, &mut next);
            }
            self.totals.clients.store(clients.len() as u64, Relaxed);
        }
    }

    fn accept(&self, clients: &mut BTreeMap<u64, Client>, next: &mut u64) {
        while let Ok((stream, _)) = self.listener.accept() {
            if clients.len() >= CLIENTS_MAX || stream.set_nonblocking(true).is_err() {
                log::warning("control_client_refused", json!({"clients": clients.len()}));
                continue;
            }
            let mut client = Client { stream, input: Vec::new(), output: Vec::new(), written: 0, watches_acks: false, gone: false };
            client.output.extend(event_line(
                "hello",
                json!({"protocol": PROTOCOL, "version": env!("CARGO_PKG_VERSION"), "pid": std::process::id(), "boot": self.boot,
                       "receive": self.receive}),
            ));
            for track in &self.ended {
                client.output.extend(event_line("track_ended", json!({"track": track, "why": "recovered without its sockets"})));
            }
            client.write();
            clients.insert(*next, client);
            *next += 1;
        }
    }

    /// Reads what a client sent and obeys each whole line.
    fn read(&self, name: u64, client: &mut Client) {
        let mut chunk = [0u8; 65_536];
        loop {
            match client.stream.read(&mut chunk) {
                Ok(0) => {
                    client.gone = true;
                    break;
                }
                Ok(count) => client.input.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => {
                    client.gone = true;
                    break;
                }
            }
            if client.input.len() > LINE_MAX_BYTES {
                break;
            }
        }
        let mut start = 0;
        while let Some(length) = client.input[start..].iter().position(|byte| *byte == b'\n') {
            let line = client.input[start..start + length].to_vec();
            start += length + 1;
            if line.len() > LINE_MAX_BYTES {
                break;
            }
            if !line.iter().all(u8::is_ascii_whitespace) {
                self.obey(name, client, &line);
            }
        }
        client.input.drain(..start);
        if client.input.len() > LINE_MAX_BYTES {
            let failure = Failure::bad_request(format!("the line is longer than {LINE_MAX_BYTES} bytes"));
            client.output.extend(reply_line(&Value::Null, Err(failure)));
            client.write();
            client.gone = true;
        }
    }

    fn obey(&self, name: u64, client: &mut Client, line: &[u8]) {
        let request = match Request::read(line) {
            Ok(request) => request,
            Err((id, failure)) => return client.output.extend(reply_line(&id, Err(failure))),
        };
        let answer: Answer = match &request.operation {
            Operation::Status => Ok(self.status()),
            Operation::Metrics => Ok(json!({"text": exposition(&self.totals, &self.journal.status(), self.outbox.dropped())})),
            Operation::ListTracks { after } => Ok(self.list_tracks(*after)),
            Operation::WatchAcks { on } => {
                match (client.watches_acks, on) {
                    (false, true) => self.totals.ack_watchers.fetch_add(1, Relaxed),
                    (true, false) => self.totals.ack_watchers.fetch_sub(1, Relaxed),
                    _ => 0,
                };
                client.watches_acks = *on;
                Ok(json!({}))
            }
            _ => {
                let id = request.id.clone();
                match self.orders.try_send(Order { client: name, request }) {
                    Ok(()) => {
                        self.engine_wake.wake();
                        return;
                    }
                    Err(TrySendError::Full(_)) => {
                        let failure = Failure::new("overload", "too many operations wait; ask again in a moment");
                        return client.output.extend(reply_line(&id, Err(failure)));
                    }
                    Err(TrySendError::Disconnected(_)) => {
                        let failure = Failure::new("stopping", "the media process is stopping; ask again when it is back");
                        return client.output.extend(reply_line(&id, Err(failure)));
                    }
                }
            }
        };
        client.output.extend(reply_line(&request.id, answer));
    }

    /// Distributes replies and events.
    fn deliver(&self, clients: &mut BTreeMap<u64, Client>) {
        while let Ok(outgoing) = self.outgoing.try_recv() {
            match outgoing {
                Outgoing::Reply { client, line } => {
                    if let Some(client) = clients.get_mut(&client) {
                        client.output.extend_from_slice(&line);
                    }
                }
                Outgoing::Event { line } => clients.values_mut().for_each(|client| client.output.extend_from_slice(&line)),
                Outgoing::Acked { line } => {
                    clients.values_mut().filter(|client| client.watches_acks).for_each(|client| client.output.extend_from_slice(&line))
                }
            }
        }
    }

    fn status(&self) -> Value {
        let journal = self.journal.status();
        let totals = &self.totals;
        json!({
            "open_tracks": totals.open_tracks.load(Relaxed),
            "packets": totals.packets.load(Relaxed),
            "packets_lost_kernel": totals.lost_kernel.load(Relaxed),
            "packets_stranger": totals.strangers.load(Relaxed),
            "packets_stale": totals.stale.load(Relaxed),
            "packets_overflow": totals.overflow.load(Relaxed),
            "journal_bytes": journal.journal_bytes,
            "journal_free_bytes": journal.free_bytes,
            "sync_ms_p50": journal.sync_ms_p50,
            "sync_ms_max": journal.sync_ms_max,
            "buffered_ms": journal.buffered_ms,
            "able": journal.able,
            "why": journal.why,
        })
    }

    /// One page of the unreleased tracks in the order of their ids.
    fn list_tracks(&self, after: Option<TrackId>) -> Value {
        let mut tracks = self.journal.tracks();
        tracks.sort_by_key(|info| info.track);
        let mut page: Vec<Value> = Vec::new();
        let (mut more, mut bytes) = (false, 0);
        for info in tracks.into_iter().filter(|info| after.is_none_or(|after| info.track > after)) {
            if bytes > PAGE_MAX_BYTES {
                more = true;
                break;
            }
            let header: Value = serde_json::from_slice(&info.header).unwrap_or(Value::Null);
            let track = json!({
                "track": info.track.to_string(),
                "session": header["session"],
                "state": if info.state == TrackState::Open { "open" } else { "closed" },
                "rtp_port": header["rtp_port"],
                "rtcp_port": header["rtcp_port"],
                "acked_bytes": info.acked_bytes,
                "meta": header["meta"],
                "recovered": info.recovered,
            });
            bytes += track.to_string().len();
            page.push(track);
        }
        json!({"tracks": page, "more": more})
    }
}

impl Client {
    fn write(&mut self) {
        while self.written < self.output.len() && !self.gone {
            match self.stream.write(&self.output[self.written..]) {
                Ok(0) => self.gone = true,
                Ok(count) => self.written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => self.gone = true,
            }
        }
        if self.written == self.output.len() {
            self.output.clear();
            self.written = 0;
            self.output.shrink_to(1 << 20);
        } else if self.output.len() - self.written > UNREAD_MAX_BYTES {
            log::warning("control_client_does_not_read", json!({"unread_bytes": self.output.len() - self.written}));
            self.gone = true;
        } else if self.written > UNREAD_MAX_BYTES / 4 {
            self.output.drain(..self.written);
            self.written = 0;
        }
    }
}
