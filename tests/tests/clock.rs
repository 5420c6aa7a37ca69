//! A wall clock that jumps: in the middle of a roll, and between a worker's death and its next start. Deadlines count
//! time that passed; a roll neither ends early nor waits for a day that will come.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use windlass_tests::cluster::{Cluster, Said, UnderWay, two_machines};
use windlass_tests::lab::Lab;

/// Debian's faketime, for whatever processor: `$LIB` is the dynamic linker's.
const LIBRARY: &str = "/usr/$LIB/faketime/libfaketimeMT.so.1";

/// A wall clock that can be set, for the programs that are started with it. How long something takes they still see.
struct Clock {
    file: PathBuf,
}

impl Clock {
    fn new(cluster: &Cluster) -> anyhow::Result<Self> {
        let clock = Self {
            file: cluster.dir().join("clock"),
        };
        let mut date = Command::new("date");
        date.arg("+%Y");
        clock.set("-20y")?;
        let past = Said::of(&mut clock.on(date))?;
        let now = jiff::Zoned::now().year().to_string();
        anyhow::ensure!(
            past.out.trim() < now.as_str(),
            "scripts/setup.sh installs faketime: {past}"
        );
        Ok(clock)
    }

    fn set(&self, offset: &str) -> anyhow::Result<()> {
        Ok(fs::write(&self.file, format!("{offset}\n"))?)
    }

    fn on(&self, mut command: Command) -> Command {
        command
            .env("LD_PRELOAD", LIBRARY)
            .env("FAKETIME_TIMESTAMP_FILE", &self.file)
            .env("FAKETIME_NO_CACHE", "1")
            .env("DONT_FAKE_MONOTONIC", "1");
        command
    }

    fn roll(&self, cluster: &Cluster) -> anyhow::Result<Said> {
        Said::of(&mut self.on(cluster.windlass(&["roll", "--yes"])))
    }

    fn roll_until(&self, cluster: &Cluster, word: &str) -> anyhow::Result<UnderWay> {
        UnderWay::start(&mut self.on(cluster.windlass(&["roll", "--yes"])), word)
    }
}

fn ends_well(lab: &Lab, cluster: &Cluster, text: &str) -> anyhow::Result<()> {
    cluster.notes(lab, text)?;
    cluster.is_whole(lab)
}

#[test]
#[ignore = "lab: needs root"]
fn a_clock_that_jumps_in_mid_roll_changes_nothing() -> anyhow::Result<()> {
    let lab = two_machines()?;
    let cluster = Cluster::with_note(&lab)?;
    let clock = Clock::new(&cluster)?;
    for (text, offset) in [("tomorrow", "+1d"), ("yesterday", "-1d")] {
        clock.set("+0")?;
        cluster.note(text, 1)?;
        let roll = clock.roll_until(&cluster, "homelab: is changed")?;
        clock.set(offset)?;
        roll.finish()?.ended(0).names(&["rolled out"]);
        ends_well(&lab, &cluster, text)?;
    }
    Ok(())
}

#[test]
#[ignore = "lab: needs root"]
fn a_clock_that_was_set_between_two_workers_neither_ends_nor_delays_the_roll() -> anyhow::Result<()>
{
    let lab = two_machines()?;
    let cluster = Cluster::with_note(&lab)?;
    let clock = Clock::new(&cluster)?;
    let mut held = "first";
    for (text, offset) in [("tomorrow", "+1d"), ("yesterday", "-1d")] {
        clock.set("+0")?;
        cluster.note(text, 1)?;
        clock.roll_until(&cluster, "vps1: is changed")?.kill()?;
        clock.set(offset)?;
        // It ends the roll that it finds. Where the node went back by itself that is no reason not to try again.
        let said = clock.roll(&cluster)?;
        match said.code {
            Some(0) => held = text,
            _ => drop(said.ended(1).names(&["rolled back"])),
        }
        ends_well(&lab, &cluster, held)?;
    }
    Ok(())
}
