//! A wire between a client and the broker that the test can cut, silence and mend.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::Result;

const TICK: Duration = Duration::from_millis(20);

/// Passes bytes on between whoever connects to `port` and the target. Dropping it cuts everything.
pub struct Proxy {
    port: u16,
    wire: Arc<Wire>,
}

#[derive(Default)]
struct Wire {
    /// New connections are closed at once.
    cut: AtomicBool,
    /// Connections stay open, and nothing passes.
    silent: AtomicBool,
    ended: AtomicBool,
    joined: AtomicUsize,
    /// Both sides of each connection, under the connection's number.
    open: Mutex<Vec<(usize, TcpStream)>>,
}

impl Proxy {
    pub fn to(target: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let wire = Arc::new(Wire::default());
        let accepting = Arc::clone(&wire);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if accepting.ended.load(Ordering::SeqCst) {
                    return;
                }
                if !accepting.cut.load(Ordering::SeqCst) {
                    accepting.join(client, target);
                }
            }
        });
        Ok(Self { port, wire })
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Closes every connection; new ones are accepted again.
    pub fn drop_connections(&self) {
        for (_, stream) in self.wire.open().drain(..) {
            // It may be closed already.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Closes every connection and refuses new ones, until `mend`.
    pub fn cut(&self) {
        self.wire.cut.store(true, Ordering::SeqCst);
        self.drop_connections();
    }

    /// Connections stay open but nothing comes through, until `mend`: as when a firewall forgets them.
    pub fn silence(&self) {
        self.wire.silent.store(true, Ordering::SeqCst);
    }

    pub fn mend(&self) {
        self.wire.cut.store(false, Ordering::SeqCst);
        self.wire.silent.store(false, Ordering::SeqCst);
    }

    /// How many connections are open.
    pub fn connections(&self) -> usize {
        self.wire.open().len() / 2
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.wire.ended.store(true, Ordering::SeqCst);
        self.cut();
        // Wakes the thread that accepts, so that it sees the end.
        drop(TcpStream::connect(("127.0.0.1", self.port)));
    }
}

impl Wire {
    fn open(&self) -> MutexGuard<'_, Vec<(usize, TcpStream)>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn join(self: &Arc<Self>, client: TcpStream, target: SocketAddr) {
        let Ok(server) = TcpStream::connect(target) else {
            return;
        };
        let number = self.joined.fetch_add(1, Ordering::SeqCst);
        for (from, to) in [(&client, &server), (&server, &client)] {
            let (Ok(kept), Ok(from), Ok(to)) = (from.try_clone(), from.try_clone(), to.try_clone())
            else {
                return;
            };
            self.open().push((number, kept));
            let wire = Arc::clone(self);
            thread::spawn(move || wire.pump(number, from, to));
        }
    }

    fn pump(&self, number: usize, mut from: TcpStream, mut to: TcpStream) {
        let mut buffer = [0; 16 * 1024];
        while let Ok(length) = from.read(&mut buffer) {
            while self.silent.load(Ordering::SeqCst) && !self.ended.load(Ordering::SeqCst) {
                thread::sleep(TICK);
            }
            if length == 0 || to.write_all(&buffer[..length]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
        let _ = from.shutdown(Shutdown::Both);
        self.open().retain(|(other, _)| *other != number);
    }
}
