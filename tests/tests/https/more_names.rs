//! A certificate is to be for more names: a host that is added, and a site that comes into the certificate of its zone.
//! Hosts that were served over TLS are so all the time.

use anyhow::{Result, ensure};
use windlass_tests::cluster::Client;

use super::place::{Place, VPSS};

const HOST: &str = "blog.example.org";
const NEW: &str = "journal.example.org";

/// The new host over plain HTTP, with nowhere to be sent.
fn is_plain(place: &Place, host: &str) -> Result<()> {
    for vps in VPSS {
        let answer = place.answer(vps, &format!("http://{host}/"))?;
        ensure!(answer == "200", "{vps}: {host}: {answer}");
    }
    Ok(())
}

#[test]
#[ignore = "lab: needs root"]
fn a_host_that_is_new_waits_alone() -> Result<()> {
    let place = Place::set()?;
    place.cluster.write_ordered_site("blog", 8082)?;
    place.push("Add the blog")?;
    place.until("every VPS serves the blog over HTTPS", || {
        VPSS.iter().all(|vps| place.is_secure(vps, "blog"))
    })?;
    place.at_rest()?;
    let mut clients = Client::start(&place.lab, HOST, &VPSS, &place.root())?;

    let hosts = format!("hosts: [{HOST}, {NEW}]");
    place
        .cluster
        .replace("sites/blog.yaml", &format!("hosts: [{HOST}]"), &hosts)?;
    let report = place.push("Another host for the blog")?;
    ensure!(report.outcome == "rolled-out", "{}", report.text);
    is_plain(&place, NEW)?;
    place.until("every VPS serves the new host over HTTPS", || {
        VPSS.iter().all(|vps| place.is_secure_at(vps, NEW, "blog"))
    })?;
    place.at_rest()?;
    ensure!(place.authority.orders() == 2, "{}", place.authority.log());

    // One certificate for the zone, and one more site in it.
    place
        .cluster
        .replace("cluster.yaml", "acme:\n", "acme:\n  group: zone\n")?;
    place.cluster.write_ordered_site("shop", 8083)?;
    let report = place.push("One for the zone, and a shop")?;
    ensure!(report.outcome == "rolled-out", "{}", report.text);
    is_plain(&place, "shop.example.org")?;
    place.until("every VPS serves all of them with one certificate", || {
        VPSS.iter().all(|vps| {
            place.is_secure(vps, "shop")
                && place.is_secure_at(vps, NEW, "blog")
                && place
                    .names(vps, HOST)
                    .is_ok_and(|names| names.contains("shop.example.org"))
        })
    })?;
    place.at_rest()?;
    ensure!(place.authority.orders() == 3, "{}", place.authority.log());
    let held = place.lab.node("vps1").sh("ls /etc/haproxy/certs")?;
    ensure!(
        held.split_whitespace().collect::<Vec<_>>() == ["example-org.pem", "wildcard.pem"],
        "{held}"
    );
    clients.unharmed()?;
    Ok(())
}
