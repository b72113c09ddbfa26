//! The threads that keep slow work away from the writer: making spare segments, emptying old ones, removing files.

use std::path::PathBuf;
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, Sender};

use crate::disk::{self, DiskFile};
use crate::error::JournalError;
use crate::evacuate::{self, Job, Outcome};
use crate::journal::Command;
use crate::segments;

/// Work for the spare maker.
pub(crate) enum SpareTask {
    Make(u64),
    Remove(PathBuf),
}

/// What it reports.
#[derive(Debug)]
pub(crate) enum HouseReport {
    SpareReady(u64),
    SpareFailed(String),
    Emptied(Outcome),
}

/// A thread of the journal that panics takes the process with it: a journal that silently stops writing would be worse.
struct AllOrNothing;

impl Drop for AllOrNothing {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("callward journal: a thread of the journal failed; stopping the process");
            std::process::abort();
        }
    }
}

/// Starts a thread of the journal.
pub(crate) fn start(name: &str, body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, JournalError> {
    let guarded = move || {
        let _guard = AllOrNothing;
        body();
    };
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(guarded)
        .map_err(|error| JournalError::io("cannot start the thread", name.as_ref(), error))
}

/// Preallocates spares and removes files. Ends when its channel is dropped.
pub(crate) fn start_spare_maker(
    journal_dir: PathBuf,
    segment_bytes: u64,
    tasks: Receiver<SpareTask>,
    reports: Sender<Command>,
) -> Result<JoinHandle<()>, JournalError> {
    start("journal-spares", move || {
        for task in tasks {
            match task {
                SpareTask::Remove(path) => disk::remove(&path),
                SpareTask::Make(number) => {
                    let report = match make_spare(&journal_dir, number, segment_bytes) {
                        Ok(()) => HouseReport::SpareReady(number),
                        Err(why) => HouseReport::SpareFailed(why),
                    };
                    if reports.send(Command::House(report)).is_err() {
                        return;
                    }
                }
            }
        }
    })
}

/// Preallocates one spare.
pub(crate) fn make_spare(journal_dir: &std::path::Path, number: u64, segment_bytes: u64) -> Result<(), String> {
    let path = segments::spare_path(journal_dir, number);
    let file = DiskFile::open(&path).map_err(|error| error.to_string())?;
    if let Err(error) = file.allocate(segment_bytes) {
        disk::remove(&path);
        return Err(format!("no room for another segment: {error}"));
    }
    file.sync();
    crate::fault::point("spare.made");
    Ok(())
}

/// Empties old segments. Ends when its channel is dropped.
pub(crate) fn start_evacuator(journal_dir: PathBuf, jobs: Receiver<Job>, reports: Sender<Command>) -> Result<JoinHandle<()>, JournalError> {
    start("journal-empty", move || {
        for job in jobs {
            let outcome = evacuate::evacuate(&journal_dir, job);
            if reports.send(Command::House(HouseReport::Emptied(outcome))).is_err() {
                return;
            }
        }
    })
}
