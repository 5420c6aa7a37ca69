//! Events as messages: CloudEvents' AMQP binding, structured. The body is the whole event; its attributes are
//! headers as well, so that a person or another program can see what a message is without opening it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use lapin::BasicProperties;
use lapin::message::Delivery;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::queue::queued::{is_plain, made_up_id, named};
use crate::queue::{Event, ToldEvent};

const CONTENT_TYPE: &str = "application/cloudevents+json; charset=utf-8";
/// How many attempts came before, by whichever worker.
const TRIED: &str = "windlass-tried";
/// How often the work on it broke, at whichever worker. Absent from what an older version published.
const BROKE: &str = "windlass-broke";
/// Why it was put back or given up.
const WHY: &str = "windlass-why";
const PERSISTENT: u8 = 2;
/// What is told of a reason; the log has the rest.
const MAX_WHY: usize = 2000;

/// What is known of the attempts before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Count {
    /// How many attempts came before.
    pub(super) tried: u32,
    /// How many of them broke.
    pub(super) broke: u32,
}

/// A message to be published.
#[derive(Debug, Clone)]
pub(super) struct Outgoing {
    pub(super) body: Vec<u8>,
    pub(super) properties: BasicProperties,
}

pub(super) fn outgoing(event: &Event) -> Result<Outgoing, String> {
    made(event, &event.id)
}

pub(super) fn told(event: &ToldEvent) -> Result<Outgoing, String> {
    made(event, &event.id)
}

fn made(event: &impl Serialize, id: &str) -> Result<Outgoing, String> {
    let body = serde_json::to_vec(event).map_err(|error| error.to_string())?;
    let whole = serde_json::to_value(event).map_err(|error| error.to_string())?;
    let mut headers = FieldTable::default();
    for attribute in ["specversion", "id", "type", "source", "subject", "time"] {
        if let Some(value) = whole.get(attribute).and_then(serde_json::Value::as_str) {
            insert(&mut headers, &format!("cloudEvents:{attribute}"), value);
        }
    }
    let properties = marked(BasicProperties::default(), headers, Count::default(), "")
        .with_content_type(CONTENT_TYPE.into())
        .with_delivery_mode(PERSISTENT)
        .with_app_id("windlass".into());
    // A longer id than the property can hold stands in the body and the headers.
    let properties = match ShortString::try_new(id) {
        Ok(id) => properties.with_message_id(id),
        Err(_) => properties,
    };
    Ok(Outgoing { body, properties })
}

/// What stood in the outbox and is no event of this version, as it is.
pub(super) fn unreadable(id: &str, body: &str, why: &str) -> Outgoing {
    let mut headers = FieldTable::default();
    insert(&mut headers, "cloudEvents:id", id);
    let properties = marked(BasicProperties::default(), headers, Count::default(), why);
    Outgoing {
        body: body.as_bytes().to_vec(),
        properties: properties
            .with_content_type(CONTENT_TYPE.into())
            .with_delivery_mode(PERSISTENT)
            .with_app_id("windlass".into()),
    }
}

/// The same message once more, with another count or reason.
pub(super) fn again(delivery: &Delivery, count: Count, why: &str) -> Outgoing {
    let mut headers = delivery.properties.headers().clone().unwrap_or_default();
    // What the broker adds when it moves a message must not be taken for ours.
    let ours = headers
        .inner()
        .iter()
        .filter(|(name, _)| !name.as_str().starts_with("x-"));
    headers = ours
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect::<BTreeMap<_, _>>()
        .into();
    Outgoing {
        body: delivery.data.clone(),
        properties: marked(delivery.properties.clone(), headers, count, why),
    }
}

fn marked(
    properties: BasicProperties,
    mut headers: FieldTable,
    count: Count,
    why: &str,
) -> BasicProperties {
    headers.insert(TRIED.into(), AMQPValue::LongUInt(count.tried));
    headers.insert(BROKE.into(), AMQPValue::LongUInt(count.broke));
    let why: String = why.chars().take(MAX_WHY).collect();
    insert(&mut headers, WHY, &why);
    properties.with_headers(headers)
}

fn insert(headers: &mut FieldTable, name: &str, value: &str) {
    headers.insert(name.into(), AMQPValue::LongString(value.into()));
}

pub(super) fn parse<E: DeserializeOwned>(delivery: &Delivery) -> Result<E, String> {
    serde_json::from_slice(&delivery.data)
        .map_err(|error| format!("not an event of this version: {error}"))
}

/// The number of this attempt: 1 for the first. That the broker gave it out before counts as one, however often it
/// did: that tells more about connections than about the event.
pub(super) fn attempt(delivery: &Delivery) -> u32 {
    let tried = count(delivery).tried;
    let given_out = delivery.redelivered || number(delivery, "x-delivery-count").unwrap_or(0) > 0;
    tried.saturating_add(1).saturating_add(u32::from(given_out))
}

/// How many attempts its sender knew of.
pub(super) fn count(delivery: &Delivery) -> Count {
    Count {
        tried: number(delivery, TRIED).unwrap_or(0),
        broke: number(delivery, BROKE).unwrap_or(0),
    }
}

/// Why a dead letter is dead.
pub(super) fn why(delivery: &Delivery) -> String {
    match moved_for(delivery).as_deref() {
        Some("delivery_limit") => {
            "the broker gave it out too often: is it what ends the workers?".to_owned()
        }
        Some(reason) => format!("the broker moved it here: {reason}"),
        None => header(delivery, WHY).and_then(string).unwrap_or_default(),
    }
}

/// Why the broker itself moved a message last.
fn moved_for(delivery: &Delivery) -> Option<String> {
    let AMQPValue::FieldArray(deaths) = header(delivery, "x-death")? else {
        return None;
    };
    let AMQPValue::FieldTable(latest) = deaths.as_slice().first()? else {
        return None;
    };
    string(latest.inner().get("reason")?)
}

/// When its event was published, readable or not.
pub(super) fn published(delivery: &Delivery) -> Option<Timestamp> {
    let body: serde_json::Value = serde_json::from_slice(&delivery.data).ok()?;
    body.get("time")?.as_str()?.parse().ok()
}

/// The event's id, readable or not; one made from its body where it has none that can be told.
pub(super) fn id(delivery: &Delivery) -> String {
    let of_header = || header(delivery, "cloudEvents:id").and_then(string);
    let of_property = || {
        delivery
            .properties
            .message_id()
            .as_ref()
            .map(ToString::to_string)
    };
    // Not as an event: one of another version has an id all the same.
    let of_body = || {
        let body: serde_json::Value = serde_json::from_slice(&delivery.data).ok()?;
        named(&body, "id")
    };
    let given = of_body().or_else(of_header).or_else(of_property);
    given
        .filter(|id| is_plain(id))
        .unwrap_or_else(|| made_up_id(&delivery.data))
}

fn header<'a>(delivery: &'a Delivery, name: &str) -> Option<&'a AMQPValue> {
    delivery.properties.headers().as_ref()?.inner().get(name)
}

fn number(delivery: &Delivery, name: &str) -> Option<u32> {
    match header(delivery, name)? {
        AMQPValue::LongUInt(number) => Some(*number),
        AMQPValue::LongInt(number) => u32::try_from(*number).ok(),
        AMQPValue::LongLongInt(number) => u32::try_from(*number).ok(),
        _ => None,
    }
}

fn string(value: &AMQPValue) -> Option<String> {
    match value {
        AMQPValue::LongString(text) => Some(text.to_string()),
        AMQPValue::ShortString(text) => Some(text.to_string()),
        _ => None,
    }
}
