//! The running HAProxy is given certificates that it did not have, loses those that it does not need any more, and takes many at
//! once: without a reload, and without a client that notices.

use anyhow::{Result, ensure};
use windlass_tests::cluster::{Client, Kept};

use super::place::{Place, VPSS};

const HOST: &str = "shop.example.org";
const MANY: usize = 20;

/// What the running HAProxy has.
fn has(place: &Place, vps: &str) -> Result<Vec<String>> {
    let ask =
        "echo 'show ssl cert' | socat -t 10 stdio /run/haproxy/admin.sock | grep '^/etc' | sort";
    let said = place.lab.node(vps).sh(ask)?;
    let names = said.lines().map(|line| {
        let name = line.trim_start_matches("/etc/haproxy/certs/");
        name.trim_end_matches(".pem").to_owned()
    });
    Ok(names.collect())
}

/// Often enough meanwhile that HAProxy does not take the connection for idle.
fn push(place: &Place, kept: &mut Kept, message: &str) -> Result<()> {
    let commit = place.cluster.commit(message)?;
    place.cluster.push()?;
    let mut trouble = None;
    place.until("the commit has an outcome", || {
        trouble = kept.request().err();
        trouble.is_some() || place.worker.report(&commit).is_ok_and(|it| it.is_some())
    })?;
    trouble.map_or(Ok(()), Err)?;
    place.rolled(&commit).map(drop)
}

#[test]
#[ignore = "lab: needs root"]
fn certificates_come_and_go_without_a_reload() -> Result<()> {
    let place = Place::set()?;
    for name in ["one", "two"] {
        let text = format!("names: [{HOST}]\nacme: {{}}\n");
        place
            .cluster
            .write(&format!("certificates/{name}.yaml"), &text)?;
    }
    // The first of the list answers whoever names no server, so it stays.
    place.cluster.write_site("blog", 8082)?;
    place.cluster.write_site("shop", 8083)?;
    let certificate = |from: &str, to: &str| {
        let tls = |name: &str| format!("tls: {{ certificate: {name} }}");
        place
            .cluster
            .replace("sites/shop.yaml", &tls(from), &tls(to))
    };
    certificate("wildcard", "one")?;
    place.push("A shop, with a certificate for now and one for later")?;
    place.until("every VPS serves the shop over HTTPS", || {
        VPSS.iter().all(|vps| place.is_secure(vps, "shop"))
    })?;
    place.until("both are there", || place.authority.orders() == 2)?;
    place.at_rest()?;
    let (first, workers) = (place.serials(HOST)?, place.haproxies()?);
    let mut clients = Client::start(&place.lab, HOST, &VPSS, &place.root())?;
    let mut kept = Kept::open(&place.lab, "vps1", HOST, &place.root())?;
    kept.request()?;

    certificate("one", "two")?;
    push(&place, &mut kept, "The other one")?;
    let second = place.serials(HOST)?;
    for vps in VPSS {
        ensure!(first[vps] != second[vps], "{first:?} {second:?}");
        ensure!(has(&place, vps)? == ["two", "wildcard"], "{vps}");
    }
    kept.request()?;
    ensure!(place.haproxies()? == workers, "HAProxy was reloaded");

    // And back, the same way.
    certificate("two", "one")?;
    push(&place, &mut kept, "The first one again")?;
    ensure!(place.serials(HOST)? == first, "{first:?}");
    kept.request()?;
    ensure!(place.haproxies()? == workers, "HAProxy was reloaded");
    clients.unharmed()?;
    Ok(())
}

/// They are asked for while no worker runs, so that it finds them all at once. A roll takes along all that were issued
/// before it began, so there are far fewer rolls than certificates.
#[test]
#[ignore = "lab: needs root"]
fn many_certificates_are_renewed_in_few_rolls() -> Result<()> {
    let mut place = Place::set()?;
    let sites: Vec<String> = (1..=MANY).map(|number| format!("site{number}")).collect();
    for (port, site) in (8100..).zip(&sites) {
        place.cluster.write_ordered_site(site, port)?;
        let file = format!("sites/{site}.yaml");
        place
            .cluster
            .replace(&file, "on: { role: web }", "on: { nodes: [vps1] }")?;
    }
    place.push("Many sites")?;
    let last = sites.last().map_or("", String::as_str).to_owned();
    place.until("every VPS serves all of them over HTTPS", || {
        VPSS.iter().all(|vps| place.is_secure(vps, &last))
    })?;
    place.at_rest()?;
    ensure!(
        place.authority.orders() == MANY,
        "{}",
        place.authority.log()
    );
    let workers = place.haproxies()?;
    let of = |place: &Place| -> Result<Vec<String>> {
        let serial =
            |site: &String| Ok(place.serials(&format!("{site}.example.org"))?["vps3"].clone());
        sites.iter().map(serial).collect()
    };
    let (first, before) = (of(&place)?, place.worker.log_tail(usize::MAX).len());
    let host = format!("{last}.example.org");
    let mut clients = Client::start(&place.lab, &host, &VPSS, &place.root())?;
    place.worker.kill()?;
    for site in &sites {
        place.worker.says(&["cert", "renew", site])?.ended(0);
    }
    place.worker.restart()?;
    place.until("every VPS serves another one for each", || {
        of(&place).is_ok_and(|now| now.iter().zip(&first).all(|(now, first)| now != first))
    })?;
    place.at_rest()?;
    ensure!(place.haproxies()? == workers, "HAProxy was reloaded");
    let log = place.worker.log_tail(usize::MAX);
    let told = log.get(before..).unwrap_or_default();
    let rolls = told
        .lines()
        .filter(|line| line.contains("rolled out to"))
        .count();
    ensure!((1..=MANY / 4).contains(&rolls), "{rolls} rolls: {told}");
    clients.unharmed()?;
    Ok(())
}
