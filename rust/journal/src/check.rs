//! Walks every frame of a journal and says where the first fault is.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::error::JournalError;
use crate::frame::{FrameHeader, FrameKind, Place};
use crate::lock;
use crate::scan::{Expect, Scan, Step};
use crate::segments;
use crate::TrackId;

const NO_FRAME: &str = "these bytes are no frame: the CRC or the header is wrong";
/// A journal in use ends in a group that is just being written: look again before calling it a fault.
const LOOKS_AT_THE_END: u32 = 10;

/// What the walk found. `fault` is the first place that is not as it was written.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct CheckReport {
    pub ok: bool,
    pub segments: u64,
    pub track_files: u64,
    pub frames: u64,
    pub bytes: u64,
    pub tracks: u64,
    /// Unacknowledged remains of a crash that recovery has noted.
    pub torn_ends: u64,
    pub fault: Option<Fault>,
}

/// Where and what.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Fault {
    pub file: String,
    pub offset: u64,
    pub why: String,
}

#[derive(Default)]
struct Walk {
    report: CheckReport,
    /// The newest frame of each track so far, and the counter it had.
    newest: HashMap<TrackId, (Place, u32)>,
    segments: Vec<u64>,
}

/// One file, walked.
#[derive(Default)]
struct Walked {
    frames: Vec<(u64, FrameHeader)>,
    /// Where, and the sync group that the bytes name if they look like a frame.
    damages: Vec<(u64, Option<u16>)>,
}

/// Needs no keys: CRC, places, counters and back pointers are in the clear.
pub fn check(journal_dir: &Path) -> Result<CheckReport, JournalError> {
    let mut looks = 0;
    loop {
        looks += 1;
        let report = look(journal_dir);
        let moving = match &report {
            Ok(report) => report.fault.is_some(),
            Err(JournalError::Io { .. }) => true,
            Err(_) => false,
        };
        if !moving || looks >= LOOKS_AT_THE_END || !lock::in_use(journal_dir) {
            return report;
        }
        thread::sleep(Duration::from_millis(50));
    }
}

fn look(journal_dir: &Path) -> Result<CheckReport, JournalError> {
    let listing = segments::list_files(journal_dir)?;
    let mut walk = Walk { segments: listing.segments.clone(), ..Walk::default() };
    for (track, _) in &listing.track_files {
        let path = segments::track_path(journal_dir, *track);
        let walked = walk.walk(&path, Expect::Track(*track))?;
        for (from, _) in walked.damages {
            walk.fault(&path, from, NO_FRAME);
        }
        for (at, header) in walked.frames {
            walk.follow(&path, at, &header);
        }
        walk.report.track_files += 1;
    }
    for (nth, segment) in listing.segments.iter().enumerate() {
        let path = segments::segment_path(journal_dir, *segment);
        let walked = walk.walk(&path, Expect::Segment(*segment))?;
        let next_run = listing.segments[nth + 1..].iter().find_map(|next| run_of(journal_dir, *next));
        walk.judge_segment(&path, walked, next_run);
        walk.report.segments += 1;
    }
    let mut report = walk.report;
    report.tracks = walk.newest.len() as u64;
    report.ok = report.fault.is_none();
    Ok(report)
}

/// The run that began this segment.
fn run_of(journal_dir: &Path, segment: u64) -> Option<u64> {
    let file = File::open(segments::segment_path(journal_dir, segment)).ok()?;
    match Scan::new(&file, Expect::Segment(segment), 0, u64::MAX).ok()?.next().ok()?? {
        Step::Frame { header, .. } => Some(header.boot),
        Step::Damage { .. } => None,
    }
}

impl Walk {
    fn fault(&mut self, file: &Path, offset: u64, why: impl Into<String>) {
        if self.report.fault.is_none() {
            self.report.fault = Some(Fault { file: file.display().to_string(), offset, why: why.into() });
        }
    }

    fn walk(&mut self, path: &Path, expect: Expect) -> Result<Walked, JournalError> {
        let failed = |error| JournalError::io("cannot read", path, error);
        let file = File::open(path).map_err(failed)?;
        let mut scan = Scan::new(&file, expect, 0, u64::MAX).map_err(failed)?;
        let mut walked = Walked::default();
        while let Some(step) = scan.next().map_err(failed)? {
            match step {
                Step::Damage { from, group, .. } => walked.damages.push((from, group)),
                Step::Frame { header, at } => {
                    self.report.frames += 1;
                    self.report.bytes += header.frame_bytes() as u64;
                    walked.frames.push((at, header));
                }
            }
        }
        Ok(walked)
    }

    /// Bytes that are no frame are what a crash left behind, if the next segment was begun by another run and nothing but the rest of
    /// one group follows them. Frames of that group which hang in the air do not count.
    fn judge_segment(&mut self, path: &Path, walked: Walked, next_run: Option<u64>) {
        let first_damage = walked.damages.first().map(|(from, _)| *from);
        let after = walked.frames.iter().filter(|(at, _)| first_damage.is_some_and(|from| *at > from)).map(|(_, header)| header.group);
        let mut groups = walked.damages.iter().filter_map(|(_, group)| *group).chain(after);
        let rest = groups.next();
        let one_group = groups.all(|group| Some(group) == rest);
        let run = walked.frames.first().map(|(_, header)| header.boot);
        let torn = first_damage.is_some() && one_group && next_run.is_some() && next_run != run;
        if torn {
            self.report.torn_ends += 1;
        } else if let Some(from) = first_damage {
            self.fault(path, from, NO_FRAME);
        }
        if walked.frames.is_empty() && first_damage.is_none() {
            self.fault(path, 0, "the segment has no checkpoint");
        }
        for (nth, (at, header)) in walked.frames.iter().enumerate() {
            let whole_start = first_damage.is_none_or(|from| from > 0);
            if whole_start && (nth == 0) != (header.kind == FrameKind::Checkpoint) {
                self.fault(path, *at, "a checkpoint must stand at the start of a segment, and only there");
            }
            let hangs = torn
                && first_damage.is_some_and(|from| *at > from)
                && self.newest.get(&header.track).map_or(0, |(_, counter)| counter.wrapping_add(1)) < header.counter;
            if !hangs {
                self.follow(path, *at, header);
            }
        }
    }

    /// Counters count, and pointers point to the frame before.
    fn follow(&mut self, path: &Path, at: u64, header: &FrameHeader) {
        if header.track == TrackId::JOURNAL {
            return;
        }
        if let Some((place, counter)) = self.newest.get(&header.track).copied() {
            if header.place <= place {
                // A segment whose frames are in the track file already.
                return;
            }
            // Between the two lay a segment that was freed: the track was released meanwhile.
            let freed_between = header.previous > place && !self.segments.contains(&header.previous.segment);
            if !freed_between && (header.previous != place || header.counter != counter.wrapping_add(1)) {
                self.fault(path, at, format!("frame {} of track {} does not follow frame {counter}", header.counter, header.track));
            }
        }
        self.newest.insert(header.track, (header.place, header.counter));
    }
}
