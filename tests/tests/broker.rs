//! The brokers that other tests start: they answer, come back, form a cluster, and leave nothing behind.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use windlass_tests::broker::{Broker, Proxy};
use windlass_tests::lab::wait_until;

const SOON: Duration = Duration::from_secs(60);

fn processes_of(dir: &Path) -> usize {
    let mark = format!("WINDLASS_BROKER={}", dir.display());
    let marked = |pid: &Path| {
        let environment = fs::read(pid.join("environ")).unwrap_or_default();
        environment
            .split(|byte| *byte == 0)
            .any(|one| one == mark.as_bytes())
    };
    let all = fs::read_dir("/proc").unwrap();
    all.filter(|entry| marked(&entry.as_ref().unwrap().path()))
        .count()
}

fn is_gone(dir: &Path) -> bool {
    !dir.exists() && processes_of(dir) == 0
}

#[test]
fn a_broker_stops_dies_and_comes_back_on_its_port() -> Result<()> {
    let broker = Broker::start()?;
    let node = broker.node(0);
    ensure!(node.ctl(&["list_vhosts"])?.contains("v15"));
    node.stop()?;
    ensure!(!node.answers());
    node.start()?;
    node.kill()?;
    ensure!(!node.answers());
    node.start()?;
    ensure!(
        node.ctl(&["list_vhosts"])?.contains("v15"),
        "its disk is kept"
    );
    let alarms = || node.ctl(&["status"]).unwrap_or_default();
    node.fill_disk(true)?;
    wait_until(SOON, || alarms().contains("Free disk space alarm"))?;
    node.fill_disk(false)?;
    wait_until(SOON, || !alarms().contains("Free disk space alarm"))?;
    let dir = broker.dir().to_owned();
    ensure!(processes_of(&dir) > 0);
    drop(broker);
    ensure!(is_gone(&dir));
    Ok(())
}

#[test]
fn three_nodes_are_one_broker() -> Result<()> {
    let broker = Broker::cluster_of(3)?;
    let running = || {
        broker
            .node(0)
            .ctl(&["cluster_status", "--formatter", "json"])
    };
    let count = |said: &str| -> Option<usize> {
        let status: serde_json::Value = serde_json::from_str(said).ok()?;
        Some(status["running_nodes"].as_array()?.len())
    };
    ensure!(count(&running()?) == Some(3));
    broker.node(2).kill()?;
    wait_until(SOON, || running().is_ok_and(|said| count(&said) == Some(2)))?;
    broker.node(2).start()?;
    wait_until(SOON, || running().is_ok_and(|said| count(&said) == Some(3)))
}

const CHILD: &str = "WINDLASS_TEST_BROKER_CHILD";

/// The other half of the test below, and nothing by itself.
#[test]
fn child_that_starts_a_broker() {
    let Ok(how) = std::env::var(CHILD) else {
        return;
    };
    let broker = Broker::start().unwrap();
    println!("started {}", broker.dir().display());
    assert_ne!(how, "panic", "on purpose");
    loop {
        std::thread::park();
    }
}

#[test]
fn a_broker_goes_with_its_owner_however_that_ends() -> Result<()> {
    for how in ["panic", "kill"] {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["--exact", "--nocapture", "child_that_starts_a_broker"])
            .env(CHILD, how)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let lines = BufReader::new(child.stdout.take().context("a pipe")?).lines();
        let mut started = lines.map_while(Result::ok).filter_map(|line| {
            let (_, dir) = line.split_once("started ")?;
            Some(Path::new(dir).to_owned())
        });
        let dir = started.next().context("it did not start")?;
        if how == "kill" {
            ensure!(processes_of(&dir) > 0);
            child.kill()?;
        }
        child.wait()?;
        wait_until(SOON, || is_gone(&dir)).context(how)?;
    }
    Ok(())
}

#[test]
fn a_proxy_passes_on_cuts_and_keeps_silent() -> Result<()> {
    let echo = std::net::TcpListener::bind("127.0.0.1:0")?;
    let proxy = Proxy::to(echo.local_addr()?)?;
    std::thread::spawn(move || {
        for stream in echo.incoming().map_while(Result::ok) {
            std::thread::spawn(move || {
                let mut reader = stream.try_clone().unwrap();
                let _ = std::io::copy(&mut reader, &mut &stream);
            });
        }
    });
    let connect = || -> Result<TcpStream> {
        let stream = TcpStream::connect(("127.0.0.1", proxy.port()))?;
        stream.set_read_timeout(Some(Duration::from_millis(500)))?;
        Ok(stream)
    };
    let said = |stream: &mut TcpStream| -> std::io::Result<u8> {
        stream.write_all(b"x")?;
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        Ok(byte[0])
    };
    let mut stream = connect()?;
    ensure!(said(&mut stream)? == b'x' && proxy.connections() == 1);
    proxy.silence();
    ensure!(said(&mut stream).is_err());
    proxy.mend();
    let mut late = [0];
    stream.set_read_timeout(Some(SOON))?;
    stream.read_exact(&mut late)?;
    proxy.cut();
    ensure!(said(&mut stream).is_err());
    ensure!(said(&mut connect()?).is_err());
    proxy.mend();
    ensure!(said(&mut connect()?)? == b'x');
    Ok(())
}
