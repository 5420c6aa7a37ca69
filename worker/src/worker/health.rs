//! Whether the worker of a configuration is ready: what a container's health check asks. It is the program itself that
//! asks, so that an image needs no other one for it, and the address stands in one place only.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, bail};
use reqwest::{Client, StatusCode};

use crate::config::Config;

/// Below the time that a container engine waits for a health check, so that the reason is told.
const PATIENCE: Duration = Duration::from_secs(5);
/// What the worker says of itself is one line.
const MAX_ANSWER: usize = 200;

/// What the worker said, if it is ready; else why it is not.
pub type Health = Result<String, String>;

/// An error means that there is nothing that could be asked.
pub async fn ask(config: &Config) -> anyhow::Result<Health> {
    let Some(listen) = &config.listen else {
        bail!(
            "the worker serves nowhere, so that it cannot be asked: add `listen: 127.0.0.1:8320` to its configuration"
        );
    };
    let address = reachable(listen.value);
    let client = Client::builder()
        .no_proxy()
        .timeout(PATIENCE)
        .build()
        .context("cannot make an HTTP client")?;
    let answer = match client.get(format!("http://{address}/readyz")).send().await {
        Ok(answer) => answer,
        Err(error) if error.is_timeout() => {
            let seconds = PATIENCE.as_secs();
            return Ok(Err(format!("no answer on {address} within {seconds} s")));
        }
        Err(error) => {
            let cause = anyhow::Error::from(error).root_cause().to_string();
            return Ok(Err(format!("nothing answers on {address}: {cause}")));
        }
    };
    let status = answer.status();
    let text = answer.text().await.unwrap_or_default();
    let line: String = text
        .lines()
        .next()
        .unwrap_or_default()
        .chars()
        .take(MAX_ANSWER)
        .collect();
    Ok(if status == StatusCode::OK {
        Ok(line)
    } else {
        Err(format!("not ready: {line} ({status})"))
    })
}

/// A server that listens on all addresses is asked on the loopback one.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_on_all_addresses_is_asked_on_the_loopback_one() {
        for (listen, asked) in [
            ("0.0.0.0:8320", "127.0.0.1:8320"),
            ("[::]:8320", "[::1]:8320"),
            ("192.0.2.1:1", "192.0.2.1:1"),
        ] {
            assert_eq!(reachable(listen.parse().unwrap()).to_string(), asked);
        }
    }
}
