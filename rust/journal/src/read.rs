//! Reads one track in order, from any process, also while the owner writes and takes segments away.
//!
//! First the track file, then the segments, by the back pointers of the frames. Where a pointer leads to something that is no frame
//! (any more), the reader looks again from the start; when that does not help, it searches everything for what is left.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use ring::aead::LessSafeKey;

use crate::catalog::{read_whole, Catalog, Trust};
use crate::checkpoint::{Entry, Hole};
use crate::error::JournalError;
use crate::frame::{self, FrameHeader, FrameKind, Place, HEADER_BYTES};
use crate::keys::{self, HostKey};
use crate::lock;
use crate::scan::{Expect, Scan, Step};
use crate::segments;
use crate::TrackId;

/// How often a reader starts over because the owner moved something under it, before it believes in damage.
const ATTEMPTS: u32 = 4;

/// A part of a track, in the order in which it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrackPart<'p> {
    /// A header: the first one, or an update.
    Header { at_ns: i64, json: &'p [u8] },
    /// Records from this byte of the track on.
    Records { position: u64, plain: &'p [u8] },
    /// Bytes of records that cannot be read any more.
    Missing { position: u64, bytes: u64 },
    /// The end and its statistics.
    End { at_ns: i64, json: &'p [u8] },
}

/// What a reading found besides the parts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrackReading {
    /// The end was written.
    pub complete: bool,
    /// Bytes of records that were acknowledged or at least written, as the journal knows it.
    pub bytes: u64,
    /// Frames that are there but cannot be opened.
    pub unreadable_frames: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Found {
    place: Place,
    in_track_file: bool,
    at: u64,
    bytes: u32,
}

enum Trouble {
    /// The files changed under the reader, or are damaged.
    Moved,
    Failed(JournalError),
}

impl From<JournalError> for Trouble {
    fn from(error: JournalError) -> Self {
        Self::Failed(error)
    }
}

/// Where a track is read from.
pub(crate) struct Reader {
    journal_dir: PathBuf,
    track: TrackId,
    entry: Entry,
    key: LessSafeKey,
    holes: Vec<Hole>,
}

/// Walks a track. `restart` is called before each attempt: forget the parts that came before.
pub fn read_track(
    journal_dir: &Path,
    keys_dir: &Path,
    track: TrackId,
    partial: bool,
    restart: &mut dyn FnMut(),
    part: &mut dyn FnMut(TrackPart<'_>) -> Result<(), JournalError>,
) -> Result<TrackReading, JournalError> {
    let mut attempt = 0;
    let mut search = false;
    loop {
        attempt += 1;
        restart();
        let outcome = find(journal_dir, keys_dir, track).and_then(|reader| {
            if !reader.entry.closed && !partial {
                return Err(Trouble::Failed(JournalError::StillOpen(track)));
            }
            reader.read(search, part)
        });
        match outcome {
            Ok(reading) => return Ok(reading),
            Err(Trouble::Failed(error @ (JournalError::UnknownTrack(_) | JournalError::StillOpen(_)))) if attempt >= 2 => {
                return Err(error)
            }
            Err(Trouble::Failed(error)) if search => return Err(error),
            Err(Trouble::Failed(error @ (JournalError::LooseKey { .. } | JournalError::HostKey { .. }))) => return Err(error),
            Err(_) if search => {
                let path = segments::segments_dir(journal_dir);
                return Err(JournalError::Damaged {
                    path,
                    offset: 0,
                    why: format!("track {track} moves faster than it can be read; try again"),
                });
            }
            Err(_) if !lock::in_use(journal_dir) => search = true,
            Err(_) => {
                search = attempt >= ATTEMPTS;
                thread::sleep(Duration::from_millis(20 * u64::from(attempt - 1)));
            }
        }
    }
}

fn find(journal_dir: &Path, keys_dir: &Path, track: TrackId) -> Result<Reader, Trouble> {
    let host = HostKey::load(keys_dir)?;
    let mut ring = keys::read_ring(keys_dir, &host, keys::Wanted::Only(track))?;
    let mut catalog = Catalog::load(journal_dir, host.journal_key(), &ring.keys, Trust::Crc)?;
    let entry = catalog.tracks.remove(&track);
    match (entry, ring.keys.remove(&track)) {
        (Some(entry), Some(ring_key)) => {
            Ok(Reader { journal_dir: journal_dir.to_path_buf(), track, entry, key: ring_key.key, holes: catalog.holes })
        }
        (Some(_), None) if ring.damaged > 0 => Err(Trouble::Failed(JournalError::KeyDamaged(track))),
        _ => Err(Trouble::Failed(JournalError::UnknownTrack(track))),
    }
}

/// Opened segments of one reading.
struct Files<'r> {
    reader: &'r Reader,
    segments: HashMap<u64, File>,
    track_file: Option<File>,
}

impl Files<'_> {
    fn of(&mut self, found: &Found) -> Result<&File, Trouble> {
        let failed = |error: io::Error, path: &Path| match error.kind() {
            io::ErrorKind::NotFound => Trouble::Moved,
            _ => Trouble::Failed(JournalError::io("cannot open", path, error)),
        };
        if found.in_track_file {
            if self.track_file.is_none() {
                let path = segments::track_path(&self.reader.journal_dir, self.reader.track);
                self.track_file = Some(File::open(&path).map_err(|error| failed(error, &path))?);
            }
            return self.track_file.as_ref().ok_or(Trouble::Moved);
        }
        match self.segments.entry(found.place.segment) {
            std::collections::hash_map::Entry::Occupied(there) => Ok(there.into_mut()),
            std::collections::hash_map::Entry::Vacant(vacant) => {
                let path = segments::segment_path(&self.reader.journal_dir, found.place.segment);
                Ok(vacant.insert(File::open(&path).map_err(|error| failed(error, &path))?))
            }
        }
    }
}

impl Reader {
    fn read(&self, search: bool, part: &mut dyn FnMut(TrackPart<'_>) -> Result<(), JournalError>) -> Result<TrackReading, Trouble> {
        let mut files = Files { reader: self, segments: HashMap::new(), track_file: None };
        let mut found = self.in_track_file()?;
        let newest_there = found.last().map_or(Place::NOWHERE, |one| one.place);
        if search {
            self.search(newest_there, &mut found)?;
        } else {
            self.follow_back(newest_there, &mut files, &mut found)?;
        }
        let mut reading = TrackReading { bytes: self.entry.position, ..TrackReading::default() };
        let mut position = 0;
        let mut buffer = Vec::new();
        for one in &found {
            buffer.resize(one.bytes as usize, 0);
            let whole = read_whole(files.of(one)?, &mut buffer, one.at)
                .map_err(|error| JournalError::io("cannot read", &self.journal_dir, error))?;
            let good = whole == buffer.len() && frame::crc_holds(&buffer);
            let header = if good {
                FrameHeader::decode(&buffer).filter(|header| header.place == one.place && header.track == self.track)
            } else {
                None
            };
            let opened = header.and_then(|header| frame::open(&self.key, &header, &mut buffer).map(|plain| (header, plain)));
            let Some((header, plain)) = opened else {
                if search {
                    reading.unreadable_frames += 1;
                    continue;
                }
                return Err(Trouble::Moved);
            };
            if header.position > position {
                part(TrackPart::Missing { position, bytes: header.position - position })?;
                position = header.position;
            }
            self.give(&header, plain, &mut reading, part)?;
            position = position.max(header.end_position());
        }
        if self.entry.position > position {
            if !search {
                return Err(Trouble::Moved);
            }
            part(TrackPart::Missing { position, bytes: self.entry.position - position })?;
        }
        Ok(reading)
    }

    fn give(
        &self,
        header: &FrameHeader,
        plain: &[u8],
        reading: &mut TrackReading,
        part: &mut dyn FnMut(TrackPart<'_>) -> Result<(), JournalError>,
    ) -> Result<(), JournalError> {
        if header.kind == FrameKind::Audio {
            return part(TrackPart::Records { position: header.position, plain });
        }
        let Some((at, json)) = plain.split_first_chunk::<8>() else {
            return Ok(());
        };
        let at_ns = i64::from_le_bytes(*at);
        match header.kind {
            FrameKind::Open | FrameKind::Update => part(TrackPart::Header { at_ns, json }),
            FrameKind::Close => {
                reading.complete = true;
                part(TrackPart::End { at_ns, json })
            }
            _ => Ok(()),
        }
    }

    /// Everything in the track file: always the oldest part of the track, without gaps.
    fn in_track_file(&self) -> Result<Vec<Found>, Trouble> {
        let path = segments::track_path(&self.journal_dir, self.track);
        let failed = |error| Trouble::Failed(JournalError::io("cannot read", &path, error));
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(error)),
        };
        let mut torn = false;
        let mut found: Vec<Found> = Vec::new();
        let mut scan = Scan::new(&file, Expect::Track(self.track), 0, u64::MAX).map_err(failed)?;
        while let Some(step) = scan.next().map_err(failed)? {
            let Step::Frame { header, at } = step else {
                torn = true;
                continue;
            };
            if torn && segments::segment_path(&self.journal_dir, header.place.segment).exists() {
                // What a crash left of an unfinished emptying: the segment still has all of it.
                break;
            }
            torn = false;
            if found.last().is_none_or(|last| header.place > last.place) && header.place <= self.entry.last {
                found.push(Found { place: header.place, in_track_file: true, at, bytes: header.frame_bytes() as u32 });
            }
        }
        Ok(found)
    }

    /// From the newest frame back to where the track file ends.
    fn follow_back(&self, newest_there: Place, files: &mut Files<'_>, found: &mut Vec<Found>) -> Result<(), Trouble> {
        let mut back = Vec::new();
        let mut place = self.entry.last;
        let mut head = [0u8; HEADER_BYTES];
        while place > newest_there {
            let mut one = Found { place, in_track_file: false, at: u64::from(place.offset), bytes: 0 };
            let whole = read_whole(files.of(&one)?, &mut head, one.at)
                .map_err(|error| JournalError::io("cannot read", &self.journal_dir, error))?;
            let header = FrameHeader::decode(&head[..whole])
                .filter(|header| header.track == self.track && header.place == place)
                .ok_or(Trouble::Moved)?;
            if header.previous >= place {
                return Err(Trouble::Moved);
            }
            one.bytes = header.frame_bytes() as u32;
            back.push(one);
            place = header.previous;
        }
        // The chain must meet the track file exactly: else one of the two is older than the other.
        if place != newest_there && !(place.is_nowhere() && newest_there.is_nowhere()) {
            return Err(Trouble::Moved);
        }
        found.extend(back.into_iter().rev());
        Ok(())
    }

    /// All frames of the track in all segments.
    fn search(&self, newest_there: Place, found: &mut Vec<Found>) -> Result<(), Trouble> {
        for segment in segments::list_files(&self.journal_dir)?.segments {
            let path = segments::segment_path(&self.journal_dir, segment);
            let failed = |error| Trouble::Failed(JournalError::io("cannot read", &path, error));
            let Ok(file) = File::open(&path) else {
                continue;
            };
            let mut scan = Scan::new(&file, Expect::Segment(segment), 0, u64::MAX).map_err(failed)?;
            while let Some(step) = scan.next().map_err(failed)? {
                let Step::Frame { header, at } = step else {
                    continue;
                };
                let counts = !self.holes.iter().any(|hole| hole.covers(header.place));
                if counts && header.track == self.track && header.place > newest_there && header.place <= self.entry.last {
                    found.push(Found { place: header.place, in_track_file: false, at, bytes: header.frame_bytes() as u32 });
                }
            }
        }
        Ok(())
    }
}
