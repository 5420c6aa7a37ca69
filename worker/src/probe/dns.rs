//! What one name server answers, held against what it should.

use std::net::SocketAddr;
use std::str::FromStr as _;
use std::time::Duration;

use hickory_proto::op::Message;
use hickory_proto::rr::{RData, RecordType};
use windlass_core::gate::DnsExpect;

use super::tcp;
use crate::dns::{self, NoAnswer, shown};

pub(super) async fn probe(
    server: SocketAddr,
    name: &str,
    rtype: &str,
    expect: &DnsExpect,
    timeout: Duration,
) -> Result<String, String> {
    let kind = match expect {
        DnsExpect::Answer(_) => RecordType::from_str(&rtype.to_ascii_uppercase())
            .map_err(|_| format!("{rtype:?} is not a record type"))?,
        DnsExpect::Serial { .. } | DnsExpect::Authoritative => RecordType::SOA,
    };
    let answer = ask(server, name, kind, timeout).await?;
    match expect {
        DnsExpect::Answer(wanted) => holds(&answer, kind, wanted),
        DnsExpect::Authoritative => {
            let serial = serial(&answer)?;
            Ok(format!("authoritative, serial {serial}"))
        }
        DnsExpect::Serial { primary } => {
            let here = serial(&answer)?;
            let answer = ask(*primary, name, kind, timeout).await;
            let there = answer.and_then(|answer| serial(&answer));
            let there = there.map_err(|why| format!("the primary {primary}: {why}"))?;
            if is_current(here, there) {
                Ok(format!("serial {here}"))
            } else {
                Err(format!("serial {here} is behind {there}"))
            }
        }
    }
}

/// Serials count in a circle (RFC 1982): a smaller number may be the newer one.
fn is_current(here: u32, there: u32) -> bool {
    here.wrapping_sub(there) < 1 << 31
}

async fn ask(
    server: SocketAddr,
    name: &str,
    kind: RecordType,
    timeout: Duration,
) -> Result<Message, String> {
    let answer = dns::ask(server, name, kind, timeout).await;
    answer.map_err(|why| match why {
        NoAnswer::Silence => tcp::no_answer(timeout),
        NoAnswer::Io(error) => tcp::words(&error),
        other => other.to_string(),
    })
}

fn serial(answer: &Message) -> Result<u32, String> {
    let serial = answer.answers.iter().find_map(|record| match &record.data {
        RData::SOA(soa) => Some(soa.serial),
        _ => None,
    });
    match serial {
        None => Err("there is no SOA record: not a zone of this server".to_owned()),
        Some(_) if !answer.metadata.authoritative => {
            Err("the answer is not authoritative".to_owned())
        }
        Some(serial) => Ok(serial),
    }
}

/// Whether all wanted records are among those of the answer, compared as zone files write them.
fn holds(answer: &Message, kind: RecordType, wanted: &[String]) -> Result<String, String> {
    let seen: Vec<String> = answer
        .answers
        .iter()
        .filter(|record| record.record_type() == kind)
        .map(|record| shown(&record.data))
        .collect();
    let all = seen.join(", ");
    for record in wanted {
        if !seen
            .iter()
            .any(|seen| plain(seen, kind) == plain(record, kind))
        {
            return Err(match seen.is_empty() {
                true => format!("no {kind} record"),
                false => format!("{all} instead of {record}"),
            });
        }
    }
    Ok(all)
}

/// One way of writing for one meaning: case and white space, the last dot, and how a text is quoted do not count.
fn plain(record: &str, kind: RecordType) -> String {
    if kind == RecordType::TXT {
        return match record.contains('"') {
            true => record.split('"').skip(1).step_by(2).collect(),
            false => record.to_owned(),
        };
    }
    let words = record.split_whitespace().map(|word| {
        let word = word.trim_end_matches('.').to_ascii_lowercase();
        match word.parse::<std::net::Ipv6Addr>() {
            Ok(address) => address.to_string(),
            Err(_) => word.trim_matches('"').to_owned(),
        }
    });
    words.collect::<Vec<_>>().join(" ")
}
