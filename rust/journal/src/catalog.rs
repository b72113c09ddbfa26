//! What a journal holds, worked out from its files alone: the newest checkpoint, and the frames that follow it.
//!
//! The owner recovers with this when it starts; readers in other processes use it at any time. It changes nothing.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use ring::aead::LessSafeKey;

use crate::checkpoint::{self, Checkpoint, Entry, Hole};
use crate::error::JournalError;
use crate::fault;
use crate::frame::{self, FrameHeader, FrameKind, HEADER_BYTES};
use crate::keys::RingKey;
use crate::scan::{Expect, Scan, Step};
use crate::segments::{self, Listing};
use crate::TrackId;

/// What makes a frame count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// Its CRC: enough for a reader, who opens the frames that matter anyway.
    Crc,
    /// Its seal too: for the owner, who builds on it.
    Seal,
}

/// The picture.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    /// Tracks whose release was not written. Whether their keys are there is another question.
    pub(crate) tracks: HashMap<TrackId, Entry>,
    pub(crate) listing: Listing,
    /// What is known to be no frames, found now or noted before.
    pub(crate) holes: Vec<Hole>,
    /// No checkpoint could be read although there are segments: keys of unknown tracks must not be destroyed.
    pub(crate) without_checkpoint: bool,
    /// Segments and track files whose frames were read past the checkpoint: present, but perhaps never synced.
    pub(crate) followed: Vec<PathBuf>,
    /// Track files that end in something that is no frame, and their good bytes.
    pub(crate) torn_track_files: Vec<(TrackId, u64)>,
}

impl Catalog {
    /// Reads the newest checkpoint that is whole and all frames after it.
    pub(crate) fn load(
        journal_dir: &Path,
        journal_key: &LessSafeKey,
        keys: &HashMap<TrackId, RingKey>,
        trust: Trust,
    ) -> Result<Self, JournalError> {
        let keyring = Keys { journal: journal_key, tracks: keys, trust };
        let listing = segments::list_files(journal_dir)?;
        let mut catalog = Catalog { listing, ..Catalog::default() };
        let mut from = 0;
        let mut found = false;
        for (index, segment) in catalog.listing.segments.iter().enumerate().rev() {
            if let Some(checkpoint) = read_checkpoint(journal_dir, *segment, journal_key)? {
                catalog.tracks = checkpoint.tracks.into_iter().collect();
                catalog.holes = checkpoint.holes;
                (from, found) = (index, true);
                break;
            }
        }
        catalog.without_checkpoint = !found && !catalog.listing.segments.is_empty();
        let newer = catalog.listing.segments.split_off(from);
        catalog.listing.segments.extend_from_slice(&newer);
        for segment in newer {
            catalog.follow(journal_dir, segment, &keyring)?;
        }
        for (track, length) in catalog.listing.track_files.clone() {
            if catalog.without_checkpoint || catalog.tracks.get(&track).is_some_and(|entry| entry.file_bytes != length) {
                catalog.follow_track_file(journal_dir, track)?;
            }
        }
        Ok(catalog)
    }

    /// Applies the frames of one segment.
    fn follow(&mut self, journal_dir: &Path, segment: u64, keys: &Keys<'_>) -> Result<(), JournalError> {
        let path = segments::segment_path(journal_dir, segment);
        let failed = |error| JournalError::io("cannot read", &path, error);
        let file = File::open(&path).map_err(failed)?;
        let known_end =
            self.holes.iter().find(|hole| hole.segment == segment && hole.to == u32::MAX).map_or(u64::MAX, |hole| u64::from(hole.from));
        self.followed.push(path.clone());
        let mut scan = Scan::new(&file, Expect::Segment(segment), 0, known_end).map_err(failed)?;
        // Frames after a place that is no frame: judged when it is known what all follows.
        let mut after_hole: Vec<(FrameHeader, Vec<u8>)> = Vec::new();
        let mut broken = false;
        let mut groups: Vec<u16> = Vec::new();
        while let Some(step) = scan.next().map_err(failed)? {
            match step {
                Step::Damage { from, to, group } => {
                    broken = true;
                    groups.extend(group);
                    self.add_hole(Hole { segment, from: from as u32, to: to.map_or(u32::MAX, |to| to as u32) });
                }
                Step::Frame { header, .. } if self.holes.iter().any(|hole| hole.covers(header.place)) => {}
                Step::Frame { header, .. } if broken => after_hole.push((header, scan.frame_bytes().to_vec())),
                Step::Frame { header, .. } => self.apply(&header, keys.of(&header), scan.frame_bytes()),
            }
        }
        // One group was torn when the power went: what hangs in the air of it was never acknowledged. More than one group: the disk
        // has lost something older, and everything that can still be read counts.
        groups.extend(after_hole.iter().map(|(header, _)| header.group));
        let torn = groups.windows(2).all(|pair| pair[0] == pair[1]);
        for (header, mut bytes) in after_hole {
            let expected = self.tracks.get(&header.track).map_or(0, |entry| entry.counter);
            if torn && header.track != TrackId::JOURNAL && header.counter > expected {
                let end = header.place.offset + header.frame_bytes() as u32;
                self.add_hole(Hole { segment, from: header.place.offset, to: end });
            } else {
                self.apply(&header, keys.of(&header), &mut bytes);
            }
        }
        Ok(())
    }

    fn add_hole(&mut self, hole: Hole) {
        if self.holes.contains(&hole) {
            return;
        }
        match self.holes.last_mut() {
            Some(last) if last.segment == hole.segment && last.to == hole.from => last.to = hole.to,
            _ => self.holes.push(hole),
        }
    }

    fn apply(&mut self, header: &FrameHeader, key: Option<&LessSafeKey>, bytes: &mut [u8]) {
        match header.kind {
            FrameKind::Checkpoint | FrameKind::Anchor => {}
            FrameKind::Released => {
                let Some(plain) = key.and_then(|key| frame::open(key, header, bytes)) else {
                    return;
                };
                for track in plain.chunks_exact(16) {
                    let mut id = [0u8; 16];
                    id.copy_from_slice(track);
                    self.tracks.remove(&TrackId::from_bytes(id));
                }
            }
            FrameKind::Open | FrameKind::Update | FrameKind::Audio | FrameKind::Close => {
                let plain = key.and_then(|key| frame::open(key, header, bytes));
                if key.is_some() && plain.is_none() && !fault::mutant("skip_crc") {
                    // The CRC is right and the seal is not: nobody of ours wrote this.
                    self.add_hole(Hole {
                        segment: header.place.segment,
                        from: header.place.offset,
                        to: header.place.offset + header.frame_bytes() as u32,
                    });
                    return;
                }
                let entry = self.tracks.entry(header.track).or_default();
                if header.place <= entry.last {
                    return;
                }
                if entry.last.is_nowhere() {
                    entry.first_segment = header.place.segment;
                }
                if header.kind == FrameKind::Open {
                    entry.opened_at_ns = plain.and_then(|plain| plain.first_chunk::<8>()).map_or(0, |at| i64::from_le_bytes(*at));
                }
                if matches!(header.kind, FrameKind::Open | FrameKind::Update) {
                    entry.header = header.place;
                    entry.header_in_file = 0;
                }
                entry.closed |= header.kind == FrameKind::Close;
                entry.counter = header.counter.saturating_add(1);
                entry.position = header.end_position();
                entry.last = header.place;
            }
        }
    }

    /// Applies what was appended to a track file after the checkpoint.
    fn follow_track_file(&mut self, journal_dir: &Path, track: TrackId) -> Result<(), JournalError> {
        let path = segments::track_path(journal_dir, track);
        let failed = |error| JournalError::io("cannot read", &path, error);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(failed(error)),
        };
        self.followed.push(path.clone());
        let entry = self.tracks.entry(track).or_default();
        let mut scan = Scan::new(&file, Expect::Track(track), entry.file_bytes, u64::MAX).map_err(failed)?;
        let mut torn = false;
        while let Some(step) = scan.next().map_err(failed)? {
            match step {
                Step::Damage { .. } => torn = true,
                // The segment is still there: it was never emptied completely, and all of this comes once more.
                Step::Frame { header, .. } if torn && segments::segment_path(journal_dir, header.place.segment).exists() => break,
                Step::Frame { header, at } => {
                    torn = false;
                    if header.place <= entry.file_last {
                        continue;
                    }
                    if matches!(header.kind, FrameKind::Open | FrameKind::Update) && header.place >= entry.header {
                        entry.header = header.place;
                        entry.header_in_file = at + 1;
                    }
                    if header.place >= entry.last {
                        entry.closed |= header.kind == FrameKind::Close;
                        entry.counter = header.counter.saturating_add(1);
                        entry.position = header.end_position();
                        entry.last = header.place;
                    }
                    entry.file_last = header.place;
                    entry.file_last_at = at;
                    entry.file_bytes = at + header.frame_bytes() as u64;
                }
            }
        }
        if torn {
            self.torn_track_files.push((track, entry.file_bytes));
        }
        Ok(())
    }
}

/// The keys at hand.
struct Keys<'k> {
    journal: &'k LessSafeKey,
    tracks: &'k HashMap<TrackId, RingKey>,
    trust: Trust,
}

impl<'k> Keys<'k> {
    /// The key of this frame, if it is there and the frame is worth opening.
    fn of(&self, header: &FrameHeader) -> Option<&'k LessSafeKey> {
        if header.track == TrackId::JOURNAL {
            Some(self.journal)
        } else if self.trust == Trust::Seal || header.kind == FrameKind::Open {
            self.tracks.get(&header.track).map(|ring_key| &ring_key.key)
        } else {
            None
        }
    }
}

/// The checkpoint that opens this segment, if it is whole.
fn read_checkpoint(journal_dir: &Path, segment: u64, journal_key: &LessSafeKey) -> Result<Option<Checkpoint>, JournalError> {
    let path = segments::segment_path(journal_dir, segment);
    let failed = |error| JournalError::io("cannot read", &path, error);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut scan = Scan::new(&file, Expect::Segment(segment), 0, u64::MAX).map_err(failed)?;
    Ok(match scan.next().map_err(failed)? {
        Some(Step::Frame { header, .. }) if header.kind == FrameKind::Checkpoint => {
            frame::open(journal_key, &header, scan.frame_bytes()).and_then(checkpoint::decode)
        }
        _ => None,
    })
}

/// Where the frame at a place of a track is to be found: in its track file, or still in a segment.
pub(crate) fn locate(journal_dir: &Path, track: TrackId, place: frame::Place, in_file: u64) -> (PathBuf, u64) {
    if in_file > 0 {
        (segments::track_path(journal_dir, track), in_file - 1)
    } else {
        (segments::segment_path(journal_dir, place.segment), u64::from(place.offset))
    }
}

/// Reads and decrypts one frame; None when it is not there any more, or not what was written.
pub(crate) fn read_frame(
    path: &Path,
    at: u64,
    track: TrackId,
    place: frame::Place,
    key: &LessSafeKey,
) -> io::Result<Option<(FrameHeader, Vec<u8>)>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = vec![0u8; HEADER_BYTES];
    if read_whole(&file, &mut bytes, at)? < HEADER_BYTES {
        return Ok(None);
    }
    let Some(header) = FrameHeader::decode(&bytes) else {
        return Ok(None);
    };
    if header.track != track || header.place != place || at + header.frame_bytes() as u64 > file.metadata()?.len() {
        return Ok(None);
    }
    bytes.resize(header.frame_bytes(), 0);
    if read_whole(&file, &mut bytes, at)? < header.frame_bytes() || !frame::crc_holds(&bytes) {
        return Ok(None);
    }
    Ok(frame::open(key, &header, &mut bytes).map(<[u8]>::to_vec).map(|plain| (header, plain)))
}

/// Reads up to the end of the file; gives how many bytes there were.
pub(crate) fn read_whole(file: &File, bytes: &mut [u8], at: u64) -> io::Result<usize> {
    let mut read = 0;
    while read < bytes.len() {
        match file.read_at(&mut bytes[read..], at + read as u64) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}
