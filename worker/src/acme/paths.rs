//! Before an authority is asked to look, the worker looks itself: a probe's token is fetched through every address that
//! a name leads to, so that a broken path costs none of the authority's patience, and names the node. These are the
//! addresses that the definitions give it and those that the real DNS does: an authority knows only the latter.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures_util::future::join_all;
use reqwest::{Client, StatusCode, redirect};
use uuid::Uuid;
use windlass_core::acme::Wanted;
use windlass_core::model::names::{CertName, DomainName, HostName};
use windlass_core::model::reach::Way;

use super::resolver::{self, OTHERWISE, Resolver, Seen};
use crate::challenges::Challenges;

const TRY: Duration = Duration::from_secs(10);
const MAX_BODY: usize = 4096;
/// Of the addresses that somebody's DNS gives a name; all are asked at once.
const MOST: usize = 32;

/// Fetches probes.
#[derive(Debug, Clone)]
pub struct Paths {
    /// 80, but for tests.
    port: u16,
    resolver: Resolver,
}

/// A way, and whether the definitions have it.
type Found = (Way, bool);

impl Paths {
    pub fn new(resolver: Resolver) -> Self {
        Self { port: 80, resolver }
    }

    /// Asks at another port than an authority would: for tests.
    #[cfg(test)]
    pub(super) fn at_port(self, port: u16) -> Self {
        Self { port, ..self }
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
        let (token, answer) = (token.as_str(), answer.as_str());
        let hosts: Vec<HostName> = names.filter_map(CertName::host).collect();
        let all = hosts
            .iter()
            .map(|host| self.host(wanted, host, (token, answer)));
        let broken: BTreeSet<String> = join_all(all).await.into_iter().flatten().collect();
        if broken.is_empty() {
            return Ok(());
        }
        Err(broken.into_iter().collect::<Vec<_>>().join("; "))
    }

    /// What is wrong with the ways to one name.
    async fn host(
        &self,
        wanted: &Wanted,
        host: &HostName,
        (token, answer): (&str, &str),
    ) -> Vec<String> {
        let ways = match self.ways(wanted, host).await {
            Ok(ways) => ways,
            Err(why) => return vec![why],
        };
        let all = ways.into_iter().map(async |(way, is_known)| {
            let seen = fetch(host, way.address, self.port, token, answer).await;
            let why = seen.err()?;
            Some(match is_known {
                true => format!("{} does not answer for {host}: {why}", who(&way)),
                false => astray(wanted, host, &way, &why),
            })
        });
        join_all(all).await.into_iter().flatten().collect()
    }

    async fn ways(&self, wanted: &Wanted, host: &HostName) -> Result<Vec<Found>, String> {
        let seen = self.resolver.addresses(host.as_str()).await;
        let mut ways: Vec<Found> = match (wanted.ways.get(host), &seen) {
            (Some(ways), _) => ways.iter().map(|way| (way.clone(), true)).collect(),
            (None, Seen::These(_)) => Vec::new(),
            (None, Seen::Nothing) => return Err(format!("{host} has no address in the real DNS")),
            (None, Seen::Unknown(why)) => return Err(format!("{host} cannot be looked up: {why}")),
        };
        match seen {
            Seen::These(addresses) => {
                for address in addresses.into_iter().take(MOST) {
                    if !ways.iter().any(|(way, _)| way.address == address) {
                        let way = Way {
                            node: None,
                            address,
                        };
                        ways.push((way, !wanted.ways.contains_key(host)));
                    }
                }
            }
            // It may be remembered from before there was such a site. Whether an authority comes to our servers does not
            // depend on it.
            Seen::Nothing => {
                let through = wanted.through.get(host).into_iter().flatten();
                self.resolver.are_ours(wanted, through).await?;
            }
            Seen::Unknown(why) => resolver::unknown(host.as_str(), &why),
        }
        Ok(ways)
    }
}

fn astray(wanted: &Wanted, host: &HostName, way: &Way, why: &str) -> String {
    let through = wanted.through.get(host).into_iter().flatten();
    let zones: Vec<&str> = through.map(DomainName::as_str).collect();
    format!(
        "in the real DNS {host} leads to {}, which is no address that it has here, and which does not answer for it ({why}): mend \
         the delegation of {} at the registrar, or wait until nobody remembers an earlier address; {OTHERWISE}",
        way.address,
        zones.join(", ")
    )
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
