//! `callward-media serve`: puts the parts together, and takes them apart on SIGTERM.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::Arc;
use std::time::Duration;

use callward_journal::{Journal, JournalConfig, JournalEvent};
use serde_json::json;

use crate::config::{Config, Receive};
use crate::control::{listen, Control};
use crate::engine::{Engine, Parts};
use crate::kernel::{self, Clock, Intake, Interest, MultiMessage, Uring, Wake};
use crate::landing::{Landing, Left};
use crate::log;
use crate::metrics::Totals;
use crate::outbox::Outbox;
use crate::ports::Ports;
use crate::service_manager::{pair_up, ServiceManager};

/// Orders that may wait for the network thread.
const ORDERS_MAX: usize = 4_096;

/// Chooses the way of receiving. Must be called on the network thread.
fn open_intake(wanted: Receive) -> io::Result<Box<dyn Intake>> {
    if wanted == Receive::Recvmmsg {
        return Ok(Box::new(MultiMessage::new()?));
    }
    match Uring::new() {
        Ok(uring) => Ok(Box::new(uring)),
        Err(error) if wanted == Receive::Auto => {
            log::info("io_uring_not_available", json!({"error": error.to_string(), "instead": "recvmmsg"}));
            Ok(Box::new(MultiMessage::new()?))
        }
        Err(error) => Err(error),
    }
}

/// The landing that the service manager kept, or a new one.
fn open_landing(inherited: &mut Vec<(String, OwnedFd)>, manager: &mut ServiceManager) -> io::Result<(Landing, Left)> {
    while let Some(at) = inherited.iter().position(|(name, _)| name == "landing") {
        match Landing::adopt(inherited.swap_remove(at).1) {
            Ok(adopted) => return Ok(adopted),
            Err(error) => log::warning("landing_not_adopted", json!({"error": error.to_string()})),
        }
    }
    let landing = Landing::create()?;
    manager.store("landing".into(), landing.descriptor());
    Ok((landing, Left::default()))
}

/// A ULID for this start of the process.
fn boot_ulid(utc_ns: i64, entropy: u128) -> String {
    let milliseconds = (utc_ns / 1_000_000) as u128;
    callward_journal::TrackId::from_bytes((milliseconds << 80 | (entropy & ((1 << 80) - 1))).to_be_bytes()).to_string()
}

fn entropy() -> u128 {
    let mut bytes = [0u8; 16];
    let random = ring::rand::SystemRandom::new();
    if ring::rand::SecureRandom::fill(&random, &mut bytes).is_err() {
        // No entropy at all: the clock must do; it names a boot and spreads timers, no secret hangs on it.
        return Clock::new().utc_ns() as u128;
    }
    u128::from_ne_bytes(bytes)
}

/// Runs until SIGTERM. The error is a sentence for whoever started the process.
pub fn serve(config: &Config) -> Result<(), String> {
    // First of all, before any descriptor is made.
    let mut inherited = kernel::inherited_sockets();
    let sentence = |what: &str| {
        let what = what.to_string();
        move |error: io::Error| format!("{what}: {error}")
    };
    let signals = kernel::stop_signals().map_err(sentence("cannot read signals"))?;
    let limit = kernel::raise_descriptor_limit();
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&config.runtime_dir).map_err(sentence("runtime_dir"))?;
    let lock_path = config.runtime_dir.join("media.lock");
    let _lock = kernel::lock_file(&lock_path)
        .map_err(sentence("media.lock"))?
        .ok_or_else(|| format!("another callward-media is running with {}; stop it first", config.runtime_dir.display()))?;

    let control_wake = Wake::new().map_err(sentence("eventfd"))?;
    let engine_wake = Wake::new().map_err(sentence("eventfd"))?;
    let (outbox, outgoing) = Outbox::new(control_wake.clone());
    let mut journal_config = JournalConfig::new(&config.journal_dir, &config.keys_dir);
    journal_config.segment_bytes = config.segment_bytes;
    journal_config.sync_interval = Duration::from_millis(config.sync_interval_ms);
    journal_config.journal_max_bytes = config.journal_max_bytes;
    journal_config.disk_reserve_bytes = config.disk_reserve_bytes;
    journal_config.buffer_bytes = config.buffer_bytes;
    let told = outbox.clone();
    let journal = Journal::open(journal_config, move |event| {
        let JournalEvent::Able { able, why } = event;
        log::warning("able", json!({"able": able, "why": why}));
        told.event("able", json!({"able": able, "why": why}));
    })
    .map_err(|error| error.to_string())?;

    let totals = Arc::new(Totals::default());
    let (orders, received) = crossbeam_channel::bounded(ORDERS_MAX);
    let entropy = entropy();
    let clock = Clock::new();
    let mut ports = Ports::new(&config.addresses, config.port_min, config.port_max, config.quarantine_ms as i64 * 1_000_000);
    let mut adopted = 0;
    let mut manager = ServiceManager::from_environment();
    let (landing, left) = open_landing(&mut inherited, &mut manager).map_err(sentence("cannot make shared memory"))?;
    for (rtp, rtcp) in pair_up(inherited) {
        adopted += usize::from(ports.adopt(rtp, rtcp, clock.now_ns).is_some());
    }
    let mut engine = Engine::new(Parts {
        ports,
        journal: journal.clone(),
        outbox: outbox.clone(),
        shared: totals.clone(),
        manager,
        landing,
        journal_dir: config.journal_dir.clone(),
        keys_dir: config.keys_dir.clone(),
        silent_after_ns: config.silent_after_ms.min(86_400_000) as i64 * 1_000_000,
        seed: (entropy >> 64) as u64,
    });

    let (started, starts) = crossbeam_channel::bounded(1);
    let (flush_ms, receive, cpu) = (config.sync_interval_ms, config.receive, config.cpu);
    let network_wake = engine_wake.clone();
    let network = std::thread::Builder::new()
        .name("network".into())
        .spawn(move || -> io::Result<()> {
            if let Some(cpu) = cpu {
                if let Err(error) = kernel::pin_to_cpu(cpu) {
                    log::warning("not_pinned", json!({"cpu": cpu, "error": error.to_string()}));
                }
            }
            let intake = match open_intake(receive) {
                Ok(intake) => intake,
                Err(error) => {
                    let _ = started.send(Err(error.to_string()));
                    return Ok(());
                }
            };
            let ended = engine.recover(&left);
            let _ = started.send(Ok((intake.name(), ended)));
            engine.run(intake, &received, &network_wake, flush_ms)
        })
        .map_err(sentence("cannot start the network thread"))?;
    let (receive, ended) = starts
        .recv()
        .map_err(|_| "the network thread ended at its start".to_string())?
        .map_err(|error| format!("receive: io_uring does not work here ({error}); set it to auto or recvmmsg"))?;

    let listener = listen(&config.control_socket()).map_err(sentence("control socket"))?;
    let boot = boot_ulid(clock.utc_ns(), entropy);
    let control = Control {
        listener,
        wake: control_wake.clone(),
        outgoing,
        outbox,
        orders,
        engine_wake,
        journal: journal.clone(),
        totals: totals.clone(),
        boot: boot.clone(),
        receive,
        ended,
    };
    let control = std::thread::Builder::new()
        .name("control".into())
        .spawn(move || control.run())
        .map_err(sentence("cannot start the control thread"))?;
    ServiceManager::from_environment().notify("READY=1");
    log::info("ready", json!({"boot": boot, "receive": receive, "sockets_inherited": 2 * adopted, "descriptors": limit}));

    // A thread that ends before the signal has failed; the process must not go on without it.
    let mut ready = Vec::new();
    while !network.is_finished() && !control.is_finished() {
        let interest = [Interest { descriptor: signals.as_raw_fd(), write: false }];
        kernel::poll_ready(&interest, 200, &mut ready).map_err(sentence("cannot wait for signals"))?;
        if ready[0].read {
            break;
        }
    }
    ServiceManager::from_environment().notify("STOPPING=1");
    totals.stopping.store(true, Relaxed);
    control_wake.wake();
    let control_died = control.join().is_err();
    // The control thread held the sending end of the orders: the network thread sees its end, flushes and stops.
    let network_result = network.join();
    journal.close();
    match network_result {
        Ok(Ok(())) if !control_died => {
            log::info("stopped", json!({}));
            Ok(())
        }
        Ok(Err(error)) => Err(format!("the network thread failed: {error}")),
        _ => Err("a thread died; see the message above".into()),
    }
}
