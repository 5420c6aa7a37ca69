//! Before an authority is asked to look, the worker looks itself: a probe's token is fetched through every address that
//! a name leads to, so that a broken path costs none of the authority's patience, and names the node.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use reqwest::{Client, StatusCode, redirect};
use uuid::Uuid;
use windlass_core::acme::Wanted;
use windlass_core::model::names::{CertName, HostName};
use windlass_core::model::reach::Way;

use crate::challenges::Challenges;

const TRY: Duration = Duration::from_secs(10);
const MAX_BODY: usize = 4096;

/// Fetches probes.
#[derive(Debug, Clone)]
pub struct Paths {
    /// 80, but for tests.
    port: u16,
}

impl Default for Paths {
    fn default() -> Self {
        Self { port: 80 }
    }
}

impl Paths {
    /// Asks at another port than an authority would: for tests.
    pub fn at_port(port: u16) -> Self {
        Self { port }
    }

    /// Whether every path to every one of the names answers; else what is wrong with each that does not.
    pub(super) async fn probe(
        &self,
        wanted: &Wanted,
        names: impl Iterator<Item = &CertName>,
        challenges: &Challenges,
    ) -> Result<(), String> {
        let token = format!("windlass-probe-{}", Uuid::new_v4().simple());
        let answer = Uuid::new_v4().to_string();
        let _given = challenges.give([(token.clone(), answer.clone())]);
        let mut broken = Vec::new();
        let mut asked = tokio::task::JoinSet::new();
        for host in names.filter_map(CertName::host) {
            let ways = match wanted.ways.get(&host) {
                Some(ways) => ways.clone(),
                None => match self.looked_up(&host).await {
                    Ok(ways) => ways,
                    Err(why) => {
                        broken.push(why);
                        continue;
                    }
                },
            };
            for way in ways {
                let (host, token, answer, port) =
                    (host.clone(), token.clone(), answer.clone(), self.port);
                asked.spawn(async move {
                    let seen = fetch(&host, way.address, port, &token, &answer).await;
                    seen.map_err(|why| format!("{} does not answer for {host}: {why}", who(&way)))
                });
            }
        }
        for result in asked.join_all().await {
            broken.extend(result.err());
        }
        if broken.is_empty() {
            return Ok(());
        }
        broken.sort();
        Err(broken.join("; "))
    }

    async fn looked_up(&self, host: &HostName) -> Result<Vec<Way>, String> {
        let found = tokio::net::lookup_host((host.as_str(), self.port)).await;
        let found = found.map_err(|error| format!("{host} cannot be looked up: {error}"))?;
        let ways = found.map(|socket| Way {
            node: None,
            address: socket.ip(),
        });
        Ok(ways.collect())
    }
}

fn who(way: &Way) -> String {
    match &way.node {
        Some(node) => format!("{node} ({})", way.address),
        None => way.address.to_string(),
    }
}

async fn fetch(
    host: &HostName,
    address: IpAddr,
    port: u16,
    token: &str,
    answer: &str,
) -> Result<(), String> {
    let client = Client::builder()
        .no_proxy()
        .redirect(redirect::Policy::none())
        .timeout(TRY)
        .pool_max_idle_per_host(0)
        .resolve(host.as_str(), SocketAddr::new(address, port))
        .user_agent("windlass")
        .build()
        .map_err(|error| error.to_string())?;
    let url = format!("http://{host}:{port}/.well-known/acme-challenge/{token}");
    let mut response = client
        .get(url)
        .send()
        .await
        .map_err(|error| words(&error))?;
    if response.status() != StatusCode::OK {
        return Err(response.status().to_string());
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| words(&error))? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_BODY {
            break;
        }
    }
    if body.trim_ascii() == answer.as_bytes() {
        return Ok(());
    }
    Err(
        "it answers 200, but not with what the worker gave: another server takes the path"
            .to_owned(),
    )
}

fn words(error: &reqwest::Error) -> String {
    use std::error::Error as _;
    if error.is_timeout() {
        return format!("no answer within {} s", TRY.as_secs());
    }
    let mut words = error.to_string();
    let mut inner = error.source();
    while let Some(reason) = inner {
        words = reason.to_string();
        inner = reason.source();
    }
    words
}
