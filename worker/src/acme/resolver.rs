//! The DNS as the world sees it, which is what an authority goes by: where names lead, and whom zones are delegated to.
//! The definitions say what our own servers answer; whether anybody is sent to them is decided at the registrar.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_net::NetError;
use hickory_net::runtime::TokioRuntimeProvider;
use hickory_proto::rr::{Name, RData, RecordType};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ServerOrderingStrategy,
};
use hickory_resolver::system_conf::read_system_conf;
use windlass_core::acme::Wanted;
use windlass_core::model::names::{DomainName, HostName};

use crate::dns::fqdn;

/// For one question, shared by the servers that are asked: a resolver that is away must not hold orders up for long.
const LIMIT: Duration = Duration::from_secs(5);
/// And for each of them at least, to ask its way through the world.
const EACH: Duration = Duration::from_millis(2500);
/// As many names as anybody reads.
const SHOWN: usize = 8;
/// What else may be the matter where the real DNS does not say what the definitions do.
pub(super) const OTHERWISE: &str = "where only the worker's own network is answered so, name resolvers of the world as `acme.resolvers` in worker.yaml";

/// Asks recursive name servers. Nothing is remembered here: what was mended at a registrar counts at once, or as soon
/// as those who are asked know of it.
#[derive(Debug, Clone, Default)]
pub struct Resolver {
    /// In the order in which they are asked; empty: those that this machine asks.
    servers: Vec<SocketAddr>,
}

/// What the world's name servers say.
#[derive(Debug)]
pub(super) enum Seen<T> {
    /// Never empty.
    These(Vec<T>),
    /// There is no such record.
    Nothing,
    /// Nobody could be asked. That tells of our own resolver; an authority has others.
    Unknown(String),
}

impl Resolver {
    pub fn asking(servers: Vec<SocketAddr>) -> Self {
        Self { servers }
    }

    /// The addresses that a name leads to.
    pub(super) async fn addresses(&self, name: &str) -> Seen<IpAddr> {
        let address = |data: &RData| match data {
            RData::A(own) => Some(IpAddr::V4(own.0)),
            RData::AAAA(own) => Some(IpAddr::V6(own.0)),
            _ => None,
        };
        let both = tokio::join!(
            self.look_up(name, RecordType::A, address),
            self.look_up(name, RecordType::AAAA, address),
        );
        match both {
            (Seen::These(mut all), Seen::These(more)) => {
                all.extend(more);
                Seen::These(all)
            }
            (Seen::These(all), _) | (_, Seen::These(all)) => Seen::These(all),
            (Seen::Unknown(why), _) | (_, Seen::Unknown(why)) => Seen::Unknown(why),
            (Seen::Nothing, Seen::Nothing) => Seen::Nothing,
        }
    }

    /// Whether the world asks our servers for each of these zones of the cluster; else whom.
    pub(super) async fn are_ours(
        &self,
        wanted: &Wanted,
        zones: impl IntoIterator<Item = &DomainName>,
    ) -> Result<(), String> {
        let asked = zones.into_iter().map(|zone| self.is_ours(wanted, zone));
        let all = futures_util::future::join_all(asked).await;
        let wrong: BTreeSet<String> = all.into_iter().filter_map(Result::err).collect();
        match wrong.is_empty() {
            true => Ok(()),
            false => Err(wrong.into_iter().collect::<Vec<_>>().join("; ")),
        }
    }

    /// A zone within another one that cannot be found may be too new for whoever is asked: what delegates it is then our
    /// own record, and the one above decides.
    async fn is_ours(&self, wanted: &Wanted, zone: &DomainName) -> Result<(), String> {
        let server = |data: &RData| match data {
            RData::NS(own) => Some(own.0.to_ascii().trim_end_matches('.').to_lowercase()),
            _ => None,
        };
        let mut missing = Ok(());
        for (zone, own) in wanted.upwards(zone) {
            let ours = listed(own.iter().map(HostName::as_str));
            match self.look_up(zone.as_str(), RecordType::NS, server).await {
                Seen::These(found) if found.iter().any(|name| is_among(name, own)) => return Ok(()),
                Seen::These(found) => {
                    let found = listed(found.iter().map(String::as_str));
                    return Err(format!(
                        "in the real DNS {zone} is delegated to {found}, and not to {ours} as here: mend the delegation at the \
                         registrar; {OTHERWISE}"
                    ));
                }
                Seen::Nothing => {
                    missing = Err(format!(
                        "in the real DNS {zone} is not delegated: have the registrar delegate it to {ours}; {OTHERWISE}"
                    ));
                }
                Seen::Unknown(why) => {
                    unknown(zone.as_str(), &why);
                    return Ok(());
                }
            }
        }
        missing
    }

    /// The first server that knows an answer counts.
    pub(super) async fn look_up<T>(
        &self,
        name: &str,
        kind: RecordType,
        fitting: impl Fn(&RData) -> Option<T>,
    ) -> Seen<T> {
        let servers = match self.servers() {
            Ok(servers) => servers,
            Err(error) => return Seen::Unknown(error.to_string()),
        };
        let Ok(name) = fqdn(name) else {
            return Seen::Unknown(format!("{name:?} is not a name"));
        };
        let share = LIMIT / u32::try_from(servers.len()).unwrap_or(u32::MAX).max(1);
        let each = share.max(EACH);
        let mut silent = "there is no name server to be asked".to_owned();
        for server in servers {
            let at = server.ip;
            let asked = tokio::time::timeout(each, ask(server, name.clone(), kind, each)).await;
            silent = match asked {
                Ok(Ok(records)) => {
                    let found: Vec<T> = records.iter().filter_map(&fitting).collect();
                    return match found.is_empty() {
                        true => Seen::Nothing,
                        false => Seen::These(found),
                    };
                }
                Ok(Err(error)) if error.is_no_records_found() => return Seen::Nothing,
                Ok(Err(NetError::Timeout)) | Err(_) => format!("{at} does not answer"),
                Ok(Err(error)) => format!("{at}: {error}"),
            };
        }
        Seen::Unknown(silent)
    }

    fn servers(&self) -> Result<Vec<NameServerConfig>, NetError> {
        if self.servers.is_empty() {
            // Anew each time: networks change, and a worker does not start again for it.
            return Ok(read_system_conf()?.0.name_servers().to_vec());
        }
        let server = |at: &SocketAddr| {
            let mut ways = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
            ways.iter_mut().for_each(|way| way.port = at.port());
            NameServerConfig::new(at.ip(), true, ways)
        };
        Ok(self.servers.iter().map(server).collect())
    }
}

async fn ask(
    server: NameServerConfig,
    name: Name,
    kind: RecordType,
    limit: Duration,
) -> Result<Vec<RData>, NetError> {
    let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
    let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::new());
    let options = builder.options_mut();
    options.timeout = limit;
    options.attempts = 0;
    options.cache_size = 0;
    options.server_ordering_strategy = ServerOrderingStrategy::UserProvidedOrder;
    // No authority reads this machine's.
    options.use_hosts_file = ResolveHosts::Never;
    let found = builder.build()?.lookup(name, kind).await?;
    Ok(found.answers().iter().map(|own| own.data.clone()).collect())
}

fn is_among(name: &str, servers: &[HostName]) -> bool {
    servers.iter().any(|own| own.as_str() == name)
}

/// Whoever answers for a stranger's zone says how many there are.
fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: BTreeSet<&str> = names.collect();
    let shown: Vec<&str> = names.iter().copied().take(SHOWN).collect();
    let more = match names.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{}{more}", shown.join(", "))
}

/// Said once per look: orders go on, and whoever wonders why an authority saw something else finds it.
pub(super) fn unknown(name: &str, why: &str) {
    tracing::warn!(
        name,
        why,
        "the real DNS could not be asked; what the definitions say is taken for it"
    );
}
