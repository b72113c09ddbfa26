//! The settings of `callward-media serve`: one JSON file, written by whoever starts the process.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the control socket `media.sock` and its lock file are.
    pub runtime_dir: PathBuf,
    pub journal_dir: PathBuf,
    pub keys_dir: PathBuf,
    /// Local addresses that tracks may name.
    pub addresses: Vec<IpAddr>,
    pub port_min: u16,
    pub port_max: u16,
    #[serde(default = "default_sync_interval_ms")]
    pub sync_interval_ms: u64,
    #[serde(default = "default_segment_bytes")]
    pub segment_bytes: u64,
    #[serde(default = "default_journal_max_bytes")]
    pub journal_max_bytes: u64,
    #[serde(default = "default_disk_reserve_bytes")]
    pub disk_reserve_bytes: u64,
    /// The processor of the network thread; null: any.
    #[serde(default)]
    pub cpu: Option<usize>,
    #[serde(default)]
    pub receive: Receive,
    /// How long the ports of an ended track are drained before they are used again.
    #[serde(default = "default_quarantine_ms")]
    pub quarantine_ms: u64,
    /// Without a packet for so long, `media_silent` is sent.
    #[serde(default = "default_silent_after_ms")]
    pub silent_after_ms: u64,
    /// How much may wait for the disk before packets are dropped.
    #[serde(default = "default_buffer_bytes")]
    pub buffer_bytes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Receive {
    #[default]
    Auto,
    IoUring,
    Recvmmsg,
}

fn default_sync_interval_ms() -> u64 {
    100
}
fn default_segment_bytes() -> u64 {
    64 << 20
}
fn default_journal_max_bytes() -> u64 {
    64 << 30
}
fn default_disk_reserve_bytes() -> u64 {
    1 << 30
}
fn default_quarantine_ms() -> u64 {
    5_000
}
fn default_silent_after_ms() -> u64 {
    10_000
}
/// 10 s of 5,000 two-party G.711 calls are 1 GiB.
fn default_buffer_bytes() -> u64 {
    1 << 30
}

impl Config {
    /// Reads and checks the file; the error is a sentence with the key that is wrong.
    pub fn load(path: &Path) -> Result<Config, String> {
        let text = std::fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        let config: Config = serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), String> {
        if self.addresses.is_empty() {
            return Err("addresses: name at least one local address".into());
        }
        if self.port_min < 1024 || self.port_max <= self.port_min {
            return Err("port_min, port_max: a range above 1023 with room for one even and one odd port is needed".into());
        }
        if !(1..=10_000).contains(&self.sync_interval_ms) {
            return Err("sync_interval_ms: from 1 to 10000".into());
        }
        if self.quarantine_ms > 3_600_000 {
            return Err("quarantine_ms: at most an hour".into());
        }
        Ok(())
    }

    pub fn control_socket(&self) -> PathBuf {
        self.runtime_dir.join("media.sock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Config::load(file.path())
    }

    const SOUND: &str = r#""runtime_dir":"/r","journal_dir":"/j","keys_dir":"/k","addresses":["127.0.0.1","::1"]"#;

    #[test]
    fn defaults_are_filled_in() {
        let config = parse(&format!(r#"{{{SOUND},"port_min":10000,"port_max":29999,"cpu":null,"receive":"io_uring"}}"#)).unwrap();
        assert_eq!(config.sync_interval_ms, 100);
        assert_eq!(config.receive, Receive::IoUring);
        assert_eq!(config.control_socket(), PathBuf::from("/r/media.sock"));
    }

    #[test]
    fn the_wrong_key_is_named() {
        assert!(parse(&format!(r#"{{{SOUND},"port_min":10000,"port_max":29999,"colour":1}}"#)).unwrap_err().contains("colour"));
        assert!(parse(&format!(r#"{{{SOUND},"port_min":10000,"port_max":9}}"#)).unwrap_err().contains("port_max"));
        assert!(parse(&format!(r#"{{{SOUND},"port_min":10000}}"#)).unwrap_err().contains("port_max"));
    }
}
