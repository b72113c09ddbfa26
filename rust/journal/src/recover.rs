//! Opening a journal: take the lock, work out what is there, cut what a crash left behind, and begin a new segment.
//!
//! Nothing that was ever acknowledged is overwritten: the end of the torn segment is only noted in the new checkpoint. A kill at any point
//! of this leaves a journal that opens in the same way again.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use ring::aead::LessSafeKey;

use crate::catalog::{self, Catalog, Trust};
use crate::checkpoint::Entry;
use crate::clock;
use crate::config::JournalConfig;
use crate::disk::{self, DiskFile};
use crate::error::JournalError;
use crate::fault;
use crate::feed::Block;
use crate::frame::Place;
use crate::group::begin_segment;
use crate::handle::TrackShared;
use crate::housekeeping;
use crate::journal::{Directory, JournalEvent, Known, Shared};
use crate::keys::{self, HostKey, KeyRing, RingKey};
use crate::lock;
use crate::pace::SyncTimes;
use crate::record::BlockBuffer;
use crate::segments;
use crate::writer::{Track, Writer};
use crate::TrackId;

/// Opens the journal and starts its threads.
pub(crate) fn open(
    config: JournalConfig,
    on_event: Box<dyn Fn(JournalEvent) + Send>,
) -> Result<(Arc<Shared>, Vec<JoinHandle<()>>), JournalError> {
    let dir = config.journal_dir.clone();
    for folder in [dir.clone(), segments::segments_dir(&dir), segments::tracks_dir(&dir)] {
        disk::create_folder(&folder)?;
    }
    let lock = lock::take(&dir)?;
    fault::point("open.locked");
    let host = HostKey::load_or_create(&config.keys_dir)?;
    let (mut ring, mut contents) = KeyRing::open(&config.keys_dir, host)?;
    let mut catalog = Catalog::load(&dir, ring.journal_key(), &contents.keys, Trust::Seal)?;
    for (track, bytes) in &catalog.torn_track_files {
        cut_track_file(&dir, *track, *bytes)?;
    }
    // What is there may never have been synced. It will be counted as acknowledged from here on: make it so first.
    for path in &catalog.followed {
        DiskFile::open(path)?.sync();
    }
    if !ring.force_sync() {
        return Err(JournalError::NoSpace("the key ring cannot be written".into()));
    }
    disk::sync_folder(&segments::segments_dir(&dir));
    disk::sync_folder(&segments::tracks_dir(&dir));
    fault::point("open.cut");
    drop_released(&mut catalog, &contents);
    let clean = !catalog.without_checkpoint && contents.damaged == 0;
    if clean {
        forget_orphans(&dir, &catalog, &mut ring, &mut contents);
    }
    fault::point("open.orphans");

    let next_number = catalog.listing.segments.iter().chain(&catalog.listing.spares).max().map_or(1, |newest| newest + 1);
    let mut spares = catalog.listing.spares.clone();
    let mut next_number = next_number;
    spares.retain(|spare| fits(&dir, *spare, config.segment_bytes));
    if spares.is_empty() {
        housekeeping::make_spare(&dir, next_number, config.segment_bytes).map_err(JournalError::NoSpace)?;
        spares.push(next_number);
        next_number += 1;
    }
    let spare = spares.pop().unwrap_or(next_number);
    let current = begin_segment(&dir, spare, next_number);
    next_number += 1;

    let mut needed: BTreeMap<u64, u32> = catalog.listing.segments.iter().map(|segment| (*segment, 0)).collect();
    needed.insert(current.segment, 0);
    let mut directory = Directory::default();
    let mut tracks: Vec<Option<Track>> = Vec::new();
    let mut by_id = HashMap::new();
    let mut track_file_bytes = 0;
    for (track, entry) in catalog.tracks.drain() {
        let (known, kept) = revive(&dir, track, entry, contents.keys.remove(&track), &mut directory, &mut needed);
        track_file_bytes += kept.entry.file_bytes;
        let index = known.shared.slot.index;
        if tracks.len() <= index as usize {
            tracks.resize_with(index as usize + 1, || None);
        }
        tracks[index as usize] = Some(kept);
        by_id.insert(track, index);
        directory.tracks.insert(track, known);
    }

    let (commands_in, commands) = crossbeam_channel::unbounded();
    let (spare_tasks, spare_work) = crossbeam_channel::unbounded();
    let (evacuations, evacuation_work) = crossbeam_channel::bounded(1);
    let shared = Arc::new(Shared::new(commands_in.clone(), &config, directory));
    let mut writer = Writer {
        shared: shared.clone(),
        commands,
        on_event,
        ring,
        boot: keys::random_u64(),
        started: Instant::now(),
        journal_counter: 0,
        group_number: 0,
        group_begun_at: Instant::now(),
        tracks,
        by_id,
        needed,
        holes: catalog.holes,
        current,
        spares,
        next_number,
        spares_under_way: 0,
        spare_failure: None,
        spare_tasks,
        evacuations,
        evacuating: false,
        evacuation_rest_until: None,
        track_file_bytes,
        buffer: Vec::new(),
        batches: Vec::new(),
        touched: Vec::new(),
        headers: Vec::new(),
        closes: Vec::new(),
        erased: Vec::new(),
        released: Vec::new(),
        leftovers: Vec::new(),
        written_tracks: Vec::new(),
        callbacks: Vec::new(),
        flushes: Vec::new(),
        consumed_bytes: 0,
        last_anchor: Instant::now(),
        last_round: Instant::now(),
        times: SyncTimes::default(),
        out_of_space: false,
        able: true,
        behind: false,
        why: String::new(),
        config: config.clone(),
    };
    let existing = &writer.needed;
    writer.holes.retain(|hole| existing.contains_key(&hole.segment));
    begin(&mut writer)?;

    let threads = vec![
        housekeeping::start_spare_maker(dir.clone(), config.segment_bytes, spare_work, commands_in.clone())?,
        housekeeping::start_evacuator(dir.clone(), evacuation_work, commands_in)?,
        housekeeping::start("journal-writer", move || {
            let _lock = lock;
            writer.run();
        })?,
    ];
    Ok((shared, threads))
}

/// Makes the new segment's checkpoint durable; only then may old segments go and new frames come.
fn begin(writer: &mut Writer) -> Result<(), JournalError> {
    if !writer.ring.sync() {
        return Err(JournalError::NoSpace("the key ring cannot be written".into()));
    }
    fault::point("open.checkpoint");
    writer.put_checkpoint();
    if !writer.write_buffer() {
        return Err(JournalError::NoSpace("there is no room for the first bytes of a new segment".into()));
    }
    writer.current.file.sync();
    fault::point("open.checkpoint_synced");
    let unneeded: Vec<u64> = writer
        .needed
        .iter()
        .filter(|(segment, count)| **count == 0 && **segment != writer.current.segment)
        .map(|(segment, _)| *segment)
        .collect();
    for segment in unneeded {
        writer.free_segment(segment);
    }
    fault::point("open.freed");
    let at_ns = clock::utc_ns();
    let mark = format!("{{\"kind\":\"restart\",\"at_ns\":{at_ns}}}");
    let blocks: Vec<Block> = writer
        .tracks
        .iter()
        .flatten()
        .filter(|track| !track.entry.closed && track.key.is_some())
        .map(|track| {
            let mut buffer = BlockBuffer::default();
            buffer.push_mark(at_ns, mark.as_bytes());
            Block { slot: track.shared.slot, buffer }
        })
        .collect();
    writer.shared.reserve_always(blocks.iter().map(|block| block.buffer.len() as u64).sum());
    writer.take_batch(blocks, None);
    Ok(())
}

fn cut_track_file(dir: &Path, track: TrackId, bytes: u64) -> Result<(), JournalError> {
    let file = DiskFile::open(&segments::track_path(dir, track))?;
    file.truncate(bytes);
    file.sync();
    Ok(())
}

/// A track whose key is gone was released, whether or not the crash let the journal say so.
fn drop_released(catalog: &mut Catalog, contents: &keys::RingContents) {
    if contents.damaged == 0 {
        catalog.tracks.retain(|track, _| contents.keys.contains_key(track));
    }
}

/// Keys and track files that no track needs.
fn forget_orphans(dir: &Path, catalog: &Catalog, ring: &mut KeyRing, contents: &mut keys::RingContents) {
    contents.keys.retain(|track, ring_key| {
        let wanted = catalog.tracks.contains_key(track);
        if !wanted {
            ring.erase(ring_key.slot);
        }
        wanted
    });
    for (track, _) in &catalog.listing.track_files {
        if !catalog.tracks.contains_key(track) {
            disk::remove(&segments::track_path(dir, *track));
        }
    }
}

/// A spare of another size (the setting was changed) is no use.
fn fits(dir: &Path, spare: u64, segment_bytes: u64) -> bool {
    let path = segments::spare_path(dir, spare);
    let fits = path.metadata().is_ok_and(|metadata| metadata.len() == segment_bytes);
    if !fits {
        disk::remove(&path);
    }
    fits
}

fn revive(
    dir: &Path,
    track: TrackId,
    entry: Entry,
    ring_key: Option<RingKey>,
    directory: &mut Directory,
    needed: &mut BTreeMap<u64, u32>,
) -> (Known, Track) {
    let slot = directory.new_slot();
    let shared = Arc::new(TrackShared {
        track,
        slot,
        recovered: entry.position,
        acked: AtomicU64::new(entry.position),
        ended: AtomicBool::new(entry.closed),
    });
    let key = ring_key.as_ref().map(|ring_key| &ring_key.key);
    let header = json_at(dir, track, entry.header, entry.header_in_file, key);
    let stats_in_file = if entry.last == entry.file_last && !entry.last.is_nowhere() { entry.file_last_at + 1 } else { 0 };
    let stats = if entry.closed { json_at(dir, track, entry.last, stats_in_file, key) } else { Vec::new() };
    let mut pinned = Vec::new();
    for (segment, count) in needed.range_mut(entry.first_segment..=entry.last.segment.max(entry.first_segment)) {
        *count += 1;
        pinned.push(*segment);
    }
    let known = Known {
        shared: shared.clone(),
        header: header.into(),
        stats: stats.into(),
        recovered: true,
        readable: ring_key.is_some(),
        opened_at_ns: entry.opened_at_ns,
    };
    let (key_slot, key) = ring_key.map_or((None, None), |ring_key| (Some(ring_key.slot), Some(ring_key.key)));
    let has_file = entry.file_bytes > 0;
    (known, Track { shared, entry, key, key_slot, segments: pinned, pending: Vec::new(), skip: 0, has_file })
}

/// The JSON of a header or an end; empty when it cannot be read.
fn json_at(dir: &Path, track: TrackId, place: Place, in_file: u64, key: Option<&LessSafeKey>) -> Vec<u8> {
    let (Some(key), false) = (key, place.is_nowhere()) else {
        return Vec::new();
    };
    let (path, at) = catalog::locate(dir, track, place, in_file);
    match catalog::read_frame(&path, at, track, place, key) {
        Ok(Some((_, plain))) if plain.len() >= 8 => plain[8..].to_vec(),
        _ => Vec::new(),
    }
}
