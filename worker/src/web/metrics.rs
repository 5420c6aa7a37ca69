//! `GET /metrics` in Prometheus' text format. Every figure is derived from the database, and the broker where there is
//! one, when it is asked for, so that there is nothing to count twice or forget over a restart.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::api::Api;
use super::certificates;
use crate::queue::{BrokerFigures, EventQueue};
use crate::store::{Store, StoreError};

const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A metric with the query that gives its rows: cluster, a second label's value, number.
struct Metric {
    name: &'static str,
    help: &'static str,
    kind: &'static str,
    label: &'static str,
    sql: &'static str,
}

const METRICS: [Metric; 6] = [
    Metric {
        name: "windlass_rolls",
        help: "Rolls in the history, by outcome.",
        kind: "gauge",
        label: "outcome",
        sql: "SELECT cluster, outcome, count(*) FROM report GROUP BY cluster, outcome",
    },
    Metric {
        name: "windlass_last_roll_timestamp_seconds",
        help: "When the latest roll of each outcome ended.",
        kind: "gauge",
        label: "outcome",
        sql: "SELECT cluster, outcome, max(ended) / 1000 FROM report GROUP BY cluster, outcome",
    },
    Metric {
        name: "windlass_events",
        help: "Events here that are not done, by state; with a broker those it has not confirmed (waiting) or holds back (delayed).",
        kind: "gauge",
        label: "state",
        sql: "SELECT cluster, state, count(*) FROM (
                  SELECT cluster, state FROM event UNION ALL SELECT cluster, state FROM broker_event)
              WHERE state NOT IN ('done', 'sent') GROUP BY cluster, state",
    },
    Metric {
        name: "windlass_oldest_event_timestamp_seconds",
        help: "When the oldest event that is not done was published, by state.",
        kind: "gauge",
        label: "state",
        sql: "SELECT cluster, state, min(published) / 1000 FROM (
                  SELECT cluster, state, published FROM event UNION ALL SELECT cluster, state, at FROM broker_event)
              WHERE state NOT IN ('done', 'sent') GROUP BY cluster, state",
    },
    Metric {
        name: "windlass_event_retries",
        help: "How often events that are still remembered had to be tried again.",
        kind: "gauge",
        label: "",
        sql: "SELECT cluster, '', sum(again) FROM (
                  SELECT cluster, max(attempts - 1, 0) AS again FROM event
                  UNION ALL SELECT cluster, attempts FROM broker_event) GROUP BY cluster",
    },
    Metric {
        name: "windlass_quarantined_bundles",
        help: "Bundles that were rolled back and are not tried again.",
        kind: "gauge",
        label: "",
        sql: "SELECT cluster, '', count(*) FROM quarantine GROUP BY cluster",
    },
];

pub async fn metrics<Q: EventQueue>(State(api): State<Arc<Api<Q>>>) -> Response {
    match text(&api.store).await {
        Ok(mut text) => {
            certificates::metrics(&mut text, &api.sightings);
            if let Some(figures) = api.queue.broker().await {
                of_broker(&mut text, &figures);
            }
            ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "metrics could not be read");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

fn of_broker(text: &mut String, figures: &BrokerFigures) {
    let mut gauge = |name: &str, help: &str, rows: Vec<(String, i64)>| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
        for (labels, number) in rows {
            let _ = writeln!(text, "{name}{labels} {number}");
        }
    };
    gauge(
        "windlass_broker_connected",
        "Whether the worker has a session with the broker.",
        vec![(String::new(), i64::from(figures.connected))],
    );
    let messages = figures.messages.iter().map(|(queue, number)| {
        let number = i64::try_from(*number).unwrap_or(i64::MAX);
        (format!("{{queue=\"{queue}\"}}"), number)
    });
    gauge(
        "windlass_queue_messages",
        "Messages in each queue that nobody was given, and those that this worker was given and has not answered.",
        messages.collect(),
    );
    let oldest = figures
        .oldest
        .iter()
        .map(|(queue, published)| (format!("{{queue=\"{queue}\"}}"), published.as_second()));
    gauge(
        "windlass_queue_oldest_event_timestamp_seconds",
        "When the oldest event of each queue was published that this worker was given and has not answered.",
        oldest.collect(),
    );
}

async fn text(store: &Store) -> Result<String, StoreError> {
    store
        .call(|connection| -> Result<String, StoreError> {
            let mut text = String::new();
            for metric in &METRICS {
                let Metric {
                    name, help, kind, ..
                } = metric;
                // Writing to a String cannot fail.
                let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
                let mut statement = connection.prepare_cached(metric.sql)?;
                let rows = statement.query_map([], |row| {
                    Ok((
                        row.get::<_, String>(0)?,
                        row.get::<_, String>(1)?,
                        row.get::<_, i64>(2)?,
                    ))
                })?;
                for row in rows {
                    let (cluster, value, number) = row?;
                    let label = match metric.label {
                        "" => String::new(),
                        label => format!(",{label}=\"{value}\""),
                    };
                    let _ = writeln!(text, "{name}{{cluster=\"{cluster}\"{label}}} {number}");
                }
            }
            Ok(text)
        })
        .await
}
