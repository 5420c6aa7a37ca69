//! Ports for servers that a test starts. A port that the kernel picked and got back may be any connection's before the
//! server listens there: these lie below the kernel's own, and no two tests are given the same one, since all of them
//! count in one file.

use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::net::{TcpListener, UdpSocket};

use anyhow::{Result, bail};

use crate::broker;

/// Clear of well-known ones, of those of the [`broker`](crate::broker), and of the kernel's.
const PORTS: std::ops::Range<u16> = 11_000..21_000;

/// A port at which nothing listens, for TCP and for UDP.
pub fn free() -> Result<u16> {
    let path = broker::root()?.join("last-port");
    let mut counter = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)?;
    counter.lock()?;
    let mut last = String::new();
    counter.read_to_string(&mut last)?;
    let last = last.trim().parse().ok();
    let mut port = last
        .filter(|last| PORTS.contains(last))
        .unwrap_or(PORTS.start);
    for _ in PORTS {
        port = Some(port + 1)
            .filter(|next| PORTS.contains(next))
            .unwrap_or(PORTS.start);
        if TcpListener::bind(("0.0.0.0", port)).is_ok()
            && UdpSocket::bind(("0.0.0.0", port)).is_ok()
        {
            counter.set_len(0)?;
            counter.rewind()?;
            counter.write_all(port.to_string().as_bytes())?;
            return Ok(port);
        }
    }
    bail!("no port is free")
}
