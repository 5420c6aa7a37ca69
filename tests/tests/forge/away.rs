//! A forge that is away for longer than anyone waits.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use anyhow::{Context as _, Result};
use serde_json::Value;
use windlass_tests::forge::{Flavour, Word};

use super::place::{APP, Place, component};

/// Whether an event waits that was tried so often already.
fn waits(place: &Place, attempts: u64) -> Result<bool> {
    let mut stream = TcpStream::connect(("127.0.0.1", place.port))?;
    write!(
        stream,
        "GET /api/v1/events HTTP/1.1\r\nHost: worker\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (_, body) = answer.split_once("\r\n\r\n").context("a body")?;
    let events: Vec<Value> = serde_json::from_str(body)?;
    Ok(events
        .iter()
        .any(|event| event["state"] == "ready" && event["attempts"].as_u64() >= Some(attempts)))
}

#[test]
#[ignore = "lab: needs root"]
fn what_waits_for_the_forge_is_looked_at_as_soon_as_it_answers() -> Result<()> {
    let place = Place::make(Flavour::GitHub)?;
    place.fake.state().away = true;
    let head = place
        .fake
        .open(12, "alice", &[(APP, &component("2", "true"))]);
    assert_eq!(place.deliver("opened", Word::Opened(12)), 202);
    place.until("a long pause", |_| waits(&place, 4).unwrap_or(false))?;
    place.fake.state().away = false;
    place.says(12, "merging would change 1 of 1 node")?;
    place.has_status(&head, "success", "would change 1 of 1 node")?;
    // The event that the webhook left has its pause before it still.
    assert!(waits(&place, 4)?);
    Ok(())
}
