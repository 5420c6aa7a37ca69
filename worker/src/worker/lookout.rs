//! Looks at what the nodes really serve, for API, metrics and log: after every roll, and every now and then. What is
//! found changes nothing: whoever renews and whoever rolls look for themselves.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use windlass_core::acme::places;
use windlass_core::finding::Findings;

use crate::certificates::{self, CertificateView, Desk, Sighted, Sightings};
use crate::probe::NetProber;

const EVERY: Duration = Duration::from_secs(300);

pub(super) struct Lookout {
    pub(super) desk: Desk,
    pub(super) prober: Arc<NetProber>,
    pub(super) sightings: Sightings,
    /// Told when a roll has ended.
    pub(super) rolled: Arc<Notify>,
}

impl Lookout {
    pub(super) async fn run(self, stop: CancellationToken) {
        loop {
            let looked = tokio::select! {
                () = stop.cancelled() => return,
                looked = self.look() => looked,
            };
            if let Err(error) = looked {
                let cluster = &self.desk.cluster;
                tracing::warn!(%cluster, error = format!("{error:#}"), "certificates could not be looked at");
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.rolled.notified() => {}
                () = tokio::time::sleep(EVERY) => {}
            }
        }
    }

    async fn look(&self) -> anyhow::Result<()> {
        // Another time, where a worker is ordering: then this is what was known before.
        if let Err(error) = self.desk.refresh().await {
            tracing::debug!(cluster = %self.desk.cluster, error = format!("{error:#}"), "what other workers know is not known here");
        }
        let Some(picture) = self.desk.picture().await? else {
            return Ok(());
        };
        let now = Timestamp::now();
        let mut views = self.desk.views(&picture, now).await?;
        let seen = certificates::survey(&self.prober, places(&picture.model)).await;
        certificates::judged(&mut views, &seen, picture.alert_days(), now);
        let sighted = Sighted {
            at: now,
            certificates: views,
        };
        let found = findings(&sighted.certificates);
        let before = self.sightings.put(&self.desk.cluster, sighted);
        let told = before.map(|before| findings(&before.certificates));
        for finding in &found {
            let known = told
                .as_ref()
                .is_some_and(|told| told.iter().any(|own| own == finding));
            if !known {
                let (cluster, code) = (&self.desk.cluster, finding.code);
                tracing::warn!(%cluster, %code, "{}", finding.message);
            }
        }
        Ok(())
    }
}

fn findings(views: &[CertificateView]) -> Findings {
    let mut all = Findings::default();
    for view in views {
        all.extend(view.findings.clone());
    }
    all
}
