//! What a power loss does to the files: all that was synced stays; of the rest some pages stay, some are old, some are garbage.

use std::collections::HashMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::random::Random;

const PAGE: usize = 512;

struct Write {
    offset: u64,
    length: usize,
    old: Vec<u8>,
}

#[derive(Default)]
struct Unsynced {
    writes: Vec<Write>,
    /// Writes that a failed sync has dropped: they never reach the disk, whatever is synced later.
    doomed: Vec<Write>,
}

/// Applies a power loss to the files that the log speaks of; the log starts anew.
pub fn lose(log: &Path, random: &mut Random) {
    let bytes = fs::read(log).unwrap_or_default();
    let mut files: HashMap<PathBuf, Unsynced> = HashMap::new();
    let mut renames: Vec<(PathBuf, PathBuf)> = Vec::new();
    let mut rest = &bytes[..];
    while let Some(entry) = next(&mut rest) {
        match entry {
            Entry::Wrote(path, write) => files.entry(path).or_default().writes.push(write),
            Entry::Synced(path) => files.entry(path).or_default().writes.clear(),
            Entry::Failed(path) => {
                let file = files.entry(path).or_default();
                file.doomed.append(&mut file.writes);
            }
            Entry::FolderSynced(folder) => renames.retain(|(from, _)| from.parent() != Some(&folder)),
            Entry::Renamed(from, to) => {
                if let Some(file) = files.remove(&from) {
                    files.insert(to.clone(), file);
                }
                renames.push((from, to));
            }
        }
    }
    for (path, unsynced) in files {
        let Ok(file) = File::options().read(true).write(true).open(&path) else {
            continue;
        };
        // A slot of the key ring lies inside one sector: it is old or new, never half of each.
        let atomic = path.file_name().is_some_and(|name| name == "ring");
        for write in unsynced.writes.iter().rev() {
            match atomic {
                true if random.once_in(2) => restore(&file, write, 0, write.length),
                true => {}
                false => tear(&file, write, random),
            }
        }
        for write in unsynced.doomed.iter().rev() {
            restore(&file, write, 0, write.length);
        }
    }
    let undone = random.below(renames.len() as u64 + 1) as usize;
    for (from, to) in renames.iter().rev().take(undone) {
        if to.exists() && !from.exists() {
            let _ = fs::rename(to, from);
        }
    }
    let _ = fs::remove_file(log);
}

fn restore(file: &File, write: &Write, from: usize, to: usize) {
    let mut old = vec![0u8; to - from];
    if from < write.old.len() {
        let have = write.old.len().min(to) - from;
        old[..have].copy_from_slice(&write.old[from..from + have]);
    }
    file.write_all_at(&old, write.offset + from as u64).expect("the emulation writes");
}

fn tear(file: &File, write: &Write, random: &mut Random) {
    match random.below(4) {
        // All of it came through.
        0 => {}
        // A part came through, then perhaps garbage, then what stood there before.
        1 | 2 => {
            let kept = random.below(write.length as u64 + 1) as usize;
            let mut from = kept;
            if random.once_in(2) {
                let garbage = (random.below(4096) as usize).min(write.length - kept);
                let mut bytes = vec![0u8; garbage];
                random.fill(&mut bytes);
                file.write_all_at(&bytes, write.offset + kept as u64).expect("the emulation writes");
                from += garbage;
            }
            restore(file, write, from, write.length);
        }
        // Any pages came through, in any order.
        _ => {
            for from in (0..write.length).step_by(PAGE) {
                if random.once_in(2) {
                    restore(file, write, from, (from + PAGE).min(write.length));
                }
            }
        }
    }
}

enum Entry {
    Wrote(PathBuf, Write),
    Synced(PathBuf),
    Failed(PathBuf),
    FolderSynced(PathBuf),
    Renamed(PathBuf, PathBuf),
}

fn take<'b>(rest: &mut &'b [u8], many: usize) -> Option<&'b [u8]> {
    let (head, tail) = rest.split_at_checked(many)?;
    *rest = tail;
    Some(head)
}

fn number(rest: &mut &[u8], many: usize) -> Option<u64> {
    let mut bytes = [0u8; 8];
    bytes[..many].copy_from_slice(take(rest, many)?);
    Some(u64::from_le_bytes(bytes))
}

fn path(rest: &mut &[u8]) -> Option<PathBuf> {
    let length = number(rest, 2)? as usize;
    Some(PathBuf::from(String::from_utf8_lossy(take(rest, length)?).into_owned()))
}

/// The next entry; None at the end, also when the last one was cut by the kill.
fn next(rest: &mut &[u8]) -> Option<Entry> {
    let letter = take(rest, 1)?[0];
    let name = path(rest)?;
    Some(match letter {
        b'W' => {
            let offset = number(rest, 8)?;
            let length = number(rest, 4)? as usize;
            let have = number(rest, 4)? as usize;
            Entry::Wrote(name, Write { offset, length, old: take(rest, have)?.to_vec() })
        }
        b'S' => Entry::Synced(name),
        b'E' => Entry::Failed(name),
        b'D' => Entry::FolderSynced(name),
        _ => Entry::Renamed(name, path(rest)?),
    })
}
