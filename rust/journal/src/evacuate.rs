//! Takes the blocks of unreleased tracks out of old segments into a file per track, so that a long call never pins the journal.
//!
//! Runs in a thread of its own; the segments it reads do not change any more. The frames are copied as they are, still encrypted.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::catalog::read_whole;
use crate::checkpoint::Hole;
use crate::disk::{self, DiskFile};
use crate::frame::{self, FrameHeader, FrameKind, Place};
use crate::scan::{Expect, Scan, Step};
use crate::segments;
use crate::TrackId;

/// What to empty, and what the track files hold already.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) segments: Vec<u64>,
    pub(crate) tracks: HashMap<TrackId, FileState>,
    /// What does not count in these segments.
    pub(crate) holes: Vec<Hole>,
}

/// The good part of a track file.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FileState {
    pub(crate) bytes: u64,
    pub(crate) last: Place,
    pub(crate) last_at: u64,
    /// The newest header that this job appended: its first place, and where it stands in the file.
    pub(crate) header: Option<(Place, u64)>,
}

/// What was done.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Everything in these is in track files now.
    pub(crate) segments: Vec<u64>,
    pub(crate) tracks: Vec<(TrackId, FileState)>,
    /// Why nothing was done.
    pub(crate) failed: Option<String>,
}

struct Found {
    segment: u64,
    header: FrameHeader,
}

/// Does the job. A full disk or an unreadable segment leaves everything as it was.
pub(crate) fn evacuate(journal_dir: &Path, job: Job) -> Outcome {
    let segments = job.segments.clone();
    match run(journal_dir, job) {
        Ok(tracks) => Outcome { segments, tracks, failed: None },
        Err((path, error)) => {
            Outcome { segments, tracks: Vec::new(), failed: Some(format!("cannot empty old segments: {}: {error}", path.display())) }
        }
    }
}

fn run(journal_dir: &Path, job: Job) -> Result<Vec<(TrackId, FileState)>, (PathBuf, io::Error)> {
    let mut files: HashMap<u64, File> = HashMap::new();
    let mut found: HashMap<TrackId, Vec<Found>> = HashMap::new();
    for segment in &job.segments {
        let path = segments::segment_path(journal_dir, *segment);
        let failed = |error| (path.clone(), error);
        let file = File::open(&path).map_err(failed)?;
        let mut scan = Scan::new(&file, Expect::Segment(*segment), 0, u64::MAX).map_err(failed)?;
        while let Some(step) = scan.next().map_err(failed)? {
            let Step::Frame { header, .. } = step else {
                continue;
            };
            let counts = !job.holes.iter().any(|hole| hole.covers(header.place));
            if counts && job.tracks.get(&header.track).is_some_and(|known| header.place > known.last) {
                found.entry(header.track).or_default().push(Found { segment: *segment, header });
            }
        }
        files.insert(*segment, file);
    }
    let mut done = Vec::with_capacity(found.len());
    for (track, frames) in found {
        let known = job.tracks.get(&track).copied().unwrap_or_default();
        done.push((track, append(journal_dir, track, known, &frames, &files)?));
    }
    disk::sync_folder(&segments::tracks_dir(journal_dir));
    crate::fault::point("evacuate.done");
    Ok(done)
}

fn append(
    journal_dir: &Path,
    track: TrackId,
    known: FileState,
    frames: &[Found],
    files: &HashMap<u64, File>,
) -> Result<FileState, (PathBuf, io::Error)> {
    let path = segments::track_path(journal_dir, track);
    let failed = |error| (path.clone(), error);
    let file = DiskFile::open(&path).map_err(|error| (path.clone(), io::Error::other(error.to_string())))?;
    if file.len().map_err(failed)? > known.bytes {
        file.truncate(known.bytes);
    }
    let mut state = FileState { header: None, ..known };
    let mut buffer = Vec::new();
    let mut buffer_at = state.bytes;
    for one in frames {
        let start = buffer.len();
        buffer.resize(start + one.header.frame_bytes(), 0);
        let whole = files
            .get(&one.segment)
            .map_or(Ok(0), |source| read_whole(source, &mut buffer[start..], u64::from(one.header.place.offset)))
            .map_err(failed)?;
        if whole < one.header.frame_bytes() || !frame::crc_holds(&buffer[start..]) {
            buffer.truncate(start);
            continue;
        }
        state.last = one.header.place;
        state.last_at = buffer_at + start as u64;
        if matches!(one.header.kind, FrameKind::Open | FrameKind::Update) {
            state.header = Some((one.header.place, state.last_at));
        }
        if buffer.len() >= 1 << 20 {
            file.write_at(&buffer, buffer_at).map_err(failed)?;
            buffer_at += buffer.len() as u64;
            buffer.clear();
        }
    }
    file.write_at(&buffer, buffer_at).map_err(failed)?;
    crate::fault::point("evacuate.appended");
    file.sync();
    crate::fault::point("evacuate.synced");
    state.bytes = buffer_at + buffer.len() as u64;
    Ok(state)
}
