//! Walks the frames of a file in order, checks each one, and finds its feet again after a damaged place.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::fault;
use crate::frame::{self, FrameHeader, HEADER_BYTES};
use crate::TrackId;

const WINDOW_BYTES: usize = 1 << 20;

/// What must be true of every frame in a file.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Expect {
    /// A segment: frames name this segment and the offset where they stand.
    Segment(u64),
    /// A track file: frames of this track, from anywhere.
    Track(TrackId),
}

/// One step of the walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A frame whose CRC is right, at this offset of the file.
    Frame { header: FrameHeader, at: u64 },
    /// Bytes that are no frame. `to`: where the next good frame starts, or None when none follows.
    /// `group`: the sync group that they name, if they still look like a frame at all.
    Damage { from: u64, to: Option<u64>, group: Option<u16> },
}

/// The walk.
pub(crate) struct Scan<'f> {
    file: &'f File,
    expect: Expect,
    at: u64,
    end: u64,
    window: Vec<u8>,
    window_at: u64,
    frame: (usize, usize),
}

impl<'f> Scan<'f> {
    /// Walks from offset `at` up to `end` (or the end of the file).
    pub(crate) fn new(file: &'f File, expect: Expect, at: u64, end: u64) -> io::Result<Self> {
        let end = end.min(file.metadata()?.len());
        Ok(Self { file, expect, at, end, window: Vec::new(), window_at: 0, frame: (0, 0) })
    }

    /// The bytes of the frame that the last step gave.
    pub(crate) fn frame_bytes(&mut self) -> &mut [u8] {
        &mut self.window[self.frame.0..self.frame.1]
    }

    /// The next step; None at the end of what was written.
    pub(crate) fn next(&mut self) -> io::Result<Option<Step>> {
        if self.at >= self.end {
            return Ok(None);
        }
        if self.need(self.at, HEADER_BYTES)? < HEADER_BYTES {
            return match self.expect {
                // Too little room for a frame: the rest of a full segment.
                Expect::Segment(_) => Ok(None),
                Expect::Track(_) => self.damage(),
            };
        }
        if matches!(self.expect, Expect::Segment(_)) && self.view(self.at, HEADER_BYTES).iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        match self.frame_at(self.at)? {
            Some(header) => {
                let at = self.at;
                self.at += header.frame_bytes() as u64;
                Ok(Some(Step::Frame { header, at }))
            }
            None => self.damage(),
        }
    }

    fn damage(&mut self) -> io::Result<Option<Step>> {
        let from = self.at;
        let group = match self.need(from, HEADER_BYTES)? {
            HEADER_BYTES => {
                FrameHeader::decode(self.view(from, HEADER_BYTES)).filter(|header| self.placed(header, from)).map(|header| header.group)
            }
            _ => None,
        };
        let mut probe = from + 8;
        while probe + HEADER_BYTES as u64 <= self.end {
            if self.frame_at(probe)?.is_some() {
                // The walk goes on with that frame: the next step reads it again.
                self.at = probe;
                return Ok(Some(Step::Damage { from, to: Some(probe), group }));
            }
            probe += 8;
        }
        self.at = self.end;
        Ok(Some(Step::Damage { from, to: None, group }))
    }

    /// The whole good frame at this offset, if there is one.
    fn frame_at(&mut self, at: u64) -> io::Result<Option<FrameHeader>> {
        if self.need(at, HEADER_BYTES)? < HEADER_BYTES {
            return Ok(None);
        }
        let Some(header) = FrameHeader::decode(self.view(at, HEADER_BYTES)) else {
            return Ok(None);
        };
        let placed = self.placed(&header, at);
        let length = header.frame_bytes();
        if !placed || at + length as u64 > self.end || self.need(at, length)? < length {
            return Ok(None);
        }
        if !frame::crc_holds(self.view(at, length)) && !fault::mutant("skip_crc") {
            return Ok(None);
        }
        let start = (at - self.window_at) as usize;
        self.frame = (start, start + length);
        Ok(Some(header))
    }

    fn placed(&self, header: &FrameHeader, at: u64) -> bool {
        match self.expect {
            Expect::Segment(segment) => header.place.segment == segment && u64::from(header.place.offset) == at,
            Expect::Track(track) => header.track == track,
        }
    }

    fn view(&self, at: u64, length: usize) -> &[u8] {
        let start = (at - self.window_at) as usize;
        &self.window[start..start + length]
    }

    /// Brings `length` bytes from `at` into the window; gives how many there are (at most `length`).
    fn need(&mut self, at: u64, length: usize) -> io::Result<usize> {
        let available = (self.end - at.min(self.end)).min(length as u64) as usize;
        let have_to = self.window_at + self.window.len() as u64;
        if at >= self.window_at && at + available as u64 <= have_to {
            return Ok(available);
        }
        let want = (self.end - at.min(self.end)).min(length.max(WINDOW_BYTES) as u64) as usize;
        self.window.resize(want, 0);
        self.window_at = at;
        let mut read = 0;
        while read < want {
            match self.file.read_at(&mut self.window[read..], at + read as u64) {
                Ok(0) => break,
                Ok(more) => read += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.window.truncate(read);
        Ok(read.min(available))
    }
}
