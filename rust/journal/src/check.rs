//! Walks every frame of a journal and says where the first fault is.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::error::JournalError;
use crate::frame::{FrameHeader, FrameKind, Place};
use crate::scan::{Expect, Scan, Step};
use crate::segments;
use crate::TrackId;

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
    /// Places in segments that are no frames, in the order in which they were found.
    torn: Vec<Torn>,
    /// Segments and the runs that began them.
    boots: Vec<(u64, u64)>,
}

/// Bytes that are no frame. They are what a crash left behind if nothing but the rest of the same group follows in that run.
struct Torn {
    segment: u64,
    from: u64,
    to: u64,
    groups_after: Vec<u16>,
    fault: Fault,
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
        if !moving || looks >= LOOKS_AT_THE_END || !in_use(journal_dir) {
            return report;
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// Another process owns the journal right now.
fn in_use(journal_dir: &Path) -> bool {
    let Ok(file) = File::open(journal_dir.join("lock")) else { return false };
    rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockShared).is_err()
}

fn look(journal_dir: &Path) -> Result<CheckReport, JournalError> {
    let listing = segments::list_files(journal_dir)?;
    let mut walk = Walk::default();
    for (track, _) in &listing.track_files {
        walk.walk(&segments::track_path(journal_dir, *track), Expect::Track(*track), 0)?;
        walk.report.track_files += 1;
    }
    for segment in &listing.segments {
        walk.walk(&segments::segment_path(journal_dir, *segment), Expect::Segment(*segment), *segment)?;
        walk.report.segments += 1;
    }
    walk.judge_torn_ends();
    let mut report = walk.report;
    report.tracks = walk.newest.len() as u64;
    report.ok = report.fault.is_none();
    Ok(report)
}

impl Walk {
    fn fault(&mut self, file: &Path, offset: u64, why: impl Into<String>) {
        if self.report.fault.is_none() {
            self.report.fault = Some(Fault { file: file.display().to_string(), offset, why: why.into() });
        }
    }

    fn walk(&mut self, path: &Path, expect: Expect, segment: u64) -> Result<(), JournalError> {
        let failed = |error| JournalError::io("cannot read", path, error);
        let file = File::open(path).map_err(failed)?;
        let mut scan = Scan::new(&file, expect, 0, u64::MAX).map_err(failed)?;
        let mut first = true;
        while let Some(step) = scan.next().map_err(failed)? {
            match step {
                Step::Damage { from, to } if segment > 0 => {
                    let fault = Fault { file: path.display().to_string(), offset: from, why: "these bytes are no frame: the CRC or the header is wrong".into() };
                    self.torn.push(Torn { segment, from, to: to.unwrap_or(u64::MAX), groups_after: Vec::new(), fault });
                }
                Step::Damage { from, .. } => self.fault(path, from, "these bytes are no frame: the CRC or the header is wrong"),
                Step::Frame { header, at } => {
                    self.report.frames += 1;
                    self.report.bytes += header.frame_bytes() as u64;
                    if segment > 0 && first != (header.kind == FrameKind::Checkpoint) {
                        self.fault(path, at, "a checkpoint must stand at the start of a segment, and only there");
                    }
                    first = false;
                    for torn in self.torn.iter_mut().filter(|torn| torn.segment == segment && !torn.groups_after.contains(&header.group)) {
                        torn.groups_after.push(header.group);
                    }
                    if header.kind == FrameKind::Checkpoint {
                        self.boots.push((segment, header.boot));
                    }
                    self.follow(path, at, &header);
                }
            }
        }
        if first && segment > 0 && !self.torn.iter().any(|torn| torn.segment == segment) {
            self.fault(path, 0, "the segment has no checkpoint");
        }
        Ok(())
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
            let after_torn = self.torn.iter().any(|torn| torn.segment == header.previous.segment && (torn.from..torn.to).contains(&u64::from(header.previous.offset)));
            if after_torn {
                // Judged with the torn place.
            } else if header.previous != place || header.counter != counter.wrapping_add(1) {
                self.fault(path, at, format!("frame {} of track {} does not follow frame {counter}", header.counter, header.track));
            }
        }
        self.newest.insert(header.track, (header.place, header.counter));
    }

    /// What a crash left behind is no fault: the next segment was begun by another run, and no later group follows.
    fn judge_torn_ends(&mut self) {
        for torn in std::mem::take(&mut self.torn) {
            let boot = self.boots.iter().find(|(begun, _)| *begun == torn.segment).map(|(_, boot)| *boot);
            let next = self.boots.iter().find(|(begun, _)| *begun > torn.segment).map(|(_, boot)| *boot);
            if next.is_some() && next != boot && torn.groups_after.len() <= 1 {
                self.report.torn_ends += 1;
            } else if self.report.fault.is_none() {
                self.report.fault = Some(torn.fault);
            }
        }
    }
}
