//! A push adds a site that has no certificate yet: the way for the authority's question first, then the order, then
//! HTTPS, and at no time an HAProxy that could not be started.

use anyhow::{Result, ensure};
use windlass_tests::lab::Lab;

use super::place::{Place, VPSS};

/// Packets from vps3 to the place where questions are answered are lost from now on.
fn lose_questions(place: &Place) -> Result<()> {
    let from = place.lab.node("vps3").ip();
    place.nft("add table bridge way")?;
    place.nft("add chain bridge way lost { type filter hook forward priority 0; }")?;
    place.nft(&format!(
        "add rule bridge way lost ip saddr {from} tcp dport 8402 drop"
    ))
}

/// As after a crash or a power cut.
fn kill_and_start_haproxy(lab: &Lab, node: &str) -> Result<()> {
    lab.node(node).sh("systemctl kill --signal=KILL haproxy
         while systemctl is-active --quiet haproxy; do sleep 0.1; done
         systemctl reset-failed haproxy; systemctl start haproxy")?;
    Ok(())
}

#[test]
#[ignore = "lab: needs root"]
fn a_new_site_gets_its_certificate_and_is_served_by_every_vps() -> Result<()> {
    let place = Place::set()?;
    lose_questions(&place)?;
    place.cluster.write_ordered_site("blog", 8082)?;
    let report = place.push("Add the blog")?;
    ensure!(report.outcome == "rolled-out", "{}", report.text);

    // Over plain HTTP at first, and the way for questions is there.
    for vps in VPSS {
        let answer = place.answer(vps, "http://blog.example.org/")?;
        ensure!(answer == "200", "{vps}: {answer}");
        ensure!(!place.is_secure(vps, "blog"), "{vps}");
    }
    kill_and_start_haproxy(&place.lab, "vps2")?;

    // The broken way is found out before the authority is asked.
    let vps3 = format!("vps3 ({})", place.lab.node("vps3").ip());
    let broken = format!("{vps3} does not answer for blog.example.org");
    place.until("the broken way is told", || {
        place.worker.log_tail(200).contains(&broken)
    })?;
    let told = place.worker.log_tail(200);
    ensure!(
        !told.contains("vps1 (") && !told.contains("vps2 ("),
        "{told}"
    );
    ensure!(
        place.authority.orders() == 0,
        "{told}\n{}",
        place.authority.log()
    );

    place.nft("delete table bridge way")?;
    place.push("Nothing new: look again")?;
    place.until("every VPS serves the blog over HTTPS", || {
        VPSS.iter().all(|vps| place.is_secure(vps, "blog"))
    })?;
    ensure!(place.authority.orders() == 1, "{}", place.authority.log());
    place.at_rest()?;
    for vps in VPSS {
        let answer = place.answer(vps, "http://blog.example.org/page")?;
        ensure!(
            answer == "302 https://blog.example.org/page",
            "{vps}: {answer}"
        );
        let url = "http://blog.example.org/.well-known/acme-challenge/none";
        let answer = place.answer(vps, url)?;
        ensure!(answer == "404", "{vps} sends the question to {answer}");
        kill_and_start_haproxy(&place.lab, vps)?;
        ensure!(place.is_secure(vps, "blog"), "{vps} after a restart");
    }
    Ok(())
}
