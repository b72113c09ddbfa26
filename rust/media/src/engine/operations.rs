//! What clients ask for about tracks. Each operation may be repeated: the second time it finds its work done.

use callward_journal::{JournalError, TrackId, TrackState};
use serde_json::{json, Value};

use super::track::Track;
use super::{Engine, Order};
use crate::protocol::{Failure, Operation, Request, TrackChange, TrackSettings};
use crate::{log, srtp};

/// Packets under the old key are taken for so long after a change of keys.
const OLD_KEY_NS: i64 = 10_000_000_000;

/// How a journal error looks to a client.
pub(super) fn failure_of(error: &JournalError) -> Failure {
    let code = match error {
        JournalError::NoSpace(_) => "no_space",
        JournalError::TooManyTracks(_) | JournalError::Behind(_) => "overload",
        JournalError::UnknownTrack(_) => "unknown_track",
        JournalError::TooLong { .. } => "bad_request",
        JournalError::TrackExists(_) => "closed",
        JournalError::Closed => "stopping",
        _ => "internal",
    };
    Failure::new(code, error.to_string())
}

/// Statistics as they were given to the journal; an empty object while it has none.
fn stored_stats(stats: &[u8]) -> Value {
    serde_json::from_slice(stats).unwrap_or_else(|_| json!({}))
}

impl Engine {
    pub(super) fn obey(&mut self, order: Order) {
        let Order { client, request: Request { id, operation } } = order;
        // A mark is never older than the request that made it.
        self.clock.refresh();
        let result = match operation {
            Operation::OpenTrack { track, settings } => self.open_track(client, &id, track, *settings),
            Operation::UpdateTrack { track, change } => self.update_track(client, &id, track, *change),
            Operation::RotateTrack { track, next, session, meta } => self.rotate_track(client, &id, track, next, session, meta),
            Operation::CloseTrack { track } => self.close_track(client, &id, track),
            Operation::ShredTrack { track } => self.shred_track(client, &id, track),
            Operation::ReleaseTrack { track } => self.release_track(client, &id, track),
            Operation::TrackStats { track } => {
                let answer = self.track_stats(track);
                self.outbox.reply(client, &id, answer);
                Ok(())
            }
            _ => Err(Failure::new("internal", "the network thread does not answer this operation")),
        };
        if let Err(failure) = result {
            self.outbox.reply(client, &id, Err(failure));
        }
    }

    fn open_track(&mut self, client: u64, id: &Value, name: TrackId, settings: TrackSettings) -> Result<(), Failure> {
        if let Some(&at) = self.by_id.get(&name) {
            // Asked again after a lost connection. The journal answers in order, so this reply is durable as well.
            return self.write_header(at, client, id);
        }
        if self.journal.track(name).is_some() {
            return Err(Failure::new("closed", format!("track {name} has ended; a track is opened once")));
        }
        if !self.ports.serves(&settings.address) {
            return Err(Failure::bad_request(format!("address: {} is not one of the configured addresses", settings.address)));
        }
        let status = self.journal.status();
        if !status.able {
            let code = if status.behind { "overload" } else { "no_space" };
            return Err(Failure::new(code, format!("the journal takes no new track: {}", status.why)));
        }
        let Some((pair, new)) = self.ports.take(settings.address, self.clock.now_ns) else {
            return Err(Failure::new("no_port", "all media ports are in use or draining; widen media.port_min to media.port_max"));
        };
        if new {
            self.note_new_pair(pair);
        }
        let rtp_port = self.ports.pair(pair).rtp_port;
        self.settle_landing();
        let begun = self.begin_track(name, settings, pair, false, |outbox| {
            let (outbox, id) = (outbox.clone(), id.clone());
            Box::new(move |done| {
                let answer = match done {
                    Ok(()) => Ok(json!({"rtp_port": rtp_port, "rtcp_port": rtp_port + 1})),
                    Err(error) => Err(failure_of(&error)),
                };
                outbox.reply(client, &id, answer);
            })
        });
        if let Err(failure) = begun {
            self.ports.release(pair, self.clock.now_ns);
            return Err(failure);
        }
        Ok(())
    }

    /// Opens a track in the journal and listens for it on the pair from now on.
    fn begin_track(
        &mut self,
        name: TrackId,
        settings: TrackSettings,
        pair: u32,
        follows: bool,
        done: impl FnOnce(&crate::outbox::Outbox) -> callward_journal::Done<()>,
    ) -> Result<u32, Failure> {
        let random = self.random();
        let now_ns = self.clock.now_ns;
        let rtp_port = self.ports.pair(pair).rtp_port;
        let mut header = settings.to_json();
        header["rtp_port"] = json!(rtp_port);
        header["rtcp_port"] = json!(rtp_port + 1);
        header["clock"] = json!({"boot": self.boot, "utc_offset_ns": self.clock.utc_offset_ns});
        let header = header.to_string();
        let done = done(&self.outbox);
        let opened = if follows {
            self.journal.open_following_track(name, header.as_bytes(), done)
        } else {
            self.journal.open_track(name, header.as_bytes(), done)
        };
        let handle = opened.map_err(|error| failure_of(&error))?;
        let mut track = Track::new(name, handle, settings, pair, random, now_ns);
        track.utc_offset_ns = self.clock.utc_offset_ns;
        track.next_report_ns = now_ns + super::timers::report_interval_ns(random) / 2;
        track.next_header_ns = now_ns + super::timers::HEADER_EVERY_NS + (random % 1_000) as i64 * 30_000_000;
        if track.settings.paused {
            track.mark(now_ns, "pause", json!({}));
        }
        let waits = !track.buffer.is_empty();
        let at = self.insert(track);
        if waits {
            self.touch(at);
        }
        Ok(at)
    }

    /// Writes the whole header again and answers with the ports once it is synced.
    fn write_header(&mut self, at: u32, client: u64, id: &Value) -> Result<(), Failure> {
        let Some(track) = self.tracks[at as usize].as_mut() else { return Ok(()) };
        let rtp_port = self.ports.pair(track.pair).rtp_port;
        let header = track.header(rtp_port, &self.boot);
        let (outbox, id) = (self.outbox.clone(), id.clone());
        let done = Box::new(move |done: Result<(), JournalError>| {
            let answer = done.map(|()| json!({"rtp_port": rtp_port, "rtcp_port": rtp_port + 1}));
            outbox.reply(client, &id, answer.map_err(|error| failure_of(&error)));
        });
        self.journal.update_track(track.id, &header, done).map_err(|error| failure_of(&error))
    }

    fn update_track(&mut self, client: u64, id: &Value, name: TrackId, change: TrackChange) -> Result<(), Failure> {
        let Some(&at) = self.by_id.get(&name) else { return Err(self.not_open(name)) };
        let now_ns = self.clock.now_ns;
        let Some(track) = self.tracks[at as usize].as_mut() else { return Err(self.not_open(name)) };
        if let Some(payload_types) = change.payload_types.filter(|announced| *announced != track.settings.payload_types) {
            track.settings.payload_types = payload_types;
            track.learn_payload_types();
            let numbers: Vec<u8> = track.settings.payload_types.iter().map(|one| one.payload_type).collect();
            track.mark(now_ns, "payload_types", json!({"payload_types": numbers}));
        }
        if let Some(srtp) = change.srtp.filter(|key| *key != track.settings.srtp) {
            track.rekey(srtp.as_ref(), now_ns + OLD_KEY_NS);
            track.settings.srtp = srtp;
            track.mark(now_ns, "rekey", json!({}));
        }
        if let Some(srtp_send) = change.srtp_send.filter(|key| *key != track.settings.srtp_send) {
            track.srtp_send = srtp_send.as_ref().map(|key| Box::new(srtp::Sender::new(&key.master)));
            track.settings.srtp_send = srtp_send;
        }
        if let Some(mux) = change.rtcp_mux {
            track.settings.rtcp_mux = mux;
        }
        if let Some(meta) = change.meta {
            track.settings.meta = meta;
        }
        if let Some(paused) = change.paused.filter(|paused| *paused != track.settings.paused) {
            track.settings.paused = paused;
            track.mark(now_ns, if paused { "pause" } else { "resume" }, json!({}));
            // Silence is counted from here, and so is the length of a gap.
            if track.heard_ns != 0 {
                track.heard_ns = now_ns;
            }
            track.opened_ns = now_ns;
            track.silent = false;
        }
        let mode = change.source_check.unwrap_or(track.settings.source_check);
        let remote = change.remote.unwrap_or(track.settings.remote);
        if remote != track.settings.remote {
            track.rtcp_from = None;
        }
        let before = track.source.latched();
        track.settings.source_check = mode;
        track.settings.remote = remote;
        let (held, dropped) = track.source.renegotiate(mode, remote.map(|remote| remote.rtp));
        if let Some(latched) = track.source.latched().filter(|latched| Some(*latched) != before) {
            track.mark(now_ns, "source", json!({"rtp": latched.to_string()}));
        }
        if !track.buffer.is_empty() {
            self.touch(at);
        }
        self.take_held(at, held, dropped);
        let Some(track) = self.tracks[at as usize].as_mut() else { return Ok(()) };
        let rtp_port = self.ports.pair(track.pair).rtp_port;
        let header = track.header(rtp_port, &self.boot);
        // The marks stand in the journal before the reply: both go through it in this order.
        self.feed.take(track.handle.slot(), &mut track.buffer);
        self.submit();
        let (outbox, id) = (self.outbox.clone(), id.clone());
        let done = Box::new(move |done: Result<(), JournalError>| {
            outbox.reply(client, &id, done.map(|()| json!({})).map_err(|error| failure_of(&error)));
        });
        self.journal.update_track(name, &header, done).map_err(|error| failure_of(&error))
    }

    fn not_open(&self, name: TrackId) -> Failure {
        match self.journal.track(name) {
            Some(_) => Failure::new("closed", format!("track {name} has ended")),
            None => Failure::unknown_track(&name.to_string()),
        }
    }

    /// Hands what waits to the journal and ends the track there; the reply follows the last sync.
    fn end_track(&mut self, at: u32, client: u64, id: &Value) -> Result<(), Failure> {
        let (held, dropped) = match self.tracks[at as usize].as_mut() {
            Some(track) => track.source.give_up(),
            None => return Ok(()),
        };
        self.take_held(at, held, dropped);
        let Some(track) = self.tracks[at as usize].as_mut() else { return Ok(()) };
        self.feed.take(track.handle.slot(), &mut track.buffer);
        self.submit();
        let Some(track) = self.tracks[at as usize].as_mut() else { return Ok(()) };
        track.take_jitter();
        let (name, stats) = (track.id, track.stats.to_json());
        let (outbox, id, answered) = (self.outbox.clone(), id.clone(), stats.clone());
        let done = Box::new(move |done: Result<callward_journal::ClosedTrack, JournalError>| {
            let answer = done.map(|closed| json!({"acked_bytes": closed.acked_bytes, "stats": answered}));
            outbox.reply(client, &id, answer.map_err(|error| failure_of(&error)));
        });
        self.journal.close_track(name, stats.to_string().as_bytes(), done).map_err(|error| failure_of(&error))
    }

    /// Answers for a track that has ended before.
    fn answer_ended(&self, client: u64, id: &Value, name: TrackId) -> Result<(), Failure> {
        if self.journal.track(name).is_none() {
            return Err(Failure::unknown_track(&name.to_string()));
        }
        let (outbox, id, journal) = (self.outbox.clone(), id.clone(), self.journal.clone());
        let done = Box::new(move |done: Result<callward_journal::ClosedTrack, JournalError>| {
            let answer = done.map(|closed| {
                let stats = journal.track(name).map_or_else(|| json!({}), |info| stored_stats(&info.stats));
                json!({"acked_bytes": closed.acked_bytes, "stats": stats})
            });
            outbox.reply(client, &id, answer.map_err(|error| failure_of(&error)));
        });
        self.journal.close_track(name, b"{}", done).map_err(|error| failure_of(&error))
    }

    fn close_track(&mut self, client: u64, id: &Value, name: TrackId) -> Result<(), Failure> {
        let Some(&at) = self.by_id.get(&name) else { return self.answer_ended(client, id, name) };
        let ended = self.end_track(at, client, id);
        self.remove(at);
        ended
    }

    fn rotate_track(
        &mut self,
        client: u64,
        id: &Value,
        name: TrackId,
        next: TrackId,
        session: String,
        meta: Option<Value>,
    ) -> Result<(), Failure> {
        let Some(&at) = self.by_id.get(&name) else {
            // Asked again after it was done: the next track is open, or has ended too.
            return if self.journal.track(next).is_some() { self.answer_ended(client, id, name) } else { Err(self.not_open(name)) };
        };
        if next == name || self.journal.track(next).is_some() {
            return Err(Failure::bad_request("next: this track exists already"));
        }
        let Some(old) = self.tracks[at as usize].as_ref() else { return Err(self.not_open(name)) };
        let mut settings = old.settings.clone();
        settings.session = session;
        settings.meta = meta.unwrap_or_else(|| json!({}));
        let pair = old.pair;
        let begun = self.begin_track(next, settings, pair, true, |_| {
            Box::new(move |opened: Result<(), JournalError>| {
                if let Err(error) = opened {
                    log::error("rotation_not_opened", json!({"track": next.to_string(), "error": error.to_string()}));
                }
            })
        })?;
        let ended = self.end_track(at, client, id);
        // What the stream has shown goes on: its order, its keys, its source. What is counted begins anew.
        if let (Some(mut old), Some(track)) = (self.tracks[at as usize].take(), self.tracks[begun as usize].as_mut()) {
            self.by_id.remove(&old.id);
            self.by_slot.remove(&old.handle.slot());
            self.landing.forget_state(at);
            self.free.push(at);
            std::mem::swap(&mut track.sequences, &mut old.sequences);
            track.current = old.current;
            track.source = old.source;
            track.srtp = old.srtp;
            track.srtp_send = old.srtp_send;
            track.our_ssrc = old.our_ssrc;
            track.rtcp_from = old.rtcp_from;
            track.heard_ns = old.heard_ns;
            track.silent = old.silent;
            track.stats.cname = old.stats.cname;
            if let Some(sequence) = track.sequences.get(track.current) {
                track.stats.note_source(sequence.ssrc);
            }
            // The header written at first has no rollover counters: write it again soon.
            track.next_header_ns = self.clock.now_ns;
        }
        self.pair_tracks[pair as usize] = begun;
        ended
    }

    fn shred_track(&mut self, client: u64, id: &Value, name: TrackId) -> Result<(), Failure> {
        if let Some(&at) = self.by_id.get(&name) {
            self.remove(at);
        }
        self.landing.erase(&name);
        self.journal.shred_track(name, self.empty_answer(client, id)).map_err(|error| failure_of(&error))
    }

    fn release_track(&mut self, client: u64, id: &Value, name: TrackId) -> Result<(), Failure> {
        if self.by_id.contains_key(&name) {
            return Err(Failure::bad_request(format!("track: {name} is open; close it before it is released")));
        }
        self.journal.release_track(name, self.empty_answer(client, id)).map_err(|error| failure_of(&error))
    }

    /// Answers `{}`; a track that is gone already is as good as done.
    fn empty_answer(&self, client: u64, id: &Value) -> callward_journal::Done<()> {
        let (outbox, id) = (self.outbox.clone(), id.clone());
        Box::new(move |done| {
            let answer = match done {
                Ok(()) | Err(JournalError::UnknownTrack(_)) => Ok(json!({})),
                Err(error) => Err(failure_of(&error)),
            };
            outbox.reply(client, &id, answer);
        })
    }

    fn track_stats(&mut self, name: TrackId) -> Result<Value, Failure> {
        if let Some(track) = self.by_id.get(&name).and_then(|at| self.tracks[*at as usize].as_mut()) {
            track.take_jitter();
            let state = if track.settings.paused { "paused" } else { "recording" };
            return Ok(json!({"state": state, "acked_bytes": track.handle.acked_bytes(), "stats": track.stats.to_json()}));
        }
        let Some(info) = self.journal.track(name) else { return Err(Failure::unknown_track(&name.to_string())) };
        // Between its end and the sync of it, a track is neither open here nor closed there.
        let state = if info.state == TrackState::Closed { "closed" } else { "closing" };
        Ok(json!({"state": state, "acked_bytes": info.acked_bytes, "stats": stored_stats(&info.stats)}))
    }
}
