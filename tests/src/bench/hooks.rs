//! How many signed hooks a worker takes a second when each event goes to RabbitMQ, beside a program that does
//! nothing but publish with confirms: same broker, same minutes, same number in flight. A hook counts when its
//! event has reached a queue of ours at the broker, not when it was answered.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures_util::StreamExt as _;
use lapin::options::{
    BasicConsumeOptions, BasicPublishOptions, ConfirmSelectOptions, QueueBindOptions,
    QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, Consumer};
use serde::Serialize;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::numbers::Spread;
use super::workspace::succeed;
use crate::broker::{Broker, PASSWORD, USER, VHOSTS};
use crate::lab::wait_until;
use crate::port;

/// A worker takes no more in a minute.
const HOOKS: usize = 240;
/// Below what it reads at once.
const IN_FLIGHT: usize = 16;
const BODY: &str = r#"{"refs":["refs/heads/main"],"cluster":"bench"}"#;
const SECRET: &str = "for as long as the benchmark runs";
const PATIENCE: Duration = Duration::from_secs(60);

/// Events in a second.
#[derive(Debug, Serialize)]
pub struct Hooks {
    pub published: Spread,
    pub answered: Spread,
    pub confirmed: Spread,
    /// Confirmed hooks to what was only published.
    pub ratio: f64,
}

pub fn hooks(windlass: &Path, rounds: usize, logs: &Path) -> Result<Hooks> {
    ensure!(rounds <= VHOSTS, "at most {VHOSTS} rounds of hooks");
    let broker = Broker::start()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let (mut published, mut answered, mut confirmed) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds {
        // A vhost and a worker of its own for each round: the worker counts hooks by the minute.
        let vhost = format!("v{round}");
        published.push(rate(runtime.block_on(publish(&broker.url(&vhost)))?));
        let worker = Worker::start(windlass, &broker, &vhost, &logs.join("hooks.log"))?;
        let requests = worker.requests(round)?;
        let (client, arrived) = runtime.block_on(measure(&broker.url(&vhost), &requests))?;
        answered.push(rate(client));
        confirmed.push(rate(arrived));
        eprintln!(
            "bench: hooks, round {}: {:.0}/s published, {:.0}/s answered, {:.0}/s confirmed",
            round + 1,
            rate_of(&published),
            rate_of(&answered),
            rate_of(&confirmed)
        );
    }
    let spread = |values: &[f64]| Spread::of(values).context("no rounds");
    let (published, answered) = (spread(&published)?, spread(&answered)?);
    let confirmed = spread(&confirmed)?;
    Ok(Hooks {
        ratio: confirmed.median / published.median,
        published,
        answered,
        confirmed,
    })
}

fn rate(took: Duration) -> f64 {
    f64::from(u32::try_from(HOOKS).unwrap_or(u32::MAX)) / took.as_secs_f64()
}

fn rate_of(rates: &[f64]) -> f64 {
    rates.last().copied().unwrap_or_default()
}

/// The yardstick: as many events of that size into a quorum queue, each confirmed.
async fn publish(url: &str) -> Result<Duration> {
    let connection = connect(url).await?;
    let channel = connection.create_channel().await?;
    let mut arguments = FieldTable::default();
    let quorum = AMQPValue::LongString("quorum".into());
    arguments.insert("x-queue-type".into(), quorum);
    channel
        .queue_declare("raw".into(), QueueDeclareOptions::durable(), arguments)
        .await?;
    channel
        .confirm_select(ConfirmSelectOptions::default())
        .await?;
    // As large as an event with its attributes.
    let body: Arc<[u8]> = Arc::from(vec![b'x'; 300]);
    let permits = Arc::new(Semaphore::new(IN_FLIGHT));
    let mut sending = JoinSet::new();
    let began = Instant::now();
    for _ in 0..HOOKS {
        let permit = Arc::clone(&permits).acquire_owned().await?;
        let (channel, body) = (channel.clone(), Arc::clone(&body));
        sending.spawn(async move {
            let _permit = permit;
            send(&channel, &body).await
        });
    }
    while let Some(sent) = sending.join_next().await {
        sent??;
    }
    let took = began.elapsed();
    connection.close(200, "done".into()).await?;
    Ok(took)
}

async fn send(channel: &Channel, body: &[u8]) -> Result<()> {
    let options = BasicPublishOptions {
        mandatory: true,
        ..BasicPublishOptions::default()
    };
    let properties = BasicProperties::default().with_delivery_mode(2);
    let sending = channel.basic_publish("".into(), "raw".into(), options, body, properties);
    let confirmation = sending.await?.await?;
    ensure!(confirmation.is_ack(), "the broker did not take a message");
    Ok(())
}

/// How long the client took, and how long until the last event had arrived.
async fn measure(url: &str, requests: &Path) -> Result<(Duration, Duration)> {
    let connection = connect(url).await?;
    let mut arrivals = watch(&connection).await?;
    let began = Instant::now();
    let client = tokio::process::Command::new("curl")
        .args(["--silent", "--parallel", "--parallel-max"])
        .arg(IN_FLIGHT.to_string())
        .arg("--config")
        .arg(requests)
        .kill_on_drop(true)
        .output();
    let client = async {
        let output = client.await?;
        anyhow::Ok((output, began.elapsed()))
    };
    let arrived = async {
        for _ in 0..HOOKS {
            let next = tokio::time::timeout(PATIENCE, arrivals.next()).await;
            let next = next.context("not all events reached the broker")?;
            next.context("the broker ended the consumer")??;
        }
        anyhow::Ok(began.elapsed())
    };
    let ((output, client), arrived) = tokio::try_join!(client, arrived)?;
    let answers = String::from_utf8_lossy(&output.stdout);
    let taken = answers.lines().filter(|line| *line == "202").count();
    ensure!(taken == HOOKS, "{taken} of {HOOKS} hooks were taken");
    connection.close(200, "done".into()).await?;
    Ok((client, arrived))
}

async fn connect(url: &str) -> Result<Connection> {
    let properties = ConnectionProperties::default().with_connection_name("bench".into());
    Ok(Connection::connect(url, properties).await?)
}

/// Every event that wakes, from now on.
async fn watch(connection: &Connection) -> Result<Consumer> {
    let channel = connection.create_channel().await?;
    let options = QueueDeclareOptions {
        exclusive: true,
        ..QueueDeclareOptions::default()
    };
    let queue = channel.queue_declare("".into(), options, FieldTable::default());
    let queue = queue.await?.name().clone();
    let key = "cluster.bench.moved".into();
    let (options, arguments) = (QueueBindOptions::default(), FieldTable::default());
    channel
        .queue_bind(queue.clone(), "windlass.v1".into(), key, options, arguments)
        .await?;
    let options = BasicConsumeOptions {
        no_ack: true,
        ..BasicConsumeOptions::default()
    };
    let consumer = channel.basic_consume(queue, "".into(), options, FieldTable::default());
    Ok(consumer.await?)
}

/// A worker that watches a repository whose definitions are broken: what its hooks wake ends at once, on no node.
struct Worker {
    process: Child,
    dir: tempfile::TempDir,
    url: String,
}

impl Drop for Worker {
    fn drop(&mut self) {
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

impl Worker {
    fn start(windlass: &Path, broker: &Broker, vhost: &str, log: &Path) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let at = dir.path();
        repository(&at.join("cluster"))?;
        fs::write(at.join("password"), PASSWORD)?;
        fs::write(at.join("secret"), SECRET)?;
        let listen = SocketAddr::from(([127, 0, 0, 1], port::free()?));
        let config = format!(
            "state: state\nlisten: {listen}\nhook: {{ secret_files: [secret] }}\nsweep: 1h\n\
             queue: amqp://{USER}@{}/{vhost}\nbroker: {{ password_file: password }}\n\
             clusters:\n  - {{ name: bench, poll: 1h, repository: {{ url: {} }} }}\n",
            broker.node(0).address(),
            at.join("cluster").display()
        );
        fs::write(at.join("worker.yaml"), config)?;
        let log = File::create(log)?;
        let process = Command::new(windlass)
            .args(["worker", "--config"])
            .arg(at.join("worker.yaml"))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("cannot start the worker")?;
        let worker = Self {
            process,
            url: format!("http://{listen}"),
            dir,
        };
        wait_until(PATIENCE, || worker.has_looked()).context("the worker does not look")?;
        Ok(worker)
    }

    fn has_looked(&self) -> bool {
        let url = format!("{}/api/v1/rolls", self.url);
        let answer = Command::new("curl").args(["--silent", &url]).output();
        answer.is_ok_and(|answer| answer.stdout.starts_with(b"[{"))
    }

    /// For curl: the hooks of one round.
    fn requests(&self, round: usize) -> Result<PathBuf> {
        let body = self.dir.path().join("body");
        fs::write(&body, BODY)?;
        let digest = Command::new("openssl")
            .args(["dgst", "-r", "-sha256", "-hmac", SECRET])
            .arg(&body)
            .output()?;
        let digest = String::from_utf8_lossy(&digest.stdout).into_owned();
        let signature = digest.split(' ').next().context("no signature")?;
        let one = |number| {
            format!(
                "url = {}/hooks/git\nheader = \"X-Windlass-Signature: sha256={signature}\"\n\
                 header = \"X-Windlass-Delivery: {round}-{number}\"\ndata-binary = @{}\n\
                 output = /dev/null\nwrite-out = \"%{{http_code}}\\n\"\n",
                self.url,
                body.display()
            )
        };
        let all: Vec<String> = (0..HOOKS).map(one).collect();
        let path = self.dir.path().join("requests");
        fs::write(&path, all.join("next\n"))?;
        Ok(path)
    }
}

fn repository(dir: &Path) -> Result<()> {
    fs::create_dir(dir)?;
    fs::write(dir.join("cluster.yaml"), "name: [")?;
    let git = |words: &[&str]| {
        let mut git = Command::new("git");
        git.arg("-C").arg(dir);
        git.args([
            "-c",
            "user.name=bench",
            "-c",
            "user.email=bench@example.org",
        ]);
        succeed(git.args(words))
    };
    git(&["init", "--quiet", "--initial-branch=main"])?;
    git(&["add", "--all"])?;
    git(&["commit", "--quiet", "--message", "Broken"])
}
