//! What is lost on the way costs no certificate: a HAProxy that does not run while a renewal is rolled, and the worker's
//! whole disk.

use anyhow::{Result, ensure};

use super::place::{Place, VPSS};

const HOST: &str = "blog.example.org";

#[test]
#[ignore = "lab: needs root"]
fn neither_a_stopped_haproxy_nor_a_lost_disk_costs_a_certificate() -> Result<()> {
    let mut place = Place::set()?;
    place.cluster.write_ordered_site("blog", 8082)?;
    place.push("Add the blog")?;
    place.until("every VPS serves the blog over HTTPS", || {
        VPSS.iter().all(|vps| place.is_secure(vps, "blog"))
    })?;
    place.at_rest()?;
    a_stopped_haproxy(&place)?;
    a_lost_disk(&mut place)
}

/// It cannot be told anything: the files are written, it is started with them, and the gates see the new certificate.
fn a_stopped_haproxy(place: &Place) -> Result<()> {
    let (first, running) = (place.serials(HOST)?, place.haproxies()?);
    place.worker.says(&["cert", "renew", "blog"])?.ended(0);
    // Sooner, and the authority's question would find no answer there, which is told and costs no order.
    place.until("the roll has come to vps1", || {
        place
            .serials(HOST)
            .is_ok_and(|now| now["vps1"] != first["vps1"])
    })?;
    place.lab.node("vps2").sh("systemctl stop haproxy")?;
    place.until("every VPS serves another certificate", || {
        place
            .serials(HOST)
            .is_ok_and(|now| VPSS.iter().all(|vps| now[vps] != first[vps]))
    })?;
    place.at_rest()?;
    let now = place.haproxies()?;
    ensure!(
        now["vps1"] == running["vps1"] && now["vps3"] == running["vps3"],
        "only the one that did not run is started: {running:?}, {now:?}"
    );
    ensure!(place.authority.orders() == 2, "{}", place.authority.log());
    Ok(())
}

/// The next worker takes back what the nodes hold, and orders nothing.
fn a_lost_disk(place: &mut Place) -> Result<()> {
    let served = place.serials(HOST)?;
    let orders = place.authority.orders();
    place.worker.kill()?;
    std::fs::remove_dir_all(place.cluster.dir().join("state"))?;
    place.worker.restart()?;
    place.rolled(&place.cluster.head()?)?;
    let told = place.worker.log_tail(usize::MAX);
    ensure!(told.contains("taken back from the nodes"), "{told}");
    let serial = served["vps1"].trim_start_matches("serial=").to_lowercase();
    place.until("the certificate in use is the one that is served", || {
        place
            .worker
            .says(&["cert", "show", "blog"])
            .is_ok_and(|said| said.out.to_lowercase().contains(&serial))
    })?;
    place.at_rest()?;
    ensure!(place.serials(HOST)? == served, "another one is served");
    ensure!(
        place.authority.orders() == orders,
        "{}",
        place.authority.log()
    );

    // What is lost with the disk, the account's key, is replaced when it is needed.
    place.worker.says(&["cert", "renew", "blog"])?.ended(0);
    place.until("every VPS serves another certificate", || {
        place
            .serials(HOST)
            .is_ok_and(|now| VPSS.iter().all(|vps| now[vps] != served[vps]))
    })?;
    ensure!(
        place.authority.orders() == orders + 1,
        "{}",
        place.authority.log()
    );
    Ok(())
}
