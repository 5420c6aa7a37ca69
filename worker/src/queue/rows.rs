//! The embedded queue's table: its statements, and what its rows mean.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use uuid::Uuid;
use windlass_core::ids::ClusterName;

use super::port::Figures;
use super::{Content, Event, EventKind, Lane, Lease, QueueError, QueueState, Queued, Unreadable};

/// How long done events are remembered, so that the same id is not taken for a new one.
const REMEMBERED_MS: i64 = 7 * 24 * 3600 * 1000;
pub(super) const CLUSTER_LANE: &str = "cluster";

pub(super) const LISTED: &str =
    "SELECT body, state, attempts, due, why, id, cluster, queue FROM event";

pub(super) fn now() -> i64 {
    Timestamp::now().as_millisecond()
}

pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 4)
}

/// An event as its row holds it.
pub(super) struct Queueable {
    pub(super) id: String,
    pub(super) cluster: String,
    pub(super) queue: &'static str,
    pub(super) body: String,
}

/// The name of the queue that an event waits in: its kind's own one in the shared lane, as at a broker.
fn queue_of(kind: EventKind) -> &'static str {
    match kind.lane() {
        Lane::Cluster => CLUSTER_LANE,
        Lane::Shared => kind.key(),
    }
}

/// Whose events are looked for, as the statements' parameters.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    clusters: String,
    queues: String,
    /// The queues that give out one event at a time.
    serial: String,
}

impl Wanted {
    pub(super) fn of(clusters: &[ClusterName], lane: Lane) -> Result<Self, QueueError> {
        let kinds = || EventKind::ALL.into_iter();
        let queues: Vec<&str> = kinds().filter(|k| k.lane() == lane).map(queue_of).collect();
        let serial = kinds().filter(|kind| lane == Lane::Cluster || kind.is_serial());
        let serial: Vec<&str> = serial.map(queue_of).collect();
        let json = |list: &[&str]| serde_json::to_string(list);
        let made = serde_json::to_string(clusters).and_then(|clusters| {
            Ok(Self {
                clusters,
                queues: json(&queues)?,
                serial: json(&serial)?,
            })
        });
        made.map_err(|error| QueueError::Backend(error.to_string()))
    }
}

pub(super) fn queueable(event: &Event) -> Result<Queueable, QueueError> {
    let body = serde_json::to_string(event);
    Ok(Queueable {
        id: event.id.clone(),
        cluster: event.subject.to_string(),
        queue: queue_of(event.kind),
        body: body.map_err(|e| QueueError::Backend(e.to_string()))?,
    })
}

pub(super) fn insert(connection: &mut Connection, event: &Queueable) -> rusqlite::Result<usize> {
    let now = now();
    let transaction = connection.transaction()?;
    transaction.execute(
        "DELETE FROM event WHERE state = 'done' AND due < ?1",
        [now - REMEMBERED_MS],
    )?;
    let added = add(&transaction, event, now)?;
    transaction.commit()?;
    Ok(added)
}

fn add(connection: &Connection, event: &Queueable, now: i64) -> rusqlite::Result<usize> {
    connection.execute(
        "INSERT INTO event (id, cluster, body, state, published, due, queue)
         VALUES (?1, ?2, ?3, 'ready', ?4, ?4, ?5) ON CONFLICT (id) DO NOTHING",
        params![event.id, event.cluster, event.body, now, event.queue],
    )
}

/// Whether the event was still held; only then it is done, and what follows from it is there.
pub(super) fn done(
    connection: &mut Connection,
    token: &str,
    then: &[Queueable],
) -> rusqlite::Result<bool> {
    let now = now();
    let transaction = connection.transaction()?;
    let changed = transaction.execute(
        "UPDATE event SET state = 'done', lease = NULL, due = ?2, why = ''
         WHERE lease = ?1 AND state = 'leased'",
        params![token, now],
    )?;
    if changed == 0 {
        return Ok(false);
    }
    for event in then {
        add(&transaction, event, now)?;
    }
    transaction.commit()?;
    Ok(true)
}

pub(super) enum Taken {
    Event(Box<Lease>),
    /// An event of another version; it was put among the dead.
    Unreadable,
    Nothing {
        wait_ms: u64,
    },
}

/// The oldest event that is due, a roll's next turn before all others; nothing of a queue that gives out one at a
/// time while another one of it is held.
const TAKE: &str = "
    UPDATE event SET state = 'leased', lease = ?2, leased_until = ?1 + ?3, attempts = attempts + 1
    WHERE seq = (
        SELECT seq FROM event AS mine
        WHERE cluster IN (SELECT value FROM json_each(?4)) AND queue IN (SELECT value FROM json_each(?5))
          AND ((state = 'ready' AND due <= ?1) OR (state = 'leased' AND leased_until <= ?1))
          AND (queue NOT IN (SELECT value FROM json_each(?6)) OR NOT EXISTS (
            SELECT 1 FROM event AS held WHERE held.cluster = mine.cluster AND held.queue = mine.queue
              AND held.state = 'leased' AND held.leased_until > ?1))
        ORDER BY json_extract(body, '$.type') IS NOT 'windlass.roll.turn.v1', seq LIMIT 1)
    RETURNING seq, body, attempts, breaks";

pub(super) fn take(
    connection: &Connection,
    wanted: &Wanted,
    patience: i64,
) -> rusqlite::Result<Taken> {
    let now = now();
    let token = Uuid::new_v4().to_string();
    let Wanted {
        clusters,
        queues,
        serial,
    } = wanted;
    let row: Option<(i64, String, u32, u32)> = connection
        .prepare_cached(TAKE)?
        .query_row(
            params![now, token, patience, clusters, queues, serial],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
        )
        .optional()?;
    let Some((seq, body, attempt, breaks)) = row else {
        return nothing(connection, wanted, now);
    };
    match serde_json::from_str(&body) {
        Ok(event) => Ok(Taken::Event(Box::new(Lease {
            event,
            attempt,
            breaks,
            token,
        }))),
        Err(error) => {
            connection.execute(
                "UPDATE event SET state = 'dead', lease = NULL, why = ?2 WHERE seq = ?1",
                params![seq, format!("not an event of this version: {error}")],
            )?;
            Ok(Taken::Unreadable)
        }
    }
}

/// How long until an event becomes due or a lease runs out.
fn nothing(connection: &Connection, wanted: &Wanted, now: i64) -> rusqlite::Result<Taken> {
    let next: Option<i64> = connection
        .prepare_cached(
            "SELECT min(CASE state WHEN 'ready' THEN due ELSE leased_until END) FROM event
             WHERE cluster IN (SELECT value FROM json_each(?1)) AND queue IN (SELECT value FROM json_each(?2))
               AND state IN ('ready', 'leased')
               AND (CASE state WHEN 'ready' THEN due ELSE leased_until END) > ?3",
        )?
        .query_row(params![wanted.clusters, wanted.queues, now], |row| {
            row.get(0)
        })?;
    let wait_ms = next.map_or(u64::MAX, |next| {
        u64::try_from(next - now).unwrap_or(0).max(1)
    });
    Ok(Taken::Nothing { wait_ms })
}

pub(super) fn queued(row: &Row<'_>) -> rusqlite::Result<Queued> {
    let body: String = row.get(0)?;
    let state: String = row.get(1)?;
    let state = match state.as_str() {
        "ready" => QueueState::Ready,
        "leased" => QueueState::Leased,
        "dead" => QueueState::Dead,
        _ => QueueState::Done,
    };
    let due = Timestamp::from_millisecond(row.get(3)?).unwrap_or(Timestamp::UNIX_EPOCH);
    let event = match serde_json::from_str(&body) {
        Ok(event) => Content::Event(event),
        Err(_) => {
            let (cluster, queue): (String, String) = (row.get(6)?, row.get(7)?);
            let place = name_of(&cluster, &queue);
            let mut told = Unreadable::of(row.get(5)?, body.as_bytes(), &place);
            told.subject = Some(cluster);
            Content::Unreadable(told)
        }
    };
    Ok(Queued {
        event,
        state,
        attempts: row.get(2)?,
        due,
        why: row.get(4)?,
    })
}

/// What metrics and lists call a cluster's queue.
fn name_of(cluster: &str, queue: &str) -> String {
    if queue == CLUSTER_LANE {
        format!("cluster.{cluster}")
    } else {
        format!("shared.{cluster}.{queue}")
    }
}

/// Every queue that has held something lately, and where the dead of each kind are.
pub(super) fn figures(connection: &Connection) -> rusqlite::Result<BTreeMap<String, Figures>> {
    let mut queues = BTreeMap::<String, Figures>::new();
    let mut statement = connection.prepare_cached(
        "SELECT cluster, queue, state, CASE WHEN json_valid(body) THEN json_extract(body, '$.type') END AS type,
                count(*), min(published), sum(max(attempts - 1, 0))
         FROM event GROUP BY cluster, queue, state, type",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (cluster, queue): (String, String) = (row.get(0)?, row.get(1)?);
        let (state, kind): (String, Option<String>) = (row.get(2)?, row.get(3)?);
        let (count, published): (u32, i64) = (row.get(4)?, row.get(5)?);
        let (count, retries) = (u64::from(count), row.get::<_, u32>(6)?);
        let place = name_of(&cluster, &queue);
        queues.entry(place.clone()).or_default().retries += u64::from(retries);
        let figures = match state.as_str() {
            "done" => continue,
            "dead" => {
                let kind = kind.and_then(|kind| serde_json::from_value(kind.into()).ok());
                let kind = kind.map_or("unknown", EventKind::key);
                queues.entry(format!("dead.{kind}")).or_default()
            }
            _ => queues.entry(place).or_default(),
        };
        let ready = figures.ready.get_or_insert(0);
        match state.as_str() {
            "leased" => figures.held += count,
            _ => *ready += count,
        }
        if let Ok(published) = Timestamp::from_millisecond(published) {
            figures.saw(published);
        }
    }
    for figures in queues.values_mut() {
        figures.ready.get_or_insert(0);
    }
    Ok(queues)
}
