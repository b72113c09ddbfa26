//! The command line of `callward-media`.
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use callward_media::config::Config;
use callward_media::serve::serve;

const USAGE: &str = "\
Receives and stores media; commanded over a unix socket (docs/reference/media-protocol.md).

Usage:
  callward-media serve --config FILE
  callward-media extract --journal DIR --keys DIR --track ULID --output FILE [--partial]
  callward-media list --journal DIR --keys DIR
  callward-media check --journal DIR
  callward-media --version
";

#[derive(Default)]
struct Arguments {
    config: Option<PathBuf>,
    journal: Option<PathBuf>,
    keys: Option<PathBuf>,
    track: Option<String>,
    output: Option<PathBuf>,
    partial: bool,
}

fn needed<T>(value: Option<T>, option: &str) -> Result<T, String> {
    value.ok_or_else(|| format!("{option} is missing; see callward-media --help"))
}

fn read_arguments(mut parser: lexopt::Parser) -> Result<Arguments, lexopt::Error> {
    use lexopt::prelude::*;
    let mut arguments = Arguments::default();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("config") => arguments.config = Some(parser.value()?.into()),
            Long("journal") => arguments.journal = Some(parser.value()?.into()),
            Long("keys") => arguments.keys = Some(parser.value()?.into()),
            Long("track") => arguments.track = Some(parser.value()?.string()?),
            Long("output") => arguments.output = Some(parser.value()?.into()),
            Long("partial") => arguments.partial = true,
            other => return Err(other.unexpected()),
        }
    }
    Ok(arguments)
}

fn run(command: &str, arguments: Arguments) -> Result<ExitCode, String> {
    match command {
        "serve" => serve(&Config::load(&needed(arguments.config, "--config")?)?)?,
        "extract" => {
            let track = needed(arguments.track, "--track")?.parse().map_err(|error: callward_journal::JournalError| error.to_string())?;
            let extracted = callward_journal::extract(
                &needed(arguments.journal, "--journal")?,
                &needed(arguments.keys, "--keys")?,
                track,
                &needed(arguments.output, "--output")?,
                arguments.partial,
            )
            .map_err(|error| error.to_string())?;
            println!("{}", to_line(&extracted)?);
        }
        "list" => {
            let tracks = callward_journal::list(&needed(arguments.journal, "--journal")?, &needed(arguments.keys, "--keys")?)
                .map_err(|error| error.to_string())?;
            for track in &tracks {
                println!("{}", to_line(track)?);
            }
        }
        "check" => {
            let report = callward_journal::check(&needed(arguments.journal, "--journal")?).map_err(|error| error.to_string())?;
            println!("{}", to_line(&report)?);
            if !report.ok {
                return Ok(ExitCode::from(1));
            }
        }
        other => return Err(format!("there is no command {other:?}; see callward-media --help")),
    }
    Ok(ExitCode::SUCCESS)
}

fn to_line(value: &impl serde::Serialize) -> Result<String, String> {
    serde_json::to_string(value).map_err(|error| error.to_string())
}

fn main() -> ExitCode {
    let mut parser = lexopt::Parser::from_env();
    let command: OsString = match parser.next() {
        Ok(Some(lexopt::Arg::Value(command))) => command,
        Ok(Some(lexopt::Arg::Long("version") | lexopt::Arg::Short('V'))) => {
            println!("callward-media {}", env!("CARGO_PKG_VERSION"));
            return ExitCode::SUCCESS;
        }
        Ok(Some(lexopt::Arg::Long("help") | lexopt::Arg::Short('h'))) => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    let arguments = match read_arguments(parser) {
        Ok(arguments) => arguments,
        Err(error) => {
            eprintln!("callward-media: {error}");
            return ExitCode::from(2);
        }
    };
    match run(&command.to_string_lossy(), arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("callward-media: {error}");
            ExitCode::from(1)
        }
    }
}
