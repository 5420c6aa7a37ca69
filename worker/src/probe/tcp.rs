//! Ports that must be open, and ports that must not. A dropped packet and a refusal both keep others out; a
//! machine without a route to the node proves neither.

use std::io::{Error, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;

pub(super) async fn open(address: SocketAddr, timeout: Duration) -> Result<String, String> {
    connect(address, timeout).await?;
    Ok("accepted".to_owned())
}

pub(super) async fn closed(address: SocketAddr, timeout: Duration) -> Result<String, String> {
    match tokio::time::timeout(timeout, TcpStream::connect(address)).await {
        Ok(Ok(_)) => Err("a connection was accepted".to_owned()),
        Ok(Err(error)) => match error.kind() {
            ErrorKind::ConnectionRefused | ErrorKind::HostUnreachable | ErrorKind::TimedOut => {
                Ok(words(&error))
            }
            _ => Err(format!("not known: {}", words(&error))),
        },
        Err(_) => Ok("no answer".to_owned()),
    }
}

pub(super) async fn connect(address: SocketAddr, timeout: Duration) -> Result<TcpStream, String> {
    tokio::time::timeout(timeout, TcpStream::connect(address))
        .await
        .map_err(|_| no_answer(timeout))?
        .map_err(|error| words(&error))
}

pub(super) fn no_answer(timeout: Duration) -> String {
    format!("no answer within {} s", timeout.as_secs_f32())
}

pub(super) fn words(error: &Error) -> String {
    match error.kind() {
        ErrorKind::ConnectionRefused => "refused".to_owned(),
        ErrorKind::ConnectionReset => "the connection was reset".to_owned(),
        ErrorKind::UnexpectedEof => "the connection was closed".to_owned(),
        ErrorKind::HostUnreachable => "the host cannot be reached".to_owned(),
        ErrorKind::NetworkUnreachable => "no route from this machine".to_owned(),
        _ => error.to_string(),
    }
}
