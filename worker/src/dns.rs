//! One name server asked without recursion: only what it knows itself counts. Truncated answers are asked again over TCP.

use std::net::SocketAddr;
use std::time::Duration;

use hickory_net::NetError;
use hickory_net::runtime::TokioRuntimeProvider;
use hickory_net::tcp::TcpClientStream;
use hickory_net::udp::UdpClientStream;
use hickory_net::xfer::{DnsHandle as _, FirstAnswer as _};
use hickory_proto::ProtoError;
use hickory_proto::op::{DnsRequest, DnsRequestOptions, Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};

/// Why a server gave no answer that is one.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoAnswer {
    #[error("{0:?} is not a name")]
    NoName(String),
    #[error("it does not answer")]
    Silence,
    #[error(transparent)]
    Io(std::sync::Arc<std::io::Error>),
    #[error("{0}")]
    Other(String),
}

pub(crate) async fn ask(
    server: SocketAddr,
    name: &str,
    kind: RecordType,
    timeout: Duration,
) -> Result<Message, NoAnswer> {
    let name = fqdn(name).map_err(|_| NoAnswer::NoName(name.to_owned()))?;
    let question = Query::query(name, kind);
    let answer = tokio::time::timeout(timeout, exchange(server, question, timeout))
        .await
        .map_err(|_| NoAnswer::Silence)??;
    let refused = match answer.metadata.response_code {
        ResponseCode::NoError => return Ok(answer),
        ResponseCode::ServFail => "SERVFAIL: the server could not load the zone".to_owned(),
        ResponseCode::NXDomain => "NXDOMAIN: there is no such name".to_owned(),
        ResponseCode::Refused => "REFUSED: the server does not answer for it".to_owned(),
        other => other.to_string(),
    };
    Err(NoAnswer::Other(refused))
}

/// A whole name: nothing is tried behind it.
pub(crate) fn fqdn(name: &str) -> Result<Name, ProtoError> {
    let mut name = Name::from_ascii(name)?;
    name.set_fqdn(true);
    Ok(name)
}

impl From<NetError> for NoAnswer {
    fn from(error: NetError) -> Self {
        match error {
            NetError::Timeout => Self::Silence,
            NetError::Io(error) => Self::Io(error),
            other => Self::Other(other.to_string()),
        }
    }
}

async fn exchange(
    server: SocketAddr,
    question: Query,
    timeout: Duration,
) -> Result<Message, NetError> {
    let mut options = DnsRequestOptions::default();
    options.recursion_desired = false;
    options.use_edns = true;
    let request = DnsRequest::from_query(question, options);
    let provider = TokioRuntimeProvider::new();
    let udp = UdpClientStream::builder(server, provider.clone())
        .with_timeout(Some(timeout))
        .exchange();
    let answer = udp.send(request.clone()).first_answer().await?;
    if !answer.metadata.truncation {
        return Ok(answer.into_message());
    }
    let tcp = TcpClientStream::exchange(server, None, timeout, None, provider).await?;
    let answer = tcp.send(request).first_answer().await?;
    Ok(answer.into_message())
}

/// A record's value in words; of a text its parts as one.
pub(crate) fn shown(data: &RData) -> String {
    match data {
        RData::TXT(text) => {
            let parts = text
                .txt_data
                .iter()
                .map(|part| String::from_utf8_lossy(part));
            parts.collect::<Vec<_>>().concat()
        }
        other => other.to_string(),
    }
}
