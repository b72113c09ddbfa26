//! Torture harness of the audio journal: kills it, pulls its power, fills its disk, and compares what is left with what was acknowledged.
//!
//! The oracle is this process; the journal runs in children that are killed. Every run prints its seed.
#![forbid(unsafe_code)]

mod bench;
mod child;
mod oracle;
mod plan;
mod power;
mod random;

use std::process::ExitCode;

const USAGE: &str = "journal-torture run [--seed N] [--kills N] [--dir DIR]   random kills and power losses
journal-torture points [--seed N] [--dir DIR]            a kill at every failpoint
journal-torture faults [--seed N] [--dir DIR]            full disk, failing and slow sync
journal-torture mutants [--seed N] [--dir DIR]           each broken build must be caught
journal-torture long [--seed N] [--kills N] [--dir DIR]  all of these at length, and the sync times of 1,000 tracks
journal-torture bench [--tracks N] [--seconds N] [--dir DIR]
(child, recover: started by the harness itself)";

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let Some(verb) = words.next() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let options = plan::Options::parse(words);
    let passed = match verb.as_str() {
        "child" => child::generate(&options),
        "recover" => child::recover(&options),
        "run" => plan::run(&options),
        "points" => plan::points(&options),
        "faults" => plan::faults(&options),
        "mutants" => plan::mutants(&options),
        "long" => plan::long(&options),
        "bench" => bench::bench(&options),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    if passed {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
