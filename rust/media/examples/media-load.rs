//! A generator of two-party G.711 calls for benchmarks: a packet each 20 ms and stream, paced evenly, with numbered content.
//!
//! media-load --ports FILE --seconds S [--address A] [--source-port P] [--payload-bytes 160] [--packet-ms 20] [--cpu N]
//!            [--start-sequence N] [--srtp SUITE --srtp-key BASE64]
//!
//! FILE has one destination port per line (two lines are a call); `-` reads standard input. All packets come from one address,
//! which is printed first: `{"source": "127.0.0.1:41000"}`; a line on standard input then starts the sending when FILE is not `-`
//! and `--wait` is given. At the end one JSON line tells what was sent.
//!
//! With `--srtp AES_CM_128_HMAC_SHA1_80` the packets are protected under one key for all streams. That is done before the first one is sent,
//! so that the generator stays as cheap as without: all packets are kept in memory (190 bytes each).

use std::io::{BufRead, Read, Write};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use callward_media::kernel::{pin_to_cpu, raw_address, thread_cpu_ns, SendBatch};
use callward_media::srtp::{MasterKey, Protector, Suite};
use lexopt::prelude::*;
use serde_json::json;

struct Options {
    ports: String,
    address: IpAddr,
    source_port: u16,
    seconds: f64,
    payload_bytes: usize,
    packet_ms: u64,
    cpu: Option<usize>,
    start_sequence: u16,
    wait: bool,
    srtp: Option<String>,
    srtp_key: String,
}

fn read_options() -> Result<Options, lexopt::Error> {
    let mut options = Options {
        ports: "-".into(),
        address: IpAddr::from([127, 0, 0, 1]),
        source_port: 0,
        seconds: 10.0,
        payload_bytes: 160,
        packet_ms: 20,
        cpu: None,
        start_sequence: 0,
        wait: false,
        srtp: None,
        srtp_key: String::new(),
    };
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("ports") => options.ports = parser.value()?.string()?,
            Long("address") => options.address = parser.value()?.parse()?,
            Long("source-port") => options.source_port = parser.value()?.parse()?,
            Long("seconds") => options.seconds = parser.value()?.parse()?,
            Long("payload-bytes") => options.payload_bytes = parser.value()?.parse()?,
            Long("packet-ms") => options.packet_ms = parser.value()?.parse()?,
            Long("cpu") => options.cpu = Some(parser.value()?.parse()?),
            Long("start-sequence") => options.start_sequence = parser.value()?.parse()?,
            Long("wait") => options.wait = true,
            Long("srtp") => options.srtp = Some(parser.value()?.string()?),
            Long("srtp-key") => options.srtp_key = parser.value()?.string()?,
            other => return Err(other.unexpected()),
        }
    }
    Ok(options)
}

/// The packet with this number of this stream: header, then stream and number again and again.
fn write_packet(out: &mut Vec<u8>, stream: u32, number: u64, options: &Options) {
    let sequence = (number as u16).wrapping_add(options.start_sequence);
    let timestamp = (number * options.packet_ms * 8) as u32;
    out.extend_from_slice(&[0x80, 8]);
    out.extend_from_slice(&sequence.to_be_bytes());
    out.extend_from_slice(&timestamp.to_be_bytes());
    out.extend_from_slice(&(stream + 1).to_be_bytes());
    let pattern = ((stream as u64) << 32 | (number & 0xffff_ffff)).to_be_bytes();
    while out.len() < 12 + options.payload_bytes {
        let rest = 12 + options.payload_bytes - out.len();
        out.extend_from_slice(&pattern[..rest.min(8)]);
    }
}

/// All packets of the run, protected, in the order of sending: those of one round one after the other, each of the same length.
struct Protected {
    bytes: Vec<u8>,
    streams: usize,
    length: usize,
}

impl Protected {
    fn make(options: &Options, suite: &str, streams: usize, rounds: u64) -> Result<Protected, Box<dyn std::error::Error>> {
        let suite = Suite::from_name(suite).ok_or("--srtp: no suite of this name")?;
        let master = MasterKey::from_base64(suite, &options.srtp_key, 0)?;
        let protector = Protector::new(&master);
        let length = 12 + options.payload_bytes + suite.rtp_tag_bytes();
        let mut bytes = Vec::with_capacity(length * streams * rounds as usize);
        let mut packet = Vec::with_capacity(length);
        for round in 0..rounds {
            for stream in 0..streams {
                packet.clear();
                write_packet(&mut packet, stream as u32, round, options);
                protector.protect(&mut packet, stream as u32 + 1, round + u64::from(options.start_sequence));
                bytes.extend_from_slice(&packet);
            }
        }
        Ok(Protected { bytes, streams, length })
    }

    fn packet(&self, stream: u32, round: u64) -> &[u8] {
        let at = (round as usize * self.streams + stream as usize) * self.length;
        &self.bytes[at..at + self.length]
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let options = read_options()?;
    if let Some(cpu) = options.cpu {
        pin_to_cpu(cpu)?;
    }
    let mut text = String::new();
    if options.ports == "-" {
        std::io::stdin().read_to_string(&mut text)?;
    } else {
        text = std::fs::read_to_string(&options.ports)?;
    }
    let targets: Vec<_> = text
        .split_whitespace()
        .map(|port| Ok(raw_address(SocketAddr::new(options.address, port.parse::<u16>()?))))
        .collect::<Result<_, std::num::ParseIntError>>()?;
    let rounds = (options.seconds * 1000.0 / options.packet_ms as f64) as u64;
    let protected = match &options.srtp {
        Some(suite) => Some(Protected::make(&options, suite, targets.len(), rounds)?),
        None => None,
    };
    let socket = UdpSocket::bind((options.address, options.source_port))?;
    println!("{}", json!({"source": socket.local_addr()?.to_string()}));
    std::io::stdout().flush()?;
    if options.wait && options.ports != "-" {
        std::io::stdin().lock().read_line(&mut String::new())?;
    }
    let mut batch = SendBatch::new(socket);
    let packet = Duration::from_millis(options.packet_ms);
    // The streams of one call and the calls themselves are spread evenly over the packet time.
    let slots = (options.packet_ms * 2).max(1);
    let per_slot = targets.len().div_ceil(slots as usize).max(1);
    let begin = Instant::now();
    let cpu_begin = thread_cpu_ns();
    let mut sent = 0u64;
    let mut latest = Duration::ZERO;
    for round in 0..rounds {
        for (slot, streams) in targets.chunks(per_slot).enumerate() {
            let due = begin + packet * round as u32 + packet * slot as u32 / slots as u32;
            let now = Instant::now();
            if now < due {
                std::thread::sleep(due - now);
            } else {
                latest = latest.max(now - due);
            }
            for (at, target) in streams.iter().enumerate() {
                let stream = (slot * per_slot + at) as u32;
                batch.push(target, |out| match &protected {
                    Some(protected) => out.extend_from_slice(protected.packet(stream, round)),
                    None => write_packet(out, stream, round, &options),
                })?;
                sent += 1;
            }
            batch.flush()?;
        }
    }
    let cpu_ns = thread_cpu_ns() - cpu_begin;
    println!(
        "{}",
        json!({
            "streams": targets.len(), "packets_per_stream": rounds, "packets": sent - batch.refused, "refused": batch.refused,
            "seconds": begin.elapsed().as_secs_f64(), "latest_ms": latest.as_secs_f64() * 1000.0,
            "cpu_us_per_packet": cpu_ns as f64 / 1000.0 / sent.max(1) as f64,
        })
    );
    Ok(())
}
