//! The broker as `docker/compose.yaml` configures it.

use std::fs;
use std::time::Duration;

use anyhow::{Result, ensure};
use windlass::queue::EventQueue;
use windlass::queue::amqp::{AmqpQueue, Settings};
use windlass_tests::broker::Broker;

use super::place::{event, take, trouble};

const LONG: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn the_user_has_the_password_of_its_file_and_the_rights_that_a_worker_needs() -> Result<()> {
    let configuration = include_str!("../../../docker/rabbitmq.conf");
    // As `openssl rand -hex 32` writes it.
    let broker = Broker::composed(configuration, &[("broker-password", "of the file\n")])?;
    let dir = tempfile::tempdir()?;
    let password = dir.path().join("password");
    fs::write(&password, "another\n")?;
    let address = broker.node(0).address();
    let mut settings = Settings::new(&format!("amqp://windlass@{address}/windlass"))?;
    settings.password_file = Some(password.clone());
    let store = windlass::store::Store::open(&dir.path().join("w.db"))?;
    let queue = AmqpQueue::start(settings, store, LONG);
    trouble(&queue, "broker.password_file").await?;
    fs::write(&password, "of the file\n")?;
    queue.publish(&event("1")).await?;
    let lease = take(&queue).await?;
    queue.ack(lease, &[]).await?;
    queue.close().await;
    let ask = |words: &[&str]| broker.node(0).ctl(words);
    ensure!(
        ask(&["list_users"])?.contains("windlass\t[]"),
        "it is no administrator"
    );
    let rights = ask(&["list_user_permissions", "windlass"])?;
    ensure!(rights.matches("windlass\\..*").count() == 3, "{rights}");
    Ok(())
}
