//! Records for authorities (DNS-01): written to the hidden primary by signed updates (RFC 2136, TSIG), and looked for at
//! every server that answers for the zone before an authority is told to look. An authority may ask any of them, and
//! a validation that fails on a server which lags behind counts against its limits; here it only costs time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hickory_net::client::Client;
use hickory_net::runtime::TokioRuntimeProvider;
use hickory_net::tcp::TcpClientStream;
use hickory_net::xfer::{DnsHandle as _, FirstAnswer as _};
use hickory_net::{DnsMultiplexer, NetError};
use hickory_proto::op::update_message::delete_rrset;
use hickory_proto::op::{DnsRequest, Message, ResponseCode, UpdateMessage as _};
use hickory_proto::rr::rdata::TXT;
use hickory_proto::rr::rdata::tsig::TsigAlgorithm;
use hickory_proto::rr::{Name, RData, Record, RecordType, TSigner};
use tokio::time::Instant;
use windlass_core::acme::wanted::{Asked, Dns, Server};
use windlass_core::acme::{Failure, Proof, Wanted};
use windlass_core::materials::SecretText;
use windlass_core::model::challenge::{KEY_NAME, KEY_SECRET};
use windlass_core::model::names::CertName;

use super::resolver::{Resolver, Seen};
use super::trouble::Trouble;
use crate::dns::{ask, fqdn, shown};

const TRY: Duration = Duration::from_secs(5);
/// Between two looks at the same server.
const PAUSE: Duration = Duration::from_millis(300);
/// As short as it can be: name servers that authorities ask may remember a record for so long, and the next order of
/// the same name has another one.
const TTL: u32 = 1;
/// After this nobody remembers what stood there before: the time to live, and a second since some count in whole ones.
const FORGOTTEN: Duration = Duration::from_secs(2);
/// How far the clocks of the two ends may be apart (RFC 8945).
const FUDGE: u16 = 300;

/// Writes records for authorities and sees that they are served.
#[derive(Debug, Clone)]
pub struct Records {
    /// How long secondaries may take to fetch what the primary tells them of.
    patience: Duration,
    resolver: Resolver,
}

impl Records {
    pub fn new(resolver: Resolver) -> Self {
        Self {
            patience: Duration::from_secs(60),
            resolver,
        }
    }

    /// Other patience: for tests.
    #[cfg(test)]
    pub(super) fn patient_for(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Sees that the world asks our servers, that each name leads to the zone and that the zone can be written to, and
    /// takes away what an earlier order left.
    pub(super) async fn clear(
        &self,
        (wanted, dns): (&Wanted, &Dns),
        names: &[CertName],
        key: Option<&SecretText>,
    ) -> Result<(), Trouble> {
        self.aliases(dns, names.iter()).await.map_err(broken)?;
        let zones = self.delegations(wanted, dns, names.iter()).await;
        zones.map_err(broken)?;
        let asked = names.iter().filter_map(|name| dns.names.get(&name.base()));
        let texts = asked.map(|asked| (asked.target.to_string(), BTreeSet::new()));
        update(dns, &texts.collect(), key).await
    }

    /// Puts these proofs there, in place of whatever an earlier order left, and waits until every server has them and
    /// nobody remembers the earlier ones.
    pub(super) async fn write(
        &self,
        (wanted, dns): (&Wanted, &Dns),
        proofs: &[Proof],
        key: Option<&SecretText>,
    ) -> Result<(), Trouble> {
        if proofs.is_empty() {
            return Ok(());
        }
        let texts = texts(dns, proofs)?;
        let names = proofs.iter().map(|proof| &proof.name);
        self.aliases(dns, names.clone()).await.map_err(broken)?;
        if everywhere(dns, &texts, Duration::ZERO).await.is_ok() {
            return Ok(());
        }
        // Days may have passed since the order was placed.
        let zones = self.delegations(wanted, dns, names).await;
        zones.map_err(broken)?;
        update(dns, &texts, key).await?;
        let served = everywhere(dns, &texts, self.patience).await;
        served.map_err(broken)?;
        tokio::time::sleep(FORGOTTEN).await;
        Ok(())
    }

    /// Takes away all that stands at the proofs' names.
    pub(super) async fn remove(
        &self,
        dns: &Dns,
        proofs: &[Proof],
        key: Option<&SecretText>,
    ) -> Result<(), Trouble> {
        if proofs.is_empty() {
            return Ok(());
        }
        let mut texts = texts(dns, proofs)?;
        texts.values_mut().for_each(BTreeSet::clear);
        update(dns, &texts, key).await
    }

    /// The zones that an authority comes through are those of our servers: the names' own, and the one for records.
    async fn delegations(
        &self,
        wanted: &Wanted,
        dns: &Dns,
        names: impl Iterator<Item = &CertName>,
    ) -> Result<(), String> {
        let own = names.filter_map(|name| dns.names.get(&name.base())?.zone.as_ref());
        let mut zones: BTreeSet<_> = own.collect();
        zones.insert(&dns.zone);
        self.resolver.are_ours(wanted, zones).await
    }

    /// Every name is an alias of where its record will stand.
    async fn aliases(
        &self,
        dns: &Dns,
        names: impl Iterator<Item = &CertName>,
    ) -> Result<(), String> {
        let mut asking = tokio::task::JoinSet::new();
        let names: BTreeSet<_> = names.map(CertName::base).collect();
        for asked in names.iter().filter_map(|name| dns.names.get(name)) {
            for server in asked.servers.iter().cloned() {
                asking.spawn(leads(server, asked.clone()));
            }
            if asked.servers.is_empty() {
                asking.spawn(leads_elsewhere(self.resolver.clone(), asked.clone()));
            }
        }
        all(asking).await
    }
}

/// Which texts are to stand where. An order for `example.org` and `*.example.org` has two at one name.
type Texts = BTreeMap<String, BTreeSet<String>>;

fn texts(dns: &Dns, proofs: &[Proof]) -> Result<Texts, Trouble> {
    let mut texts = Texts::new();
    for proof in proofs {
        let Some(asked) = dns.names.get(&proof.name.base()) else {
            let why = format!("{} is not to be proven through DNS any more", proof.name);
            return Err(Trouble::new(Failure::OrderLost, why));
        };
        let at = texts.entry(asked.target.to_string()).or_default();
        at.insert(proof.answer.clone());
    }
    Ok(texts)
}

fn broken(why: String) -> Trouble {
    Trouble::new(Failure::PathBroken, why)
}

async fn all(mut tasks: tokio::task::JoinSet<Result<(), String>>) -> Result<(), String> {
    let mut wrong = BTreeSet::new();
    while let Some(ended) = tasks.join_next().await {
        let ended = ended.unwrap_or_else(|error| Err(error.to_string()));
        wrong.extend(ended.err());
    }
    if wrong.is_empty() {
        return Ok(());
    }
    Err(wrong.into_iter().collect::<Vec<_>>().join("; "))
}

/// One message for all names: either all of it counts or nothing.
async fn update(dns: &Dns, texts: &Texts, key: Option<&SecretText>) -> Result<(), Trouble> {
    let Some(key) = key else {
        return Err(Trouble::local(format!(
            "the worker was not given the secret `{KEY_SECRET}` that signs changes of {}",
            dns.zone
        )));
    };
    let message = message(dns, texts).map_err(Trouble::local)?;
    let signer = signer(key).map_err(Trouble::local)?;
    let told = tokio::time::timeout(TRY * 2, tell(dns, message, signer)).await;
    let why = match told {
        Ok(Ok(ResponseCode::NoError)) => return Ok(()),
        Ok(Ok(code)) => refused(dns, code),
        Ok(Err(error)) => words(&error),
        Err(_) => "it does not answer".to_owned(),
    };
    Err(broken(format!(
        "{}, the primary of {}, does not take the record: {why}",
        dns.primary, dns.zone
    )))
}

fn message(dns: &Dns, texts: &Texts) -> Result<Message, String> {
    let zone = name(dns.zone.as_str())?;
    let mut whole: Option<Message> = None;
    for (target, texts) in texts {
        let at = name(target)?;
        let old = Record::from_rdata(at.clone(), 0, RData::TXT(TXT::new(Vec::new())));
        let cleared = delete_rrset(old, zone.clone(), false);
        let all = match &mut whole {
            Some(all) => {
                all.add_updates(cleared.authorities);
                all
            }
            none => none.insert(cleared),
        };
        for text in texts {
            let data = RData::TXT(TXT::new(vec![text.clone()]));
            all.add_update(Record::from_rdata(at.clone(), TTL, data));
        }
    }
    whole.ok_or_else(|| "there is nothing to be proven".to_owned())
}

fn name(text: &str) -> Result<Name, String> {
    fqdn(text).map_err(|_| format!("{text:?} is not a name"))
}

/// What is wrong with the key is told without showing any of it.
fn signer(key: &SecretText) -> Result<TSigner, String> {
    let bytes = BASE64_STANDARD.decode(key.reveal().trim());
    let bytes = bytes.map_err(|_| {
        format!("the secret `{KEY_SECRET}` is not base64, as `tsig-keygen -a hmac-sha256 {KEY_NAME}` makes it")
    })?;
    let signer = TSigner::new(bytes, TsigAlgorithm::HmacSha256, name(KEY_NAME)?, FUDGE);
    signer.map_err(|_| format!("the secret `{KEY_SECRET}` cannot sign"))
}

async fn tell(dns: &Dns, message: Message, signer: TSigner) -> Result<ResponseCode, NetError> {
    let provider = TokioRuntimeProvider::new();
    let (connecting, handle) = TcpClientStream::new(dns.primary.socket, None, Some(TRY), provider);
    let stream = DnsMultiplexer::new(connecting.await?, handle)
        .with_timeout(TRY)
        .with_signer(signer);
    let (client, background) = Client::<TokioRuntimeProvider>::from_sender(stream);
    let background = tokio::spawn(background);
    let answer = client.send(DnsRequest::from(message)).first_answer().await;
    background.abort();
    Ok(answer?.metadata.response_code)
}

fn refused(dns: &Dns, code: ResponseCode) -> String {
    match code {
        ResponseCode::NotAuth => not_trusted(),
        ResponseCode::Refused => format!(
            "REFUSED: its `update-policy` does not let the key `{KEY_NAME}` change {}",
            dns.zone
        ),
        ResponseCode::NotImp | ResponseCode::NotZone => {
            format!("{code}: it does not have the zone as one that can be changed")
        }
        ResponseCode::ServFail => "SERVFAIL: it could not load or write the zone".to_owned(),
        other => other.to_string(),
    }
}

fn not_trusted() -> String {
    format!(
        "it does not accept the signature (TSIG): the secret `{KEY_SECRET}` is not the one that it has for the key \
         `{KEY_NAME}`, or its clock is more than five minutes off"
    )
}

/// A refused signature is answered without one, which the library takes for a broken answer.
fn words(error: &NetError) -> String {
    match error {
        NetError::Timeout => "it does not answer".to_owned(),
        NetError::Io(error) => error.to_string(),
        other => {
            let said = other.to_string();
            let signature = ["HMAC", "TSIG", "tsig", "signature"];
            match signature.iter().any(|word| said.contains(word)) {
                true => not_trusted(),
                false => said,
            }
        }
    }
}

/// Whether one of our servers has the alias.
async fn leads(server: Server, asked: Asked) -> Result<(), String> {
    let answer = ask(server.socket, asked.owner.as_str(), RecordType::CNAME, TRY).await;
    let why = match answer {
        Ok(answer) if leads_to(answer.answers.iter().map(|own| &own.data), &asked) => return Ok(()),
        Ok(_) => "it has no such record".to_owned(),
        Err(why) => why.to_string(),
    };
    Err(format!(
        "{} is no CNAME to {}. at {server}: {why}",
        asked.owner, asked.target
    ))
}

async fn leads_elsewhere(resolver: Resolver, asked: Asked) -> Result<(), String> {
    let alias = |data: &RData| match data {
        RData::CNAME(_) => Some(data.clone()),
        _ => None,
    };
    let owner = asked.owner.as_str();
    let why = match resolver.look_up(owner, RecordType::CNAME, alias).await {
        Seen::These(found) if leads_to(found.iter(), &asked) => return Ok(()),
        Seen::These(_) => "it is something else".to_owned(),
        Seen::Nothing => "there is no such record".to_owned(),
        Seen::Unknown(why) => why,
    };
    Err(format!(
        "{owner} is no CNAME to {}. ({why}); the zone is not one of this repository: put the record there where it is looked after",
        asked.target
    ))
}

fn leads_to<'a>(mut records: impl Iterator<Item = &'a RData>, asked: &Asked) -> bool {
    records.any(|data| match data {
        RData::CNAME(target) => {
            let target = target.0.to_ascii();
            target
                .trim_end_matches('.')
                .eq_ignore_ascii_case(asked.target.as_str())
        }
        _ => false,
    })
}

/// Waits until every server answers with all the texts; else says which do not.
async fn everywhere(dns: &Dns, texts: &Texts, patience: Duration) -> Result<(), String> {
    let mut waiting = tokio::task::JoinSet::new();
    for server in &dns.secondaries {
        for (target, wanted) in texts {
            let (server, target, wanted) = (server.clone(), target.clone(), wanted.clone());
            waiting.spawn(serves(server, target, wanted, patience));
        }
    }
    all(waiting).await
}

/// Waits until the server answers with all the texts; else says what it answers.
async fn serves(
    server: Server,
    target: String,
    wanted: BTreeSet<String>,
    patience: Duration,
) -> Result<(), String> {
    let deadline = Instant::now() + patience;
    loop {
        let why = match ask(server.socket, &target, RecordType::TXT, TRY).await {
            Ok(answer) => {
                let seen: BTreeSet<String> =
                    answer.answers.iter().map(|own| shown(&own.data)).collect();
                if wanted.is_subset(&seen) {
                    return Ok(());
                }
                match seen.len() {
                    0 => "it has no such record".to_owned(),
                    _ => "it still has those of an earlier order".to_owned(),
                }
            }
            Err(why) => why.to_string(),
        };
        if Instant::now() + PAUSE >= deadline {
            let seconds = patience.as_secs();
            return Err(format!(
                "{server} does not serve the record of {target} after {seconds} s: {why}"
            ));
        }
        tokio::time::sleep(PAUSE).await;
    }
}
