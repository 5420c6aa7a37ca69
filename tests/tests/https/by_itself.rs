//! Nobody gives a command: certificates that are in force for minutes are renewed and rolled in time, again and again.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use windlass_tests::cluster::Client;
use windlass_tests::lab::wait_until;

use super::place::{Place, VPSS};

const HOST: &str = "blog.example.org";
/// Renewed at half of it, and three nodes have their turns within the rest.
const LIFETIME: u32 = 240;
/// Several lives.
const PATIENCE: Duration = Duration::from_secs(900);

#[test]
#[ignore = "lab: needs root"]
fn certificates_of_minutes_are_renewed_in_time() -> Result<()> {
    let place = Place::short_lived(LIFETIME)?;
    place.cluster.write_ordered_site("blog", 8082)?;
    place.push("Add the blog")?;
    place.until("every VPS serves the blog over HTTPS", || {
        VPSS.iter().all(|vps| place.is_secure(vps, "blog"))
    })?;
    // Whoever is served one that has expired, or none, counts as failed.
    let mut clients = Client::start(&place.lab, HOST, &VPSS, &place.root())?;
    let workers = place.haproxies()?;
    let mut seen = BTreeSet::new();
    let renewed = wait_until(PATIENCE, || {
        if let Ok(now) = place.serials(HOST) {
            let served: BTreeSet<&String> = now.values().collect();
            if served.len() == 1 {
                seen.extend(now.into_values());
            }
        }
        seen.len() >= 3
    });
    renewed.with_context(|| format!("{seen:?}\n{}", place.worker.log_tail(60)))?;
    clients.unharmed()?;
    ensure!(place.haproxies()? == workers, "HAProxy was reloaded");
    Ok(())
}
