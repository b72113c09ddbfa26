//! The campaigns: who is killed when, and what must hold afterwards.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use callward_journal::TrackId;

use crate::oracle::Oracle;
use crate::power;
use crate::random::Random;

/// Every step of the journal at which it can kill itself.
const POINTS: [&str; 28] = [
    "open.locked",
    "open.key",
    "open.ring",
    "open.cut",
    "open.orphans",
    "open.checkpoint",
    "open.checkpoint_synced",
    "open.freed",
    "key.write",
    "key.sync",
    "key.synced",
    "append.before_write",
    "append.after_write",
    "sync.before",
    "sync.after",
    "ack.after",
    "roll.synced",
    "roll.renamed",
    "roll.done",
    "spare.made",
    "evacuate.appended",
    "evacuate.synced",
    "evacuate.done",
    "release.begin",
    "release.erased",
    "release.synced",
    "segment.delete",
    "segment.deleted",
];

/// What the command line says.
#[derive(Clone, Debug)]
pub struct Options {
    pub dir: PathBuf,
    pub keep: bool,
    pub seed: u64,
    pub kills: u64,
    pub tracks: usize,
    pub seconds: u64,
    pub segment_bytes: u64,
    pub live_segments: usize,
    pub sync_ms: u64,
    pub tick_ms: u64,
    pub packets_per_tick: u64,
    pub duration_ms: u64,
}

impl Options {
    /// `--name value` pairs; a bad one ends the program.
    pub fn parse(mut words: impl Iterator<Item = String>) -> Self {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(1, |since| since.as_nanos() as u64);
        let mut options = Self {
            dir: std::env::temp_dir().join(format!("callward-torture-{}", std::process::id())),
            keep: false,
            seed: now & 0xffff_ffff,
            kills: 20,
            tracks: 24,
            seconds: 5,
            segment_bytes: 1 << 20,
            live_segments: 4,
            sync_ms: 5,
            tick_ms: 2,
            packets_per_tick: 3,
            duration_ms: 60_000,
        };
        while let Some(word) = words.next() {
            let value = words.next().unwrap_or_default();
            let number = || value.parse::<u64>().unwrap_or_else(|_| fail(&format!("{word} wants a number, not {value:?}")));
            match word.as_str() {
                "--dir" => (options.dir, options.keep) = (PathBuf::from(&value), true),
                "--seed" => options.seed = number(),
                "--kills" => options.kills = number(),
                "--tracks" => options.tracks = number() as usize,
                "--seconds" => options.seconds = number(),
                "--segment-bytes" => options.segment_bytes = number(),
                "--live-segments" => options.live_segments = number() as usize,
                "--sync-ms" => options.sync_ms = number(),
                "--tick-ms" => options.tick_ms = number(),
                "--packets-per-tick" => options.packets_per_tick = number(),
                "--duration-ms" => options.duration_ms = number(),
                _ => fail(&format!("unknown option {word}")),
            }
        }
        options
    }
}

fn fail(why: &str) -> ! {
    eprintln!("journal-torture: {why}");
    std::process::exit(2)
}

/// One journal under torture, and its oracle.
struct Bench<'o> {
    options: &'o Options,
    dir: PathBuf,
    random: Random,
    oracle: Oracle,
}

struct Running {
    child: Child,
    lines: Receiver<String>,
}

impl Running {
    /// Reads what the child says until it has ended, or kills it at `until`.
    fn follow(mut self, until: Option<Instant>, mut hear: impl FnMut(&str)) -> (ExitStatus, bool) {
        let mut killed = false;
        loop {
            let wait = until.map_or(Duration::from_secs(60), |until| until.saturating_duration_since(Instant::now()));
            match self.lines.recv_timeout(if killed { Duration::from_secs(60) } else { wait }) {
                Ok(line) => hear(&line),
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    let _ = self.child.kill();
                    killed = true;
                }
            }
        }
        (self.child.wait().expect("the child can be waited for"), killed)
    }
}

impl<'o> Bench<'o> {
    fn new(options: &'o Options, name: &str, seed: u64) -> Self {
        let dir = options.dir.join(name);
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap_or_else(|error| fail(&format!("cannot create {}: {error}", dir.display())));
        Self { options, dir, random: Random(seed), oracle: Oracle::default() }
    }

    fn start(&mut self, verb: &str, fault: &str) -> Running {
        let options = self.options;
        let mut child = Command::new(std::env::current_exe().expect("this program has a path"))
            .arg(verb)
            .args(["--dir", &self.dir.display().to_string()])
            .args(["--seed", &(self.random.next() >> 1).to_string()])
            .args(["--tracks", &options.tracks.to_string()])
            .args(["--segment-bytes", &options.segment_bytes.to_string()])
            .args(["--live-segments", &options.live_segments.to_string()])
            .args(["--sync-ms", &options.sync_ms.to_string()])
            .args(["--tick-ms", &options.tick_ms.to_string()])
            .args(["--packets-per-tick", &options.packets_per_tick.to_string()])
            .args(["--duration-ms", &options.duration_ms.to_string()])
            .env("CALLWARD_FAULT", fault)
            .env("CALLWARD_POWER_LOG", self.dir.join("power.log"))
            .env("RUST_BACKTRACE", "0")
            .stdout(Stdio::piped())
            .stderr(if fault.is_empty() { Stdio::inherit() } else { Stdio::null() })
            .spawn()
            .expect("the child starts");
        let out = child.stdout.take().expect("stdout is piped");
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            // A last line that the kill has cut says nothing.
            let mut reader = BufReader::new(out);
            let mut line = String::new();
            while reader.read_line(&mut line).is_ok_and(|read| read > 0) {
                if !line.ends_with('\n') || sender.send(line.trim_end().to_owned()).is_err() {
                    return;
                }
                line.clear();
            }
        });
        Running { child, lines }
    }

    /// Loads the journal and kills it after `delay`; gives how the child ended and whether this was our kill.
    fn load(&mut self, fault: &str, delay: Duration) -> (ExitStatus, bool) {
        let running = self.start("child", fault);
        let oracle = &mut self.oracle;
        running.follow(Some(Instant::now() + delay), |line| oracle.hear(line))
    }

    fn lose_power(&mut self) {
        power::lose(&self.dir.join("power.log"), &mut self.random);
    }

    /// Starts the journal once more, as it is after the kill, and compares.
    fn recover_and_verify(&mut self, fault: &str) -> Result<(), String> {
        let mut found: HashMap<TrackId, (u64, String)> = HashMap::new();
        let mut whole = false;
        let running = self.start("recover", fault);
        let (status, _) = running.follow(Some(Instant::now() + Duration::from_secs(60)), |line| {
            let words: Vec<&str> = line.split(' ').collect();
            whole |= line == "E";
            if let ["B", track, position, state] = words[..] {
                if let (Ok(track), Ok(position)) = (track.parse(), position.parse()) {
                    found.insert(track, (position, state.to_owned()));
                }
            }
        });
        if !whole {
            return Err(format!("the journal does not open any more ({status})"));
        }
        self.oracle.verify(&self.dir, &found)
    }
}

fn milliseconds(random: &mut Random, from: u64, to: u64) -> Duration {
    Duration::from_micros(from * 1000 + random.below((to - from) * 1000))
}

fn finish(options: &Options, passed: bool) -> bool {
    if !options.keep && passed {
        let _ = fs::remove_dir_all(&options.dir);
    }
    if !passed {
        println!("kept for a look: {}", options.dir.display());
    }
    passed
}

/// Kills at random times, every other one with a power loss, some of them during recovery.
pub fn run(options: &Options) -> bool {
    println!("seed {}", options.seed);
    let mut bench = Bench::new(options, "run", options.seed);
    let (mut power_losses, mut during_recovery) = (0u64, 0u64);
    for kill in 1..=options.kills {
        let delay = milliseconds(&mut bench.random, 30, 400);
        let (status, ours) = bench.load("", delay);
        if !ours {
            println!("kill {kill}: the child ended by itself: {status}");
            return finish(options, false);
        }
        let power = bench.random.once_in(2);
        if power {
            bench.lose_power();
            power_losses += 1;
        }
        if bench.random.once_in(3) {
            let delay = milliseconds(&mut bench.random, 0, 25);
            bench.start("recover", "").follow(Some(Instant::now() + delay), |_| {});
            during_recovery += 1;
            if bench.random.once_in(2) {
                bench.lose_power();
            }
        }
        if let Err(why) = bench.recover_and_verify("") {
            println!("kill {kill} (power loss: {power}): {why}");
            println!("acknowledged bytes lost: {}", bench.oracle.lost_acked_bytes);
            return finish(options, false);
        }
    }
    let oracle = &bench.oracle;
    println!("kills {} (power losses {power_losses}, killed again during recovery {during_recovery})", options.kills);
    println!("acknowledged bytes compared {}, lost {}", oracle.acked_bytes_checked, oracle.lost_acked_bytes);
    println!("unacknowledged packets lost per kill {:.1} of {} tracks", oracle.lost_packets as f64 / options.kills as f64, options.tracks);
    finish(options, oracle.lost_acked_bytes == 0 && oracle.acked_bytes_checked > 0)
}

/// A kill at each failpoint, with and without power loss.
pub fn points(options: &Options) -> bool {
    println!("seed {}", options.seed);
    let mut passed = true;
    let mut never = Vec::new();
    let mut bench = Bench::new(options, "points", options.seed);
    for point in POINTS {
        let fresh = matches!(point, "open.key" | "open.ring" | "spare.made");
        if fresh {
            bench = Bench::new(options, "points", bench.random.next());
        } else if point.starts_with("open.") {
            // Something to recover from first.
            bench.load("", Duration::from_millis(150));
        }
        let nth = if point.starts_with("open.") || point.starts_with("evacuate") || point == "spare.made" {
            1
        } else {
            1 + bench.random.below(3)
        };
        let (status, ours) = bench.load(&format!("kill@{point}:{nth}"), Duration::from_millis(2500));
        if ours || status.signal() != Some(9) {
            never.push(point);
        }
        if bench.random.once_in(2) {
            bench.lose_power();
        }
        if let Err(why) = bench.recover_and_verify("") {
            println!("killed at {point}: {why}");
            passed = false;
            break;
        }
    }
    println!("failpoints {}, not reached: {never:?}", POINTS.len());
    println!("acknowledged bytes compared {}, lost {}", bench.oracle.acked_bytes_checked, bench.oracle.lost_acked_bytes);
    finish(options, passed && never.is_empty())
}

/// Full disk: waits and goes on. Failed sync: the process ends at once. Slow sync: nothing is lost.
pub fn faults(options: &Options) -> bool {
    println!("seed {}", options.seed);
    let mut passed = true;
    for (name, fault) in [("full disk", "enospc@30:40"), ("failing sync", "eio@40"), ("slow sync", "slow_sync=30")] {
        let mut bench = Bench::new(options, "faults", options.seed);
        let (status, ours) = bench.load(fault, Duration::from_millis(1500));
        let ended_as_wanted = if name == "failing sync" { !ours && status.signal() == Some(6) } else { ours };
        bench.lose_power();
        let verdict = bench.recover_and_verify("");
        let checked = bench.oracle.acked_bytes_checked;
        println!(
            "{name}: acknowledged bytes compared {checked}, lost {}; {}",
            bench.oracle.lost_acked_bytes,
            verdict.as_ref().err().map_or("as it must be", |why| why)
        );
        if !ended_as_wanted {
            println!("{name}: the child ended with {status}");
        }
        passed &= ended_as_wanted && verdict.is_ok() && checked > 0;
    }
    finish(options, passed)
}

/// The long form: several hundred kills, each failpoint several times, and what a group costs with 1,000 tracks.
pub fn long(options: &Options) -> bool {
    let mut passed = true;
    let kills = if options.kills == 20 { 200 } else { options.kills };
    passed &= run(&Options { kills, ..options.clone() });
    // Fewer, larger groups: as in real life.
    let wide = Options {
        kills: kills / 5,
        tracks: 300,
        sync_ms: 50,
        tick_ms: 10,
        segment_bytes: 4 << 20,
        seed: options.seed + 1,
        ..options.clone()
    };
    passed &= run(&wide);
    for round in 0..3 {
        passed &= points(&Options { seed: options.seed + round, ..options.clone() });
        passed &= faults(&Options { seed: options.seed + round, ..options.clone() });
        passed &= mutants(&Options { seed: options.seed + round, ..options.clone() });
    }
    println!("--- 1,000 tracks");
    passed & crate::bench::bench(&Options { tracks: 1000, seconds: 10, ..options.clone() })
}

/// Each deliberately broken build must be caught, and the right build must pass the same treatment.
pub fn mutants(options: &Options) -> bool {
    println!("seed {}", options.seed);
    let mut passed = true;
    for mutant in ["ack_before_sync", "skip_crc", "retry_fsync"] {
        let mut caught = None;
        for attempt in 0..12 {
            let mut bench = Bench::new(options, "mutants", options.seed.wrapping_add(attempt));
            let nth = 20 + bench.random.below(30);
            let (during, after) = match mutant {
                "ack_before_sync" => (format!("{mutant},slow_sync=20"), ""),
                "skip_crc" => (format!("kill@sync.before:{nth}"), mutant),
                _ => (format!("{mutant},eio@{nth}"), ""),
            };
            bench.load(&during, Duration::from_millis(600));
            bench.lose_power();
            if let Err(why) = bench.recover_and_verify(after) {
                caught = Some((attempt + 1, why));
                break;
            }
        }
        match caught {
            Some((attempts, why)) => println!("{mutant}: caught at attempt {attempts}: {why}"),
            None => {
                println!("{mutant}: NOT caught");
                passed = false;
            }
        }
    }
    finish(options, passed)
}
