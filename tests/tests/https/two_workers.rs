//! Two workers share a cluster and its orders: a certificate is rolled to every node, whichever of them ordered it and whichever
//! of them is there to roll it.

use anyhow::{Context, Result, ensure};
use windlass_tests::broker::Broker;
use windlass_tests::cluster::Worker;

use super::place::{Place, VPSS};

const HOST: &str = "blog.example.org";
const ISSUED: &str = "a certificate was issued";

fn has_issued(worker: &Worker) -> usize {
    worker.log_tail(usize::MAX).matches(ISSUED).count()
}

/// Whether a worker would roll what every node serves.
fn would_keep(place: &Place, worker: &Worker) -> bool {
    let Ok(served) = place.serials(HOST) else {
        return false;
    };
    let shown = worker.says(&["cert", "show", "blog", "--no-probe"]);
    let shown = shown
        .map(|said| said.out.to_lowercase())
        .unwrap_or_default();
    VPSS.iter().all(|vps| {
        let serial = served[vps].trim_start_matches("serial=").to_lowercase();
        shown.contains(&serial)
    })
}

#[test]
#[ignore = "lab: needs root"]
fn a_certificate_is_rolled_whichever_worker_ordered_it() -> Result<()> {
    let broker = Broker::start()?;
    let (mut place, mut second) = Place::shared(&broker)?;
    place.cluster.write_ordered_site("blog", 8082)?;
    place.push("Add the blog")?;

    // Whoever orders dies with the certificate in hand: the other one rolls it, and orders none.
    place.until("a certificate is issued", || {
        has_issued(&place.worker) + has_issued(&second) > 0
    })?;
    let first_ordered = has_issued(&place.worker) > 0;
    if first_ordered {
        place.worker.kill()?;
    } else {
        second.kill()?;
    }
    let secure = || VPSS.iter().all(|vps| place.is_secure(vps, "blog"));
    place
        .until("every VPS serves the blog over HTTPS", secure)
        .with_context(|| second.log_tail(60))?;
    ensure!(place.authority.orders() == 1, "{}", place.authority.log());
    if first_ordered {
        place.worker.restart()?;
    } else {
        second.restart()?;
    }
    place.until("both have what is served", || {
        would_keep(&place, &place.worker) && would_keep(&place, &second)
    })?;

    // The other way round, and alone: what it orders and rolls, the one that was away has when it comes back.
    let before = place.serials(HOST)?;
    let renewed = |place: &Place| {
        place
            .serials(HOST)
            .is_ok_and(|now| VPSS.iter().all(|vps| now[vps] != before[vps]))
    };
    if first_ordered {
        second.kill()?;
        place.worker.says(&["cert", "renew", "blog"])?.ended(0);
    } else {
        place.worker.kill()?;
        second.says(&["cert", "renew", "blog"])?.ended(0);
    }
    place
        .until("every VPS serves another one", || renewed(&place))
        .with_context(|| second.log_tail(60))?;
    ensure!(place.authority.orders() == 2, "{}", place.authority.log());
    if first_ordered {
        second.restart()?;
    } else {
        place.worker.restart()?;
    }
    place.until("both have what is served now", || {
        would_keep(&place, &place.worker) && would_keep(&place, &second)
    })?;

    // Nobody rolls an older one again.
    let served = place.serials(HOST)?;
    place.push("Nothing new: look again")?;
    ensure!(place.serials(HOST)? == served, "another one is served");
    ensure!(place.authority.orders() == 2, "{}", place.authority.log());
    Ok(())
}
