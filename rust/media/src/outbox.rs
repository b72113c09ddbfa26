//! What goes to clients: replies and events, from any thread to the control thread. Sending never waits.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender};
use serde_json::{Map, Value};

use crate::engine::acked_fields;
use crate::kernel::Wake;
use crate::protocol::{event_line, reply_line, Answer};

/// Lines that may wait for the control thread. It never waits for a client, so this is only reached when it starves.
const WAITING_MAX: usize = 65_536;

pub enum Outgoing {
    Reply { client: u64, line: Vec<u8> },
    Event { line: Vec<u8> },
    Acked { line: Vec<u8> },
}

#[derive(Clone)]
pub struct Outbox {
    sender: Sender<Outgoing>,
    wake: Wake,
    dropped: Arc<AtomicU64>,
}

impl Outbox {
    pub fn new(wake: Wake) -> (Outbox, Receiver<Outgoing>) {
        let (sender, receiver) = crossbeam_channel::bounded(WAITING_MAX);
        (Outbox { sender, wake, dropped: Arc::default() }, receiver)
    }

    fn send(&self, outgoing: Outgoing) {
        if self.sender.try_send(outgoing).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        self.wake.wake();
    }

    pub fn reply(&self, client: u64, id: &Value, answer: Answer) {
        self.send(Outgoing::Reply { client, line: reply_line(id, answer) });
    }

    /// To all clients.
    pub fn event(&self, name: &str, fields: Value) {
        self.send(Outgoing::Event { line: event_line(name, fields) });
    }

    /// To the clients that watch acknowledgements.
    pub fn acked(&self, tracks: Map<String, Value>) {
        self.send(Outgoing::Acked { line: event_line("acked", acked_fields(tracks)) });
    }

    /// Lines that were lost because the control thread did not keep up.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}
