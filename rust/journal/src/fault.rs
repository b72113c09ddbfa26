//! Planted faults and mutants, for the torture harness only (cargo feature `faults`); without the feature all of it is nothing.
//!
//! `CALLWARD_FAULT` holds any of these, joined by commas: the mutants `ack_before_sync`, `skip_crc`, `retry_fsync`; `eio@N` (the N-th
//! data sync fails), `enospc@N:M` (of the disk allocations and writes, M fail from the N-th on), `slow_sync=MS`, `kill@NAME:N`
//! (SIGKILL to itself at the N-th passage of the failpoint NAME). `CALLWARD_POWER_LOG` names the file in which [`crate::disk`]
//! notes what a power loss would undo.

#[cfg(not(feature = "faults"))]
mod off {
    #[inline(always)]
    pub(crate) fn point(_name: &str) {}
    #[inline(always)]
    pub(crate) fn mutant(_name: &str) -> bool {
        false
    }
}

#[cfg(not(feature = "faults"))]
pub(crate) use off::{mutant, point};

#[cfg(feature = "faults")]
mod on {
    use std::collections::HashMap;
    use std::io;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::{Mutex, OnceLock};
    use std::time::Duration;

    #[derive(Debug, Default)]
    pub(crate) struct Plan {
        mutants: Vec<String>,
        kill: Option<(String, u64)>,
        eio: Option<u64>,
        enospc: Option<(u64, u64)>,
        slow_sync: Option<Duration>,
        passed: Mutex<HashMap<String, u64>>,
        syncs: AtomicU64,
        writes: AtomicU64,
    }

    fn number(text: &str) -> u64 {
        text.parse().unwrap_or_else(|_| panic!("CALLWARD_FAULT: {text:?} is not a number"))
    }

    fn plan() -> &'static Plan {
        static PLAN: OnceLock<Plan> = OnceLock::new();
        PLAN.get_or_init(|| {
            let mut plan = Plan::default();
            for word in std::env::var("CALLWARD_FAULT").unwrap_or_default().split(',').filter(|word| !word.is_empty()) {
                if let Some(rest) = word.strip_prefix("kill@") {
                    let (name, nth) = rest.split_once(':').unwrap_or((rest, "1"));
                    plan.kill = Some((name.to_owned(), number(nth)));
                } else if let Some(rest) = word.strip_prefix("eio@") {
                    plan.eio = Some(number(rest));
                } else if let Some(rest) = word.strip_prefix("enospc@") {
                    let (from, many) = rest.split_once(':').unwrap_or((rest, "1"));
                    plan.enospc = Some((number(from), number(many)));
                } else if let Some(rest) = word.strip_prefix("slow_sync=") {
                    plan.slow_sync = Some(Duration::from_millis(number(rest)));
                } else {
                    plan.mutants.push(word.to_owned());
                }
            }
            plan
        })
    }

    pub(crate) fn mutant(name: &str) -> bool {
        plan().mutants.iter().any(|known| known == name)
    }

    pub(crate) fn point(name: &str) {
        let plan = plan();
        let Some((wanted, nth)) = &plan.kill else {
            return;
        };
        if wanted != name {
            return;
        }
        let mut passed = plan.passed.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let count = passed.entry(name.to_owned()).or_insert(0);
        *count += 1;
        if *count == *nth {
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
            std::thread::sleep(Duration::from_secs(10));
        }
    }

    /// Before a write or an allocation.
    pub(crate) fn before_write() -> io::Result<()> {
        let plan = plan();
        let count = plan.writes.fetch_add(1, Ordering::Relaxed) + 1;
        match plan.enospc {
            Some((from, many)) if count >= from && count < from + many => Err(io::Error::from_raw_os_error(28)),
            _ => Ok(()),
        }
    }

    /// Before a data sync: slow, or failed.
    pub(crate) fn before_sync() -> io::Result<()> {
        let plan = plan();
        if let Some(pause) = plan.slow_sync {
            std::thread::sleep(pause);
        }
        let count = plan.syncs.fetch_add(1, Ordering::Relaxed) + 1;
        match plan.eio {
            Some(nth) if count == nth => Err(io::Error::from_raw_os_error(5)),
            _ => Ok(()),
        }
    }
}

#[cfg(feature = "faults")]
pub(crate) use on::{before_sync, before_write, mutant, point};
