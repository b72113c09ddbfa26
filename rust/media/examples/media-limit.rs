//! The machine's own limit for benchmarks: receives from many sockets and writes what comes to a file, with nothing else: no source
//! check, no statistics, no encryption, no journal.
//!
//! media-limit --streams N --seconds S --output FILE [--address A] [--port-min P] [--receive io_uring|recvmmsg] [--cpu N]
//!
//! Prints `{"ports": [...]}` when it listens, and at the end one JSON line with what was received and what it cost.

use std::fs::File;
use std::io::Write;
use std::net::{IpAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use callward_media::kernel::{
    pin_to_cpu, raise_descriptor_limit, set_receive_options, thread_cpu_ns, Arrived, Intake, MultiMessage, Sink, Uring,
};
use lexopt::prelude::*;
use serde_json::json;

#[derive(Default)]
struct Taker {
    data: Vec<u8>,
    packets: u64,
    drops: Vec<u32>,
}

impl Sink for Taker {
    fn packet(&mut self, arrived: Arrived<'_>) {
        self.packets += 1;
        if arrived.kernel_drops != 0 {
            self.drops[arrived.socket as usize] = arrived.kernel_drops;
        }
        self.data.extend_from_slice(&arrived.stamp_ns.to_le_bytes());
        self.data.extend_from_slice(&arrived.socket.to_le_bytes());
        self.data.extend_from_slice(&(arrived.data.len() as u32).to_le_bytes());
        self.data.extend_from_slice(arrived.data);
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (mut streams, mut seconds, mut output, mut cpu) = (2usize, 10.0f64, String::from("/dev/null"), None);
    let (mut address, mut port_min, mut receive) = (IpAddr::from([127, 0, 0, 1]), 10_000u16, String::from("io_uring"));
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("streams") => streams = parser.value()?.parse()?,
            Long("seconds") => seconds = parser.value()?.parse()?,
            Long("output") => output = parser.value()?.string()?,
            Long("address") => address = parser.value()?.parse()?,
            Long("port-min") => port_min = parser.value()?.parse()?,
            Long("receive") => receive = parser.value()?.string()?,
            Long("cpu") => cpu = Some(parser.value()?.parse()?),
            other => return Err(other.unexpected().into()),
        }
    }
    raise_descriptor_limit();
    let mut sockets = Vec::new();
    let mut port = port_min;
    while sockets.len() < streams {
        if let Ok(socket) = UdpSocket::bind((address, port)) {
            set_receive_options(&socket, 512 << 10)?;
            sockets.push(socket);
        }
        port = port.checked_add(2).ok_or("no ports are left")?;
    }
    // The file is written by a thread of its own, as the journal does it.
    let (sender, blocks) = mpsc::sync_channel::<Vec<u8>>(64);
    let mut file = File::create(&output)?;
    let writer = std::thread::spawn(move || -> std::io::Result<i64> {
        for block in blocks {
            file.write_all(&block)?;
        }
        Ok(thread_cpu_ns())
    });
    if let Some(cpu) = cpu {
        pin_to_cpu(cpu)?;
    }
    let mut intake: Box<dyn Intake> = if receive == "recvmmsg" { Box::new(MultiMessage::new()?) } else { Box::new(Uring::new()?) };
    for (at, socket) in sockets.iter().enumerate() {
        intake.add(at as u32, socket.as_raw_fd())?;
    }
    let ports: Vec<u16> = sockets.iter().map(|socket| socket.local_addr().map(|local| local.port())).collect::<Result<_, _>>()?;
    println!("{}", json!({ "ports": ports }));
    std::io::stdout().flush()?;
    let mut taker = Taker { drops: vec![0; streams], ..Taker::default() };
    let tick = Duration::from_millis(intake.tick_ms() as u64);
    let begin = Instant::now();
    let cpu_begin = thread_cpu_ns();
    let mut next_write = begin + Duration::from_millis(100);
    while begin.elapsed().as_secs_f64() < seconds {
        std::thread::sleep(tick);
        intake.poll(&mut taker)?;
        if Instant::now() >= next_write {
            let size = taker.data.capacity();
            sender.send(std::mem::replace(&mut taker.data, Vec::with_capacity(size)))?;
            next_write += Duration::from_millis(100);
        }
    }
    let cpu_ns = thread_cpu_ns() - cpu_begin;
    sender.send(taker.data)?;
    drop(sender);
    let writer_cpu_ns = writer.join().map_err(|_| "the writer died")??;
    let per_packet = |ns: i64| ns as f64 / 1000.0 / taker.packets.max(1) as f64;
    println!(
        "{}",
        json!({
            "receive": intake.name(), "packets": taker.packets, "lost_kernel": taker.drops.iter().map(|one| *one as u64).sum::<u64>(),
            "seconds": seconds, "cpu_us_per_packet": per_packet(cpu_ns), "writer_cpu_us_per_packet": per_packet(writer_cpu_ns),
            "cpu_share": cpu_ns as f64 / 1e9 / seconds,
        })
    );
    Ok(())
}
