//! What stands before an edge node: everybody passes, and the authority waits while it is closed. So a worker can be killed
//! exactly while its challenge is asked for.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};

/// What pebble says it is.
const AUTHORITY: &str = "pebble";
const MAX_HEAD: usize = 64 * 1024;
const SILENT: Duration = Duration::from_secs(30);

#[derive(Default)]
struct State {
    closed: bool,
    /// The paths that the authority has asked for.
    asked: Vec<String>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    opened: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub struct Gate(Arc<Shared>);

impl Gate {
    /// Port 80 of the address leads to another one of the same.
    pub fn before(address: &str, port: u16) -> Result<Self> {
        let shared = Arc::<Shared>::default();
        let listener = TcpListener::bind((address, 80)).context("port 80 for the authority")?;
        let (own, address) = (Arc::clone(&shared), address.to_owned());
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (own, address) = (Arc::clone(&own), address.clone());
                // Who goes away in the middle is not waited for.
                std::thread::spawn(move || drop(pass(&own, client, (&address, port))));
            }
        });
        Ok(Self(shared))
    }

    pub fn close(&self) {
        self.0.lock().closed = true;
    }

    pub fn open(&self) {
        self.0.lock().closed = false;
        self.0.opened.notify_all();
    }

    pub fn asked(&self) -> Vec<String> {
        self.0.lock().asked.clone()
    }
}

fn pass(shared: &Shared, mut client: TcpStream, to: (&str, u16)) -> Result<()> {
    client.set_read_timeout(Some(SILENT))?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < MAX_HEAD {
        let mut byte = [0];
        client.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let text = String::from_utf8_lossy(&head).to_lowercase();
    if text.contains(AUTHORITY) {
        let path = String::from_utf8_lossy(&head);
        let path = path.split(' ').nth(1).unwrap_or_default().to_owned();
        let mut state = shared.lock();
        state.asked.push(path);
        while state.closed {
            let waited = shared.opened.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }
    let mut server = TcpStream::connect(to)?;
    server.write_all(&head)?;
    let (mut from, mut back) = (server.try_clone()?, client.try_clone()?);
    let answering = std::thread::spawn(move || {
        drop(std::io::copy(&mut from, &mut back));
        drop(back.shutdown(Shutdown::Both));
    });
    drop(std::io::copy(&mut client, &mut server));
    drop(server.shutdown(Shutdown::Write));
    drop(answering.join());
    Ok(())
}
