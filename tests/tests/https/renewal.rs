//! A renewal under the eyes of clients: the running HAProxy takes the new certificate and gives it back, and no
//! handshake and no connection notices.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use windlass_tests::cluster::{Client, Kept};

use super::place::{Place, VPSS};

const HOST: &str = "blog.example.org";
/// While it is there, a gate of the node does not hold.
const BROKEN: &str = "/run/windlass-test-broken";

/// Clients that come anew all the time, and some that stay.
struct Clients {
    new: Client,
    kept: Vec<(&'static str, Kept)>,
}

impl Clients {
    fn start(place: &Place) -> Result<Self> {
        let root = place.root();
        let kept = VPSS.map(|vps| Ok((vps, Kept::open(&place.lab, vps, HOST, &root)?)));
        Ok(Self {
            new: Client::start(&place.lab, HOST, &VPSS, &root)?,
            kept: kept.into_iter().collect::<Result<_>>()?,
        })
    }

    /// Often enough that HAProxy does not take the connections for idle.
    fn stay(&mut self) -> Result<()> {
        self.kept
            .iter_mut()
            .try_for_each(|(_, kept)| kept.request())
    }

    /// Waits for what the nodes serve.
    fn see(
        &mut self,
        place: &Place,
        what: &str,
        served: impl Fn(&BTreeMap<&str, String>) -> bool,
    ) -> Result<()> {
        let mut trouble = None;
        place.until(what, || {
            trouble = self.stay().err();
            trouble.is_some() || place.serials(HOST).is_ok_and(|serials| served(&serials))
        })?;
        trouble.map_or(Ok(()), |error| Err(error.context(format!("until {what}"))))
    }

    fn saw_nothing(&mut self) -> Result<()> {
        self.new.unharmed()
    }
}

#[test]
#[ignore = "lab: needs root"]
fn a_renewal_and_its_way_back_are_seen_by_no_client() -> Result<()> {
    let place = Place::set()?;
    place.cluster.replace(
        "components/haproxy/component.yaml",
        "\ngates:\n",
        &format!("\ngates:\n  - command: test ! -e {BROKEN}\n"),
    )?;
    place.cluster.write_ordered_site("blog", 8082)?;
    place.push("Add the blog")?;
    place.until("every VPS serves the blog over HTTPS", || {
        VPSS.iter().all(|vps| place.is_secure(vps, "blog"))
    })?;
    place.at_rest()?;
    let (first, workers) = (place.serials(HOST)?, place.haproxies()?);
    let mut clients = Clients::start(&place)?;

    // vps3 cannot be logged in to: it keeps the old certificate, and nobody misses anything.
    let vps3 = place.lab.node("vps3").ip();
    place.nft("add table bridge login")?;
    place.nft("add chain bridge login lost { type filter hook forward priority 0; }")?;
    place.nft(&format!(
        "add rule bridge login lost ip daddr {vps3} tcp dport 22 drop"
    ))?;
    place.worker.says(&["cert", "renew", "blog"])?.ended(0);
    clients.see(&place, "two of three serve another certificate", |now| {
        now["vps1"] != first["vps1"] && now["vps2"] != first["vps2"]
    })?;
    place.at_rest()?;
    let second = place.serials(HOST)?;
    ensure!(second["vps3"] == first["vps3"], "{second:?}");
    place.nft("delete table bridge login")?;
    clients.see(&place, "the one that is behind catches up", |now| {
        now["vps3"] == second["vps1"]
    })?;
    place.at_rest()?;
    ensure!(place.haproxies()? == workers, "HAProxy was reloaded");
    clients.saw_nothing()?;

    // On vps2 something fails: vps1 has the third certificate by then, and gets the second one back.
    let second = place.serials(HOST)?;
    place.lab.node("vps2").sh(&format!("touch {BROKEN}"))?;
    place.worker.says(&["cert", "renew", "blog"])?.ended(0);
    clients.see(&place, "vps1 serves a third certificate", |now| {
        now["vps1"] != second["vps1"]
    })?;
    clients.see(&place, "vps1 serves the second one again", |now| {
        *now == second
    })?;
    place.at_rest()?;
    ensure!(place.serials(HOST)? == second, "{second:?}");
    ensure!(
        place.haproxies()? == workers,
        "HAProxy was reloaded on the way back"
    );
    clients.stay()?;
    clients.saw_nothing()?;

    // What was in its way goes, and nobody says a word: it is tried again.
    place.lab.node("vps2").sh(&format!("rm {BROKEN}"))?;
    clients.see(&place, "every VPS serves the third one", |now| {
        VPSS.iter().all(|vps| now[vps] != second[vps])
    })?;
    place.at_rest()?;
    ensure!(place.authority.orders() == 3, "{}", place.authority.log());
    ensure!(place.haproxies()? == workers, "HAProxy was reloaded");
    clients.saw_nothing()
}
