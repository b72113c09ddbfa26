//! The host key and the key ring: a key per track, wrapped by the host key, in fixed slots outside the segments.
//!
//! Destroying one track is overwriting its slot. The host key file must be readable by its owner only.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use ring::aead::{Aad, LessSafeKey, Nonce, UnboundKey, AES_256_GCM};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};

use crate::disk::{self, DiskFile};
use crate::error::JournalError;
use crate::fault;
use crate::TrackId;

/// Bytes of one slot, and of the ring's header before the first.
pub(crate) const SLOT_BYTES: usize = 128;
/// The ring grows by this many slots.
const GROWTH_SLOTS: usize = 1024;
const RING_MAGIC: &[u8; 8] = b"CWKEYS1\0";
const HOST_KEY_FILE: &str = "host.key";
const RING_FILE: &str = "ring";

fn aes_key(bytes: &[u8]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, bytes).expect("the key has 32 bytes"))
}

fn random_bytes(out: &mut [u8]) {
    // Without randomness there is no key: stop rather than go on with a guessable one.
    if SystemRandom::new().fill(out).is_err() {
        eprintln!("callward journal: the system gives no random numbers; stopping");
        std::process::abort();
    }
}

/// A random number that names one run of the journal.
pub(crate) fn random_u64() -> u64 {
    let mut bytes = [0u8; 8];
    random_bytes(&mut bytes);
    u64::from_le_bytes(bytes)
}

/// The key that wraps the keys of the tracks.
pub(crate) struct HostKey {
    wrapping: LessSafeKey,
    journal: LessSafeKey,
    fingerprint: [u8; 16],
}

impl HostKey {
    /// Reads `host.key`; refuses one that others can read.
    pub(crate) fn load(keys_dir: &Path) -> Result<Self, JournalError> {
        let path = keys_dir.join(HOST_KEY_FILE);
        let mut file = File::open(&path).map_err(|error| JournalError::io("cannot open", &path, error))?;
        let mode = file.metadata().map_err(|error| JournalError::io("cannot read", &path, error))?.permissions().mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(JournalError::LooseKey { path, mode });
        }
        let mut bytes = Vec::with_capacity(33);
        Read::by_ref(&mut file).take(33).read_to_end(&mut bytes).map_err(|error| JournalError::io("cannot read", &path, error))?;
        if bytes.len() != 32 {
            return Err(JournalError::HostKey { path, why: "does not have 32 bytes; put the right one back" });
        }
        let root = hmac::Key::new(hmac::HMAC_SHA256, &bytes);
        let mut fingerprint = [0u8; 16];
        fingerprint.copy_from_slice(&hmac::sign(&root, b"callward host key fingerprint 1").as_ref()[..16]);
        let journal = aes_key(hmac::sign(&root, b"callward journal frames 1").as_ref());
        let wrapping = aes_key(hmac::sign(&root, b"callward track key wrapping 1").as_ref());
        Ok(Self { wrapping, journal, fingerprint })
    }

    /// Creates the host key when neither it nor a ring is there, then loads it.
    pub(crate) fn load_or_create(keys_dir: &Path) -> Result<Self, JournalError> {
        disk::create_folder(keys_dir)?;
        let path = keys_dir.join(HOST_KEY_FILE);
        if !path.exists() {
            if keys_dir.join(RING_FILE).exists() {
                return Err(JournalError::HostKey {
                    path,
                    why: "is missing, but there is a key ring made with it; put it back from your backup",
                });
            }
            let mut bytes = [0u8; 32];
            random_bytes(&mut bytes);
            let fresh = keys_dir.join("host.key.new");
            disk::remove(&fresh);
            OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&fresh)
                .and_then(|mut file| {
                    file.write_all(&bytes)?;
                    file.sync_all()
                })
                .map_err(|error| JournalError::io("cannot write", &fresh, error))?;
            fault::point("open.key");
            disk::rename(&fresh, &path);
            disk::sync_folder(keys_dir);
        }
        Self::load(keys_dir)
    }

    /// The key of the journal's own frames.
    pub(crate) fn journal_key(&self) -> &LessSafeKey {
        &self.journal
    }
}

/// A key that was found in the ring.
pub(crate) struct RingKey {
    pub(crate) slot: u32,
    pub(crate) key: LessSafeKey,
}

/// What stands in the ring.
#[derive(Default)]
pub(crate) struct RingContents {
    pub(crate) keys: HashMap<TrackId, RingKey>,
    pub(crate) free: Vec<u32>,
    /// Slots that hold something unreadable. While there are any, a track without a key may be one of them.
    pub(crate) damaged: usize,
}

fn wrap_aad(track: TrackId, slot: u32) -> [u8; 28] {
    let mut aad = [0u8; 28];
    aad[0..8].copy_from_slice(b"CWTRACKK");
    aad[8..24].copy_from_slice(track.bytes());
    aad[24..28].copy_from_slice(&slot.to_le_bytes());
    aad
}

fn seal_slot(host: &HostKey, track: TrackId, slot: u32, key: &[u8; 32]) -> [u8; SLOT_BYTES] {
    let mut out = [0u8; SLOT_BYTES];
    out[0..16].copy_from_slice(track.bytes());
    let mut nonce = [0u8; 12];
    random_bytes(&mut nonce);
    out[16..28].copy_from_slice(&nonce);
    let mut wrapped = *key;
    let tag = host
        .wrapping
        .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(&wrap_aad(track, slot)[..]), &mut wrapped)
        .expect("32 bytes can be sealed");
    out[28..60].copy_from_slice(&wrapped);
    out[60..76].copy_from_slice(tag.as_ref());
    let crc = crc32c::crc32c(&out[..SLOT_BYTES - 4]);
    out[SLOT_BYTES - 4..].copy_from_slice(&crc.to_le_bytes());
    out
}

fn crc_of_slot_holds(bytes: &[u8]) -> bool {
    crate::frame::u32_at(bytes, SLOT_BYTES - 4) == crc32c::crc32c(&bytes[..SLOT_BYTES - 4])
}

/// `Ok(None)`: a free slot. `Err`: something unreadable.
fn open_slot(host: &HostKey, slot: u32, bytes: &[u8]) -> Result<Option<(TrackId, LessSafeKey)>, ()> {
    if bytes.iter().all(|byte| *byte == 0) {
        return Ok(None);
    }
    if !crc_of_slot_holds(bytes) {
        return Err(());
    }
    let mut track = [0u8; 16];
    track.copy_from_slice(&bytes[0..16]);
    let track = TrackId::from_bytes(track);
    let mut nonce = [0u8; 12];
    nonce.copy_from_slice(&bytes[16..28]);
    let mut sealed = [0u8; 48];
    sealed.copy_from_slice(&bytes[28..76]);
    let key = host
        .wrapping
        .open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(&wrap_aad(track, slot)[..]), &mut sealed)
        .map_err(|_| ())?;
    Ok(Some((track, aes_key(key))))
}

fn ring_header(host: &HostKey) -> [u8; SLOT_BYTES] {
    let mut header = [0u8; SLOT_BYTES];
    header[0..8].copy_from_slice(RING_MAGIC);
    header[8..24].copy_from_slice(&host.fingerprint);
    header
}

/// Whose keys to unwrap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    All,
    Only(TrackId),
}

/// Reads the whole ring; a missing one is empty.
pub(crate) fn read_ring(keys_dir: &Path, host: &HostKey, wanted: Wanted) -> Result<RingContents, JournalError> {
    let path = keys_dir.join(RING_FILE);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(RingContents::default()),
        Err(error) => return Err(JournalError::io("cannot read", &path, error)),
    };
    if bytes.len() < SLOT_BYTES || bytes[0..8] != RING_MAGIC[..] {
        return Err(JournalError::Damaged { path, offset: 0, why: "this is no key ring".into() });
    }
    if bytes[8..24] != host.fingerprint {
        return Err(JournalError::HostKey {
            path: keys_dir.join(HOST_KEY_FILE),
            why: "is not the one that this key ring was made with; put the right one back",
        });
    }
    let mut contents = RingContents::default();
    for (slot, bytes) in bytes[SLOT_BYTES..].chunks_exact(SLOT_BYTES).enumerate() {
        let slot = slot as u32;
        if matches!(wanted, Wanted::Only(track) if bytes[..16] != track.bytes()[..] && crc_of_slot_holds(bytes)) {
            continue;
        }
        match open_slot(host, slot, bytes) {
            Ok(None) => contents.free.push(slot),
            Ok(Some((track, key))) => {
                contents.keys.insert(track, RingKey { slot, key });
            }
            Err(()) => contents.damaged += 1,
        }
    }
    contents.free.reverse();
    Ok(contents)
}

/// The ring as its owner writes it.
pub(crate) struct KeyRing {
    host: HostKey,
    file: DiskFile,
    slots: u32,
    free: Vec<u32>,
    erasing: Vec<u32>,
    dirty: bool,
}

impl KeyRing {
    /// Opens or creates the ring; gives what stands in it.
    pub(crate) fn open(keys_dir: &Path, host: HostKey) -> Result<(Self, RingContents), JournalError> {
        let path = keys_dir.join(RING_FILE);
        if !path.exists() {
            let fresh: PathBuf = keys_dir.join("ring.new");
            disk::remove(&fresh);
            let file = DiskFile::open(&fresh)?;
            file.write_at(&ring_header(&host), 0).map_err(|error| JournalError::io("cannot write", &fresh, error))?;
            file.sync();
            fault::point("open.ring");
            disk::rename(&fresh, &path);
            disk::sync_folder(keys_dir);
        }
        let mut contents = read_ring(keys_dir, &host, Wanted::All)?;
        let file = DiskFile::open(&path)?;
        let length = file.len().map_err(|error| JournalError::io("cannot read", &path, error))?;
        let slots = ((length as usize).saturating_sub(SLOT_BYTES) / SLOT_BYTES) as u32;
        let free = std::mem::take(&mut contents.free);
        Ok((Self { host, file, slots, free, erasing: Vec::new(), dirty: false }, contents))
    }

    /// The key of the journal's own frames.
    pub(crate) fn journal_key(&self) -> &LessSafeKey {
        self.host.journal_key()
    }

    /// Makes a key for a track and writes it, wrapped, into a free slot; durable after [`KeyRing::sync`]. Fails only when the disk is full.
    pub(crate) fn put(&mut self, track: TrackId) -> io::Result<RingKey> {
        if self.free.is_empty() {
            self.grow()?;
        }
        let Some(slot) = self.free.pop() else {
            return Err(io::Error::from_raw_os_error(28));
        };
        let mut bytes = [0u8; 32];
        random_bytes(&mut bytes);
        fault::point("key.write");
        if let Err(error) = self.file.write_at(&seal_slot(&self.host, track, slot, &bytes), Self::offset(slot)) {
            self.free.push(slot);
            return Err(error);
        }
        self.dirty = true;
        Ok(RingKey { slot, key: aes_key(&bytes) })
    }

    /// Destroys the key in this slot with the next [`KeyRing::sync`].
    pub(crate) fn erase(&mut self, slot: u32) {
        self.erasing.push(slot);
        self.dirty = true;
    }

    /// Whether something waits for a sync.
    pub(crate) fn is_dirty(&self) -> bool {
        self.dirty
    }

    /// Makes what was put and erased durable. False: a full disk did not let a key be overwritten (a file system that copies on write);
    /// it is tried again with the next sync.
    pub(crate) fn sync(&mut self) -> bool {
        if !self.dirty {
            return true;
        }
        let mut overwritten = Vec::new();
        let mut refused = Vec::new();
        for slot in self.erasing.drain(..) {
            match self.file.write_at(&[0; SLOT_BYTES], Self::offset(slot)) {
                Ok(()) => overwritten.push(slot),
                Err(_) => refused.push(slot),
            }
        }
        fault::point("key.sync");
        self.file.sync();
        fault::point("key.synced");
        self.free.append(&mut overwritten);
        self.erasing = refused;
        self.dirty = !self.erasing.is_empty();
        !self.dirty
    }

    /// After a start: what an earlier run wrote may not be synced.
    pub(crate) fn force_sync(&mut self) -> bool {
        self.dirty = true;
        self.sync()
    }

    fn grow(&mut self) -> io::Result<()> {
        let zeros = vec![0u8; GROWTH_SLOTS * SLOT_BYTES];
        self.file.write_at(&zeros, Self::offset(self.slots))?;
        self.file.sync();
        let first = self.slots;
        self.slots += GROWTH_SLOTS as u32;
        self.free.extend((first..self.slots).rev());
        Ok(())
    }

    fn offset(slot: u32) -> u64 {
        (u64::from(slot) + 1) * SLOT_BYTES as u64
    }
}
