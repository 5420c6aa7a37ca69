//! A broker that says no: what is told, and that mending it is enough.

use std::fs;
use std::time::Duration;

use anyhow::Result;
use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;
use lapin::{Connection, ConnectionProperties};
use windlass::queue::EventQueue;
use windlass::queue::amqp::{AmqpQueue, Settings};
use windlass_tests::broker::{PASSWORD, Version};

use super::place::{Place, event, on_each_broker, take, trouble};

on_each_broker!(
    credentials_vhost_and_declarations_are_told_with_what_mends_them,
    with_tls_each_side_proves_itself,
);

const LONG: Duration = Duration::from_secs(60);

async fn credentials_vhost_and_declarations_are_told_with_what_mends_them(
    version: Version,
) -> Result<()> {
    let place = Place::start(version)?;
    let node = place.broker.node(0);

    // The password is read anew for every attempt.
    let file = tempfile::NamedTempFile::new()?;
    fs::write(&file, "wrong")?;
    let mut settings = Settings::new(&place.broker.url("v0"))?;
    settings.password_file = Some(file.path().to_owned());
    let queue = AmqpQueue::start(settings, place.store("password")?, LONG);
    queue.publish(&event("1")).await?;
    trouble(&queue, "broker.password_file").await?;
    fs::write(&file, format!("{PASSWORD}\n"))?;
    assert_eq!(take(&queue).await?.event.id, "1");
    queue.close().await;

    let queue = place.queue(&place.broker.url("nowhere"), "vhost", LONG)?;
    queue.publish(&event("1")).await?;
    trouble(&queue, "rabbitmqctl add_vhost nowhere").await?;
    node.ctl(&["add_vhost", "nowhere"])?;
    let all = [
        "windlass",
        "windlass\\..*",
        "windlass\\..*",
        "windlass\\..*",
    ];
    node.ctl(&[&["set_permissions", "--vhost", "nowhere"], &all[..]].concat())?;
    assert_eq!(
        take(&queue).await?.event.id,
        "1",
        "the rights that docs/queue.md gives are enough"
    );
    queue.close().await;

    let name = "windlass.v1.cluster.example";
    let other =
        Connection::connect(&place.broker.url("v1"), ConnectionProperties::default()).await?;
    let declared = other.create_channel().await?;
    let classic = QueueDeclareOptions::durable();
    declared
        .queue_declare(name.into(), classic, FieldTable::default())
        .await?;
    let queue = place.queue(&place.broker.url("v1"), "declared", LONG)?;
    queue.publish(&event("1")).await?;
    trouble(&queue, &format!("rabbitmqctl delete_queue {name}")).await?;
    node.ctl(&["delete_queue", "--vhost", "v1", name])?;
    assert_eq!(take(&queue).await?.event.id, "1");
    queue.close().await;
    other.close(200, "done".into()).await?;
    Ok(())
}

async fn with_tls_each_side_proves_itself(version: Version) -> Result<()> {
    let place = Place::start(version)?;
    let certificates = place.broker.certificates();
    let url = format!("{}?auth_mechanism=external", place.broker.tls_url("v0"));
    let mut settings = Settings::new(&url)?;
    let start = |settings: &Settings, name: &str| -> Result<AmqpQueue> {
        Ok(AmqpQueue::start(settings.clone(), place.store(name)?, LONG))
    };

    let queue = start(&settings, "stranger")?;
    trouble(&queue, "UnknownIssuer").await?;
    queue.close().await;

    settings.ca_file = Some(certificates.authority.clone());
    let queue = start(&settings, "anonymous")?;
    trouble(&queue, "is away").await?;
    assert!(!queue.is_connected());
    queue.close().await;

    settings.certificate_file = Some(certificates.client.clone());
    let queue = start(&settings, "known")?;
    queue.publish(&event("1")).await?;
    assert_eq!(take(&queue).await?.event.id, "1");
    queue.close().await;
    Ok(())
}
