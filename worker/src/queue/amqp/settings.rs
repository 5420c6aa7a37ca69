//! Where the broker is and how to log in. Files are read anew for every connection, so that a password or a
//! certificate can be replaced under a running worker. The password never reaches a text that is shown.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use lapin::tcp::{OwnedIdentity, OwnedTLSConfig};
use lapin::uri::{AMQPScheme, AMQPUri};
use lapin::{Connection, ConnectionProperties};

/// A side that says nothing for twice this long is taken for dead.
const HEARTBEAT_SECONDS: u16 = 10;
/// For the whole handshake. RabbitMQ itself gives up on a stranger after ten seconds.
const CONNECT: Duration = Duration::from_secs(60);

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadUrl(String);

#[derive(Clone)]
pub struct Settings {
    uri: AMQPUri,
    /// Further nodes of the same broker.
    others: Vec<(String, u16)>,
    /// The node that is tried first, counted from the one in the URL.
    turn: Arc<AtomicUsize>,
    pub password_file: Option<PathBuf>,
    /// Further authorities for `amqps://`, besides the machine's own.
    pub ca_file: Option<PathBuf>,
    /// The client's certificate: chain and key in one PEM file.
    pub certificate_file: Option<PathBuf>,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.address())
    }
}

impl Settings {
    pub fn new(url: &str) -> Result<Self, BadUrl> {
        let mut uri: AMQPUri = url.parse().map_err(BadUrl)?;
        uri.query.heartbeat.get_or_insert(HEARTBEAT_SECONDS);
        Ok(Self {
            uri,
            others: Vec::new(),
            turn: Arc::default(),
            password_file: None,
            ca_file: None,
            certificate_file: None,
        })
    }

    /// Another node of the same broker: `host` or `host:port`.
    pub fn also_at(&mut self, host: &str) -> Result<(), BadUrl> {
        let plain = !host.is_empty() && !host.contains(['/', '@', '?', '#', '[']);
        let parsed = format!("{}://{host}", self.uri.scheme).parse::<AMQPUri>();
        let Some(other) = parsed.ok().filter(|_| plain) else {
            return Err(BadUrl(format!("`{host}` is no host")));
        };
        self.others
            .push((other.authority.host, other.authority.port));
        Ok(())
    }

    /// The next attempt begins with another node.
    pub(super) fn move_on(&self) {
        self.turn.fetch_add(1, Ordering::Relaxed);
    }

    /// All of its nodes, beginning with the one whose turn it is.
    fn nodes(&self) -> Vec<(String, u16)> {
        let authority = &self.uri.authority;
        let mut nodes = vec![(authority.host.clone(), authority.port)];
        nodes.extend(self.others.iter().cloned());
        let first = self.turn.load(Ordering::Relaxed) % nodes.len();
        nodes.rotate_left(first);
        nodes
    }

    pub fn is_encrypted(&self) -> bool {
        self.uri.scheme == AMQPScheme::AMQPS
    }

    pub fn user(&self) -> &str {
        &self.uri.authority.userinfo.username
    }

    pub fn vhost(&self) -> &str {
        &self.uri.vhost
    }

    /// As people are shown it.
    pub fn address(&self) -> String {
        let authority = &self.uri.authority;
        let (host, port) = (&authority.host, authority.port);
        let others = self.others.iter();
        let others: String = others
            .map(|(host, port)| format!(", {host}:{port}"))
            .collect();
        format!(
            "{}://{host}:{port}{others} (vhost {})",
            self.uri.scheme, self.uri.vhost
        )
    }

    /// To the first of its nodes that takes it. `purpose` is what the broker's own lists show.
    pub(super) async fn connect(&self, purpose: &str) -> Result<Connection, String> {
        let mut troubles = Vec::new();
        for (host, port) in self.nodes() {
            let mut uri = self.uri.clone();
            (uri.authority.host, uri.authority.port) = (host, port);
            let node = format!("{}:{}", uri.authority.host, uri.authority.port);
            match self.connect_to(uri, purpose).await {
                Ok(connection) => return Ok(connection),
                Err(why) if self.others.is_empty() => return Err(why),
                Err(why) => troubles.push(format!("{node}: {why}")),
            }
        }
        Err(troubles.join("; "))
    }

    async fn connect_to(&self, mut uri: AMQPUri, purpose: &str) -> Result<Connection, String> {
        if let Some(file) = &self.password_file {
            uri.authority.userinfo.password = read(file)?.trim_end().to_owned();
        }
        let tls = self.tls()?;
        let properties = ConnectionProperties::default()
            .with_connection_name(format!("windlass {purpose}").into());
        let runtime = lapin::runtime::default_runtime().map_err(|error| error.to_string())?;
        let connecting = Connection::connect_uri_with_config(uri, properties, tls, runtime);
        match tokio::time::timeout(CONNECT, connecting).await {
            Ok(connected) => connected.map_err(|error| self.explained(&error)),
            Err(_) => Err("it takes connections but does not answer".to_owned()),
        }
    }

    fn tls(&self) -> Result<OwnedTLSConfig, String> {
        let identity = match &self.certificate_file {
            Some(file) => {
                let pem = read(file)?.into_bytes();
                let key = pem.clone();
                Some(OwnedIdentity::PKCS8 { pem, key })
            }
            None => None,
        };
        let cert_chain = self.ca_file.as_deref().map(read).transpose()?;
        Ok(OwnedTLSConfig {
            identity,
            cert_chain,
        })
    }

    /// What the broker said, and what mends it.
    fn explained(&self, error: &lapin::Error) -> String {
        let code = match error.kind() {
            lapin::ErrorKind::ProtocolError(error) => error.get_id(),
            _ => 0,
        };
        let hint = match code {
            403 => format!(
                "; does the user {} exist there, with the password in `broker.password_file` and rights on the vhost?",
                self.user()
            ),
            530 => format!(
                "; does the vhost {0} exist? `rabbitmqctl add_vhost {0}` makes it, `rabbitmqctl set_permissions` gives {1} rights on it",
                self.vhost(),
                self.user()
            ),
            _ => String::new(),
        };
        format!("{error}{hint}")
    }
}

fn read(file: &Path) -> Result<String, String> {
    std::fs::read_to_string(file)
        .map_err(|error| format!("cannot read {}: {error}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_never_shown() {
        let settings = Settings::new("amqps://me:sesame@broker.example.org/prod").unwrap();
        assert!(settings.is_encrypted() && settings.user() == "me");
        for shown in [settings.address(), format!("{settings:?}")] {
            assert_eq!(shown, "amqps://broker.example.org:5671 (vhost prod)");
        }
    }

    #[test]
    fn a_broker_of_several_nodes_is_tried_at_each_in_turn() {
        let mut settings = Settings::new("amqps://me@one/prod").unwrap();
        settings.also_at("two").unwrap();
        settings.also_at("three:5").unwrap();
        let first = |settings: &Settings| settings.nodes().remove(0);
        let mut tried = Vec::new();
        for _ in 0..4 {
            tried.push(first(&settings));
            settings.move_on();
        }
        let at = |host: &str, port: u16| (host.to_owned(), port);
        assert_eq!(
            tried,
            [
                at("one", 5671),
                at("two", 5671),
                at("three", 5),
                at("one", 5671)
            ]
        );
        for wrong in ["", "me:secret@two", "two/vhost", "amqp://two", "two:port"] {
            assert!(settings.also_at(wrong).is_err(), "{wrong}");
        }
    }
}
