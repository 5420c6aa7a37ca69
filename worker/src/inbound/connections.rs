//! Accepts connections and hands each to the router, within limits: who sends a header byte by byte, or one without end,
//! or opens many connections and says nothing, must not keep the hooks of others out.

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// Request line and headers together. Forges send less than 4 KiB.
const MAX_HEADER_BYTES: usize = 16 * 1024;
const MAX_HEADERS: usize = 64;
/// Also how long a connection may be kept open between two requests.
const HEADER_TIME: Duration = Duration::from_secs(15);
const MAX_CONNECTIONS: usize = 256;
/// How long requests that are being answered may still take when the worker stops.
const LAST_ANSWERS: Duration = Duration::from_secs(5);
/// When the process has no more file descriptors, one is free again at some time.
const BREATH: Duration = Duration::from_secs(1);

/// Serves until `stop`.
pub async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) {
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let open = GracefulShutdown::new();
    loop {
        let next = async {
            // Whoever comes when all are taken waits in the kernel's queue.
            let place = Arc::clone(&room).acquire_owned().await;
            (accept(&listener).await, place)
        };
        let (stream, place) = tokio::select! {
            () = stop.cancelled() => break,
            next = next => next,
        };
        let connection = http1().serve_connection(
            TokioIo::new(stream),
            TowerToHyperService::new(router.clone()),
        );
        let connection = open.watch(connection);
        tokio::spawn(async move {
            let _place: Result<OwnedSemaphorePermit, _> = place;
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended");
            }
        });
    }
    drop(listener);
    _ = tokio::time::timeout(LAST_ANSWERS, open.shutdown()).await;
}

fn http1() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
        .max_header_size(MAX_HEADER_BYTES)
        .max_headers(MAX_HEADERS);
    builder
}

async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) if is_of_the_client(&error) => {}
            Err(error) => {
                tracing::error!(%error, "a connection could not be accepted");
                tokio::time::sleep(BREATH).await;
            }
        }
    }
}

fn is_of_the_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::ConnectionRefused
    )
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::task::JoinHandle;

    use super::*;

    struct Server {
        address: SocketAddr,
        stop: CancellationToken,
        serving: JoinHandle<()>,
    }

    async fn server() -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let router = Router::new().route("/", get(|| async { "hello" }));
        let serving = tokio::spawn(serve(listener, router, stop.clone()));
        Server {
            address,
            stop,
            serving,
        }
    }

    impl Server {
        async fn connect(&self) -> TcpStream {
            TcpStream::connect(self.address).await.unwrap()
        }

        /// What the server says until it closes.
        async fn ask(&self, request: &str) -> String {
            let mut stream = self.connect().await;
            // It may close before it has read everything.
            _ = stream.write_all(request.as_bytes()).await;
            rest(stream).await
        }
    }

    async fn rest(mut stream: TcpStream) -> String {
        let mut said = Vec::new();
        _ = stream.read_to_end(&mut said).await;
        String::from_utf8(said).unwrap()
    }

    fn request(more: &str) -> String {
        format!("GET / HTTP/1.1\r\nhost: worker\r\nconnection: close\r\n{more}\r\n")
    }

    #[tokio::test]
    async fn what_is_within_the_limits_is_answered() {
        let server = server().await;
        let long = format!("x-long: {}\r\n", "a".repeat(MAX_HEADER_BYTES / 2));
        let said = server.ask(&request(&long)).await;
        assert!(said.starts_with("HTTP/1.1 200"), "{said}");
    }

    #[tokio::test]
    async fn headers_that_are_too_long_or_too_many_are_refused() {
        let server = server().await;
        let long = format!("x-long: {}\r\n", "a".repeat(MAX_HEADER_BYTES));
        let many: String = (0..=MAX_HEADERS).map(|n| format!("x-{n}: a\r\n")).collect();
        for more in [long, many] {
            let said = server.ask(&request(&more)).await;
            assert!(said.starts_with("HTTP/1.1 431"), "{said}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_never_ends_a_header_is_cut_off() {
        let server = server().await;
        let mut stream = server.connect().await;
        stream.write_all(b"GET / HTTP/1.1\r\nhost: ").await.unwrap();
        assert_eq!(rest(stream).await, "");
    }

    #[tokio::test]
    async fn silent_connections_keep_nobody_out_for_long() {
        let server = server().await;
        let mut silent = Vec::new();
        for _ in 0..MAX_CONNECTIONS {
            silent.push(server.connect().await);
        }
        let request = request("");
        let answer = server.ask(&request);
        tokio::pin!(answer);
        // Nobody else is let in as long as all places are taken.
        let early = tokio::time::timeout(Duration::from_millis(50), &mut answer).await;
        assert!(early.is_err());
        silent.pop();
        let said = tokio::time::timeout(Duration::from_secs(30), answer).await;
        assert!(said.unwrap().starts_with("HTTP/1.1 200"));
    }

    #[tokio::test]
    async fn a_stop_waits_for_no_silent_connection() {
        let server = server().await;
        let _silent = server.connect().await;
        let _answered = server.ask(&request("")).await;
        server.stop.cancel();
        let ended = tokio::time::timeout(Duration::from_secs(30), server.serving).await;
        ended.unwrap().unwrap();
    }
}
