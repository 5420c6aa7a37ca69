//! Two workers at one broker order certificates: one at a time, whichever of them it is; one that is killed in the middle of an
//! order is followed by the other with the same order and the same key, and no key can be read on the way.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use windlass_tests::lab::wait_until;

use super::ordering::{Place, Worker};
use super::place::SOON;

const SITES: [&str; 2] = ["blog", "shop"];

#[test]
#[ignore = "lab: needs root"]
fn an_order_is_taken_over_and_its_challenge_answered_by_whichever_worker_has_it() -> Result<()> {
    let place = Place::make()?;
    place.gate.close();
    let mut workers = [place.worker(0)?, place.worker(1)?];
    let first = asked_while_one_answers(&place, &workers)?;

    workers[first].kill();
    let other = 1 - first;
    let path = place.gate.asked().pop().context("it was asked")?;
    // It answers the same question, which the dead one was asked.
    until(&workers, "the other one answers", || {
        ask(at(place.answers[other]), &path).is_ok_and(|(status, _)| status == 200)
    })?;
    place.gate.open();
    until(&workers, "both are there", || {
        SITES
            .iter()
            .all(|site| workers[other].serial(site).is_some())
    })?;
    for site in SITES {
        for step in ["MakeKey", "Place", "Store"] {
            let times: usize = workers
                .iter()
                .map(|worker| worker.has_done(site, step))
                .sum();
            ensure!(
                times == 1,
                "{site}: {step} {times} times\n{}",
                told(&workers)
            );
        }
    }
    ensure!(place.orders() == 2, "{} orders", place.orders());

    // The one that died comes back and has what was ordered meanwhile; then the other one dies, and it orders.
    workers[first].run()?;
    until(&workers, "it has the same", || agree(&workers))?;
    let before = workers[first].serial("blog").context("it is there")?;
    workers[other].kill();
    let placed = workers[first].has_done("blog", "Place");
    workers[first].cert(&["renew", "blog"])?;
    until(&workers, "it is renewed", || {
        workers[first]
            .serial("blog")
            .is_some_and(|now| now != before)
    })?;
    ensure!(workers[first].has_done("blog", "Place") == placed + 1);
    workers[other].run()?;
    until(&workers, "the other one has it", || agree(&workers))?;
    ensure!(place.orders() == 3, "{} orders", place.orders());
    one_at_a_time(&workers)
}

/// Waits until the authority has come for a challenge, and looks at who can answer; the one that is ordering.
fn asked_while_one_answers(place: &Place, workers: &[Worker]) -> Result<usize> {
    until(workers, "the authority asks", || {
        !place.gate.asked().is_empty()
    })?;
    let path = place.gate.asked().remove(0);
    let answers = |n: usize| ask(at(place.answers[n]), &path);
    let statuses = [answers(0)?.0, answers(1)?.0];
    ensure!([[200, 404], [404, 200]].contains(&statuses), "{statuses:?}");
    let first = usize::from(statuses[1] == 200);
    let answer = answers(first)?.1;
    for _ in 0..20 {
        let through = ask(place.edge_at()?, &path)?;
        ensure!(through == (200, answer.clone()), "{through:?}");
    }
    let unknown = ask(place.edge_at()?, "/.well-known/acme-challenge/unknown")?;
    ensure!(unknown.0 == 404, "{unknown:?}");
    Ok(first)
}

#[test]
#[ignore = "lab: needs root"]
fn orders_asked_for_at_both_workers_come_one_after_the_other_and_no_key_can_be_read() -> Result<()>
{
    let place = Place::make()?;
    let workers = [place.worker(0)?, place.worker(1)?];
    let all = || {
        SITES
            .iter()
            .all(|site| workers.iter().all(|own| own.serial(site).is_some()))
    };
    until(&workers, "both have both", all)?;
    let mut keys = Vec::new();
    for round in 1..=2 {
        let before = SITES.map(|site| workers[0].serial(site));
        keys.extend(keys_of(&workers[0])?);
        workers[0].cert(&["renew", "blog"])?;
        workers[1].cert(&["renew", "shop"])?;
        until(&workers, "both are renewed at both", || {
            let now = SITES.map(|site| workers[0].serial(site));
            now.iter().zip(&before).all(|(now, before)| now != before) && agree(&workers)
        })?;
        ensure!(place.orders() == 2 + 2 * round, "{} orders", place.orders());
    }
    one_at_a_time(&workers)?;
    keys.extend(keys_of(&workers[1])?);
    ensure!(keys.len() == 6, "{} keys", keys.len());
    for worker in &workers {
        ensure!(!worker.log().contains("panicked"), "{}", worker.log());
        no_key_in(&worker.dir, &keys)?;
    }
    no_key_in(&place.broker.dir().join("node0"), &keys)
}

/// Of all certificates: what stands between the lines of PEM.
fn keys_of(worker: &Worker) -> Result<Vec<String>> {
    let mut keys = Vec::new();
    for site in SITES {
        let pem = worker.cert(&["export", site, "--stdout"])?;
        let (_, key) = pem.split_once("PRIVATE KEY-----").context("a key")?;
        let (key, _) = key.split_once("-----END").context("its end")?;
        keys.push(key.trim().to_owned());
    }
    Ok(keys)
}

/// Both would roll the same.
fn agree(workers: &[Worker]) -> bool {
    SITES.iter().all(|site| {
        let serial = workers[0].serial(site);
        serial.is_some() && serial == workers[1].serial(site)
    })
}

/// No step of an order lies between those of another one.
fn one_at_a_time(workers: &[Worker]) -> Result<()> {
    let mut steps: Vec<_> = workers.iter().flat_map(Worker::steps).collect();
    steps.sort();
    let mut open: Option<&str> = None;
    for (_, certificate, step) in &steps {
        let own = open.get_or_insert(certificate);
        ensure!(own == certificate, "{step} of {certificate}: {steps:#?}");
        if step == "Store" {
            open = None;
        }
    }
    ensure!(open.is_none() && !steps.is_empty(), "{steps:#?}");
    Ok(())
}

/// Neither in the files of a worker or of the broker nor in what they log.
fn no_key_in(folder: &Path, keys: &[String]) -> Result<()> {
    // Else this would look at nothing that matters.
    let sealed = holding(folder, &["BEGIN AGE ENCRYPTED FILE"])?;
    ensure!(!sealed.is_empty(), "nothing is in {}", folder.display());
    let mut words = vec!["PRIVATE KEY", "key_pkcs8"];
    words.extend(
        keys.iter()
            .flat_map(|key| key.lines())
            .filter(|line| line.len() > 20),
    );
    let found = holding(folder, &words)?;
    ensure!(found.is_empty(), "a key in {found}");
    Ok(())
}

/// The files below this folder that have any of these words.
fn holding(folder: &Path, words: &[&str]) -> Result<String> {
    let mut grep = Command::new("grep");
    grep.args(["--recursive", "--files-with-matches", "--fixed-strings"]);
    grep.args(words.iter().flat_map(|word| ["-e", word]));
    let said = grep.arg("--").arg(folder).output()?;
    // 2: something was deleted meanwhile.
    Ok(String::from_utf8_lossy(&said.stdout).into_owned())
}

fn at(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// Status and body of what is there.
fn ask(address: SocketAddr, path: &str) -> Result<(u16, String)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(
        stream,
        "GET {path} HTTP/1.0\r\nHost: blog.example.org\r\n\r\n"
    )?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let (head, body) = text.split_once("\r\n\r\n").context("an answer")?;
    let status = head.split(' ').nth(1).context("a status")?;
    Ok((status.parse()?, body.to_owned()))
}

fn until(workers: &[Worker], what: &str, condition: impl FnMut() -> bool) -> Result<()> {
    wait_until(SOON, condition).with_context(|| format!("{what}\n{}", told(workers)))
}

fn told(workers: &[Worker]) -> String {
    let logs = workers.iter().map(Worker::log);
    logs.collect::<Vec<_>>().join("\n--- the other one\n")
}
