//! Takes in what another worker tells. Of two words about one thing the later one counts, whichever comes first, and what only
//! grows is kept of both: so all workers come to know the same, and one that hears a thing twice learns nothing new.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, params};
use windlass_core::ids::ClusterName;

use super::requests::{self, KnownRequest};
use super::told::{Told, ToldCluster, ToldPreview, ToldReport, ToldRequest};
use super::{Store, StoreError, previews, reports};

impl Store {
    pub async fn learn(&self, cluster: &ClusterName, told: Told) -> Result<(), StoreError> {
        if told == Told::Asked {
            return self.tell_again().await;
        }
        let cluster = cluster.clone();
        self.call(move |connection| -> Result<(), StoreError> {
            let transaction = connection.transaction()?;
            let name = cluster.as_str();
            match told {
                Told::Report(told) => report(&transaction, &cluster, *told)?,
                Told::Request(told) => request(&transaction, name, *told)?,
                Told::Preview(told) => preview(&transaction, &cluster, *told)?,
                Told::Cluster(told) => said(&transaction, name, told)?,
                Told::Asked => {}
            }
            Ok(transaction.commit()?)
        })
        .await
    }
}

fn report(
    connection: &Connection,
    cluster: &ClusterName,
    told: ToldReport,
) -> Result<(), StoreError> {
    let ToldReport { at, mut report } = told;
    if report.cluster == *cluster && report.roll.is_some() {
        report.id = 0;
        reports::insert(connection, &report, at, true)?;
    }
    Ok(())
}

fn preview(
    connection: &Connection,
    cluster: &ClusterName,
    told: ToldPreview,
) -> Result<(), StoreError> {
    if told.preview.cluster != *cluster {
        return Ok(());
    }
    let row = previews::Row {
        id: &told.id,
        stored: told.stored,
        body: &serde_json::to_string(&told.preview)?,
        told: true,
    };
    let now = Timestamp::now().as_millisecond();
    Ok(previews::insert(connection, &told.preview, &row, now)?)
}

fn request(connection: &Connection, cluster: &str, told: ToldRequest) -> Result<(), StoreError> {
    let ToldRequest { at, request } = told;
    let row = match requests::find(connection, cluster, request.number)? {
        None => requests::Row {
            known: request,
            at,
            told: true,
        },
        Some(row) => {
            // Equal times of two workers are told apart by what they say, at every worker alike.
            let is_newer = (at, serde_json::to_string(&request)?)
                > (row.at, serde_json::to_string(&row.known)?);
            requests::Row {
                at: row.at.max(at),
                known: if is_newer {
                    KnownRequest::joined(request, row.known)
                } else {
                    KnownRequest::joined(row.known, request)
                },
                told: row.told,
            }
        }
    };
    requests::put(connection, cluster, row)
}

fn said(connection: &Connection, cluster: &str, told: ToldCluster) -> Result<(), StoreError> {
    let known = connection.query_row("SELECT at FROM cluster WHERE name = ?1", [cluster], |row| {
        row.get(0)
    });
    let known: Option<i64> = known.optional()?;
    if known.is_some_and(|known| known >= told.at) {
        return Ok(());
    }
    let released = told.released.map(|digest| digest.to_string());
    connection.execute(
        "INSERT INTO cluster (name, at, rolled, rolled_at, accepted, released, told) VALUES (?1, ?2, ?3, ?2, ?4, ?5, 1)
         ON CONFLICT (name) DO UPDATE SET at = ?2, rolled = ?3, rolled_at = ?2, accepted = ?4, released = ?5, told = 1",
        params![cluster, told.at, told.rolled, told.accepted, released],
    )?;
    connection.execute("DELETE FROM quarantine WHERE cluster = ?1", [cluster])?;
    for held in told.quarantine {
        connection.execute(
            "INSERT INTO quarantine (cluster, bundle, reason, at, times) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![
                cluster,
                held.bundle.to_string(),
                held.reason,
                held.at.as_millisecond(),
                held.times
            ],
        )?;
    }
    Ok(())
}
