//! What the writer looks after besides writing: spare segments, freed segments, full disks, its own status.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::disk;
use crate::evacuate::{FileState, Job, Outcome};
use crate::housekeeping::{HouseReport, SpareTask};
use crate::journal::{JournalEvent, JournalStatus};
use crate::segments;
use crate::writer::{Track, Writer};
use crate::TrackId;

const SPARE_RETRY: Duration = Duration::from_secs(1);
const EVACUATION_RETRY: Duration = Duration::from_secs(5);
/// Segments that are emptied in one go.
const EVACUATE_AT_ONCE: usize = 16;

impl Writer {
    /// Once per group, and a few times per second without one.
    pub(crate) fn round(&mut self) {
        self.last_round = Instant::now();
        self.want_spares();
        self.want_evacuation();
        self.judge();
        self.report();
    }

    pub(crate) fn take_report(&mut self, report: HouseReport) {
        match report {
            HouseReport::SpareReady(number) => {
                self.spares_under_way -= 1;
                self.spare_failure = None;
                self.spares.push(number);
            }
            HouseReport::SpareFailed(why) => {
                self.spares_under_way -= 1;
                self.spare_failure = Some((why, Instant::now()));
            }
            HouseReport::Emptied(outcome) => self.take_emptied(outcome),
        }
    }

    pub(crate) fn want_spares(&mut self) {
        if self.spare_failure.as_ref().is_some_and(|(_, at)| at.elapsed() < SPARE_RETRY) {
            return;
        }
        while self.spares.len() + self.spares_under_way < self.config.spare_segments {
            let number = self.next_number;
            self.next_number += 1;
            if self.spare_tasks.send(SpareTask::Make(number)).is_err() {
                return;
            }
            self.spares_under_way += 1;
        }
    }

    /// Nobody needs these segments on behalf of one track any more.
    pub(crate) fn unpin(&mut self, segments: &[u64]) {
        for segment in segments {
            if let Some(count) = self.needed.get_mut(segment) {
                *count = count.saturating_sub(1);
                if *count == 0 && *segment != self.current.segment {
                    self.free_segment(*segment);
                }
            }
        }
    }

    /// The key is gone for good: now the audio may go too.
    pub(crate) fn clear_away(&mut self, gone: &Track) {
        self.unpin(&gone.segments);
        if gone.has_file || gone.entry.file_bytes > 0 {
            self.track_file_bytes = self.track_file_bytes.saturating_sub(gone.entry.file_bytes);
            let _ = self.spare_tasks.send(SpareTask::Remove(segments::track_path(&self.config.journal_dir, gone.shared.track)));
        }
    }

    /// A segment that no track needs becomes a spare, or goes.
    pub(crate) fn free_segment(&mut self, segment: u64) {
        self.needed.remove(&segment);
        self.holes.retain(|hole| hole.segment != segment);
        let path = segments::segment_path(&self.config.journal_dir, segment);
        crate::fault::point("segment.delete");
        if self.spares.len() + self.spares_under_way < self.config.spare_segments * 2 {
            let number = self.next_number;
            self.next_number += 1;
            disk::rename(&path, &segments::spare_path(&self.config.journal_dir, number));
            self.spares.push(number);
        } else {
            let _ = self.spare_tasks.send(SpareTask::Remove(path));
        }
        crate::fault::point("segment.deleted");
    }

    fn want_evacuation(&mut self) {
        if self.evacuating
            || self.needed.len() <= self.config.live_segments
            || self.evacuation_rest_until.is_some_and(|until| Instant::now() < until)
        {
            return;
        }
        let many = (self.needed.len() - self.config.live_segments + self.config.live_segments / 8).clamp(1, EVACUATE_AT_ONCE);
        let segments: Vec<u64> = self.needed.keys().copied().filter(|segment| *segment != self.current.segment).take(many).collect();
        let tracks = self
            .tracks
            .iter()
            .flatten()
            .filter(|track| track.segments.iter().any(|segment| segments.contains(segment)))
            .map(|track| {
                let entry = &track.entry;
                (
                    track.shared.track,
                    FileState { bytes: entry.file_bytes, last: entry.file_last, last_at: entry.file_last_at, header: None },
                )
            })
            .collect();
        self.evacuating = self.evacuations.send(Job { segments, tracks, holes: self.holes.clone() }).is_ok();
    }

    fn take_emptied(&mut self, outcome: Outcome) {
        self.evacuating = false;
        if let Some(why) = outcome.failed {
            eprintln!("callward journal: {why}");
            self.evacuation_rest_until = Some(Instant::now() + EVACUATION_RETRY);
            return;
        }
        for (track, state) in &outcome.tracks {
            let Some(index) = self.by_id.get(track) else {
                // Released meanwhile: its key is gone, the file may go too.
                let _ = self.spare_tasks.send(SpareTask::Remove(segments::track_path(&self.config.journal_dir, *track)));
                continue;
            };
            let Some(Some(track)) = self.tracks.get_mut(*index as usize) else {
                continue;
            };
            self.track_file_bytes += state.bytes.saturating_sub(track.entry.file_bytes);
            track.has_file = true;
            track.entry.file_bytes = state.bytes;
            track.entry.file_last = state.last;
            track.entry.file_last_at = state.last_at;
            if let Some((place, at)) = state.header {
                if place == track.entry.header {
                    track.entry.header_in_file = at + 1;
                }
            }
        }
        let mut unpinned = Vec::new();
        for track in self.tracks.iter_mut().flatten() {
            track.segments.retain(|segment| {
                let emptied = outcome.segments.contains(segment);
                if emptied {
                    unpinned.push(*segment);
                }
                !emptied
            });
            track.entry.first_segment = track.segments.first().copied().unwrap_or(self.current.segment);
        }
        self.unpin(&unpinned);
    }

    /// Removes a track that never came to be.
    pub(crate) fn forget_track(&mut self, track: TrackId) {
        let Some(index) = self.by_id.remove(&track) else {
            return;
        };
        if let Some(gone) = self.tracks[index as usize].take() {
            if let Some(slot) = gone.key_slot {
                self.ring.erase(slot);
            }
            self.consumed_bytes += self.pending_bytes(&gone);
            self.touched.retain(|touched| *touched != index);
            gone.shared.ended.store(true, Ordering::Release);
            self.shared.forget(&gone.shared);
        }
    }

    /// Whether new tracks are welcome.
    fn judge(&mut self) {
        let free = disk::free_bytes(&self.config.journal_dir);
        let waits = self.shared.too_much_waits(self.able);
        // Once refused, a little more room than the bound is wanted before new tracks are taken again.
        let reserve =
            if self.able { self.config.disk_reserve_bytes } else { self.config.disk_reserve_bytes + self.config.disk_reserve_bytes / 20 };
        self.behind = false;
        let why = if self.out_of_space {
            "the disk is full; what is received waits in memory".to_owned()
        } else if self.spares.is_empty() && self.spare_failure.is_some() {
            self.spare_failure.as_ref().map(|(why, _)| why.clone()).unwrap_or_default()
        } else if free < reserve {
            format!("{free} bytes of disk are free, less than the reserve of {} (disk_reserve_bytes)", self.config.disk_reserve_bytes)
        } else if self.journal_bytes() >= self.config.journal_max_bytes {
            format!(
                "the journal has {} bytes, its bound is {} (journal_max_bytes); is the archive taking recordings?",
                self.journal_bytes(),
                self.config.journal_max_bytes
            )
        } else {
            self.behind = waits.is_some();
            waits.unwrap_or_default()
        };
        let able = why.is_empty();
        let changed = able != self.able;
        self.able = able;
        self.why = why;
        if changed {
            // Who is refused finds the reason that goes with it.
            self.report();
            self.shared.able.store(able, Ordering::Release);
            (self.on_event)(JournalEvent::Able { able, why: self.why.clone() });
        }
    }

    /// Without the spares: they are room, not use.
    fn journal_bytes(&self) -> u64 {
        self.needed.len() as u64 * self.config.segment_bytes + self.track_file_bytes
    }

    fn report(&mut self) {
        let (p50, p99, max) = self.times.figures();
        let status = JournalStatus {
            able: self.able,
            why: self.why.clone(),
            behind: self.behind,
            journal_bytes: self.journal_bytes(),
            free_bytes: disk::free_bytes(&self.config.journal_dir),
            segments: self.needed.len(),
            open_tracks: self.tracks.iter().flatten().filter(|track| !track.entry.closed).count(),
            unreleased_tracks: self.by_id.len(),
            sync_ms_p50: p50,
            sync_ms_p99: p99,
            sync_ms_max: max,
            groups: self.times.groups,
            buffered_bytes: 0,
            buffered_ms: 0,
            overflow_packets: 0,
            orphan_packets: 0,
        };
        self.shared.set_status(status);
    }
}
