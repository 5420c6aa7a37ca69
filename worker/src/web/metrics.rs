//! `GET /metrics` in Prometheus' text format. Every figure is derived from the database, and the broker where there is
//! one, when it is asked for, so that there is nothing to count twice or forget over a restart.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::api::Api;
use super::certificates;
use crate::queue::{EventQueue, Figures, QueueFigures};
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

const METRICS: [Metric; 5] = [
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
            of_queues(&mut text, &api.queue.figures().await);
            ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "metrics could not be read");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

fn of_queues(text: &mut String, figures: &QueueFigures) {
    let mut gauge = |name: &str, help: &str, rows: Vec<(String, i64)>| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
        for (labels, number) in rows {
            let _ = writeln!(text, "{name}{labels} {number}");
        }
    };
    if let Some(connected) = figures.connected {
        gauge(
            "windlass_broker_connected",
            "Whether the worker has a session with the broker.",
            vec![(String::new(), i64::from(connected))],
        );
    }
    let of_each = |number: fn(&Figures) -> Option<i64>, more: &str| -> Vec<(String, i64)> {
        let numbers = figures.queues.iter().filter_map(|(queue, figures)| {
            Some((format!("{{queue=\"{queue}\"{more}}}"), number(figures)?))
        });
        numbers.collect()
    };
    let mut messages = of_each(|it| it.ready.map(bounded), ",state=\"ready\"");
    messages.extend(of_each(
        |it| (it.held > 0).then(|| bounded(it.held)),
        ",state=\"held\"",
    ));
    gauge(
        "windlass_queue_messages",
        "Messages in each queue: those that no worker was given (ready), and those that this worker was given and has not answered (held).",
        messages,
    );
    gauge(
        "windlass_queue_oldest_event_timestamp_seconds",
        "When the oldest event of each queue was published, of those that can be seen from this worker.",
        of_each(|it| it.oldest.map(|published| published.as_second()), ""),
    );
    gauge(
        "windlass_event_retries",
        "How often events of each queue that this worker still remembers had to be tried again.",
        of_each(|it| Some(bounded(it.retries)), ""),
    );
}

fn bounded(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
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
