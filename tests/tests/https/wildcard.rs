//! A wildcard proven through DNS, as its owner has it: the key of the zone is an encrypted secret of the repository, the
//! zone lives at the hidden primary, and an authority that looks for itself finds the record at whichever VPS it asks.

use anyhow::{Result, ensure};

use super::place::{Place, VPSS};

const NODES: [&str; 4] = ["homelab", "vps1", "vps2", "vps3"];
const HOST: &str = "blog.example.org";
const ZONE: &str = "acme.example.org";
const RECORD: &str = "example.org.acme.example.org";

/// The texts that stand at a node for the next question of the authority.
fn texts(place: &Place, node: &str) -> Result<String> {
    let ask = format!("dig +norec +short +time=2 +tries=1 @127.0.0.1 {RECORD} TXT");
    Ok(place.lab.node(node).sh(&ask)?.trim().to_owned())
}

/// What the worker has told since it was as long as `before`.
fn told(place: &Place, before: usize) -> String {
    let log = place.worker.log_tail(usize::MAX);
    log.get(before..).unwrap_or_default().to_owned()
}

fn said(place: &Place) -> usize {
    place.worker.log_tail(usize::MAX).len()
}

/// What a node is called where the worker tells of it.
fn shown(place: &Place, node: &str) -> String {
    format!("{node} ({})", place.lab.node(node).ip())
}

/// Waits for these words of one node, and sees that no other one is blamed.
fn blamed(place: &Place, before: usize, node: &str, words: &str) -> Result<()> {
    let shown_as = shown(place, node);
    place.until(&format!("{node} is blamed"), || {
        told(place, before).lines().any(|line| {
            line.contains("could not be ordered")
                && line.contains(&shown_as)
                && line.contains(words)
        })
    })?;
    let told = told(place, before);
    for other in NODES {
        let blamed = told.contains(&shown(place, other));
        ensure!(blamed == (other == node), "{other}: {told}");
    }
    Ok(())
}

/// The zone for challenges is there, and its key is where nobody else reads it.
fn zone_is_served(place: &Place) -> Result<()> {
    for node in NODES {
        let ask = format!("dig +norec +short +time=2 +tries=1 @127.0.0.1 {ZONE} SOA");
        place.until(&format!("{node} serves {ZONE}"), || {
            place
                .lab
                .node(node)
                .sh(&ask)
                .is_ok_and(|soa| !soa.trim().is_empty())
        })?;
    }
    let homelab = place.lab.node("homelab");
    let mode = homelab.sh("stat -c '%a %U:%G' /etc/bind/acme.key")?;
    ensure!(mode.trim() == "640 root:bind", "{mode}");
    let key = homelab.sh("sed -n 's/.*secret \"\\(.*\\)\";/\\1/p' /etc/bind/acme.key")?;
    let key = key.trim();
    ensure!(key.len() >= 40, "no key");
    ensure!(!told(place, 0).contains(key), "the key is in the log");
    let in_git = place.cluster.git(&["grep", "--quiet", "-F", key]);
    ensure!(in_git.is_err(), "the key is in the repository");
    Ok(())
}

/// What the zone begins with changes while a record stands in it: the record stays, and every server has both.
fn zone_begins_otherwise(place: &Place) -> Result<()> {
    let homelab = place.lab.node("homelab");
    let update = |line: &str| {
        homelab.sh(&format!(
            "printf 'server 127.0.0.1\\nupdate {line}\\nsend\\n' | nsupdate -k /etc/bind/acme.key"
        ))
    };
    update(&format!("add {RECORD}. 60 TXT stays"))?;
    place
        .cluster
        .replace("zones/example.org.yaml", "hostmaster@", "admin@")?;
    place.push("Another contact")?;
    for node in NODES {
        let ask = format!("dig +norec +short +time=2 +tries=1 @127.0.0.1 {ZONE} SOA");
        place.until(&format!("{node} has the record and the contact"), || {
            let soa = place.lab.node(node).sh(&ask).unwrap_or_default();
            soa.contains("admin.example.org.")
                && texts(place, node).is_ok_and(|texts| texts == "\"stays\"")
        })?;
    }
    update(&format!("delete {RECORD}. TXT"))?;
    record_is_gone(place)
}

fn record_is_gone(place: &Place) -> Result<()> {
    for node in NODES {
        place.until(&format!("the record is gone at {node}"), || {
            texts(place, node).is_ok_and(|texts| texts.is_empty())
        })?;
    }
    Ok(())
}

#[test]
#[ignore = "lab: needs root"]
fn a_wildcard_is_proven_through_dns_and_waits_for_every_secondary() -> Result<()> {
    let place = Place::through_dns()?;
    zone_is_served(&place)?;
    zone_begins_otherwise(&place)?;
    place.cluster.write_ordered_site("blog", 8082)?;
    place.push("Add the blog")?;
    place.until("every VPS serves the blog over HTTPS", || {
        VPSS.iter().all(|vps| place.is_secure(vps, "blog"))
    })?;
    place.at_rest()?;
    for vps in VPSS {
        let names = place.names(vps, HOST)?;
        ensure!(
            names.contains("DNS:*.example.org") && names.contains("DNS:example.org"),
            "{vps}: {names}"
        );
        ensure!(texts(&place, vps)?.is_empty(), "the record stays at {vps}");
    }
    ensure!(place.authority.orders() == 1, "{}", place.authority.log());

    // A further site needs no further certificate.
    place.cluster.write_ordered_site("shop", 8083)?;
    place.push("Add the shop")?;
    for vps in VPSS {
        ensure!(place.is_secure(vps, "shop"), "{vps}");
    }
    ensure!(place.authority.orders() == 1, "{}", place.authority.log());
    place.at_rest()?;

    a_secondary_that_is_down(&place)?;
    a_secondary_that_lags_behind(&place)
}

/// It is found out before anything is asked of the authority.
fn a_secondary_that_is_down(place: &Place) -> Result<()> {
    let before = said(place);
    place.lab.node("vps3").sh("systemctl stop named")?;
    place
        .worker
        .says(&["cert", "renew", "example-org"])?
        .ended(0);
    blamed(place, before, "vps3", "_acme-challenge.example.org")?;
    ensure!(place.authority.orders() == 1, "{}", place.authority.log());
    place.lab.node("vps3").sh("systemctl start named")?;
    Ok(())
}

/// The order is placed and waits; the authority is not asked to look until every secondary has the record.
fn a_secondary_that_lags_behind(place: &Place) -> Result<()> {
    let first = place.serials(HOST)?;
    let before = said(place);
    let (homelab, vps3) = (place.lab.node("homelab").ip(), place.lab.node("vps3").ip());
    place.nft("add table bridge transfers")?;
    place.nft("add chain bridge transfers lost { type filter hook forward priority 0; }")?;
    for (from, to) in [(homelab, vps3), (vps3, homelab)] {
        place.nft(&format!(
            "add rule bridge transfers lost ip saddr {from} ip daddr {to} drop"
        ))?;
    }
    place
        .worker
        .says(&["cert", "renew", "example-org", "--force"])?
        .ended(0);
    blamed(place, before, "vps3", "does not serve the record")?;
    ensure!(place.authority.orders() == 2, "{}", place.authority.log());
    ensure!(texts(place, "vps3")?.is_empty(), "vps3 does not lag");
    ensure!(!texts(place, "vps1")?.is_empty(), "vps1 has no record");

    // It catches up, and the same order goes on.
    place.nft("delete table bridge transfers")?;
    place.lab.node("vps3").sh(&format!("rndc refresh {ZONE}"))?;
    place
        .worker
        .says(&["cert", "renew", "example-org", "--force"])?
        .ended(0);
    place.until("every VPS serves another certificate", || {
        place
            .serials(HOST)
            .is_ok_and(|now| VPSS.iter().all(|vps| now[vps] != first[vps]))
    })?;
    ensure!(place.authority.orders() == 2, "{}", place.authority.log());
    place.at_rest()?;
    record_is_gone(place)
}
