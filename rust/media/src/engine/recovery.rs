//! Going on after a restart: tracks that were open listen on their ports again, with their keys and counters.

use callward_journal::TrackState;
use serde_json::{json, Value};

use super::track::{settings_of, Track};
use super::Engine;
use crate::log;

impl Engine {
    /// Takes up the open tracks of the journal. Those whose ports cannot be had are ended; returns their names.
    pub fn recover(&mut self) -> Vec<String> {
        // Sockets that were inherited: received from again, be it only to drain them.
        self.fresh_pairs.extend(0..self.ports.len() as u32);
        let mut ended = Vec::new();
        let mut going_on = 0;
        for info in self.journal.tracks() {
            if info.state == TrackState::Closed {
                continue;
            }
            let header: Value = serde_json::from_slice(&info.header).unwrap_or(Value::Null);
            let resumed = settings_of(&header).and_then(|(settings, port)| {
                let handle = self.journal.handle(info.track)?;
                let (pair, new) = self.ports.claim(settings.address, port)?;
                if new {
                    self.note_new_pair(pair);
                }
                let random = self.random();
                let mut track = Track::new(info.track, handle, settings, pair, random, self.clock.now_ns);
                track.restore(&header, &self.boot, self.clock.utc_offset_ns);
                track.announced_bytes = info.acked_bytes;
                track.next_report_ns = self.clock.now_ns + super::timers::report_interval_ns(random) / 2;
                Some(self.insert(track))
            });
            if resumed.is_some() {
                going_on += 1;
                continue;
            }
            let stats = if header["stats"].is_object() { header["stats"].clone() } else { json!({}) };
            if let Err(error) = self.journal.close_track(info.track, stats.to_string().as_bytes(), Box::new(|_| {})) {
                self.log_failure("track_not_ended", &error);
            }
            ended.push(info.track.to_string());
        }
        if going_on + ended.len() > 0 {
            log::info("recovered", json!({"going_on": going_on, "ended": ended.len()}));
        }
        self.publish();
        ended
    }
}
