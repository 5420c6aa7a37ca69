//! A commit with a file of 100 MB: told as a finding, soon, and without holding the file in memory more often than Git
//! itself does.

use std::fs::{self, File};
use std::io::{Read as _, copy};
use std::time::Instant;

use super::world::World;

const MB: u64 = 1024 * 1024;
const SIZE: u64 = 100 * MB;

/// The most memory that the process ever had, in MB.
fn peak(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.unwrap().trim().trim_end_matches(" kB");
    kilobytes.parse::<u64>().unwrap() / 1024
}

#[test]
fn a_file_of_100_mb_is_a_finding_and_not_read() {
    let world = World::new();
    let (first, _) = world.push("name: [");
    let worker = world.start();
    world.wait_for_report_of(&first);
    let before = peak(worker.0.id());

    // Noise, because what can be packed is small on its way; git need not try.
    world.git(&world.path("work"), &["config", "core.compression", "0"]);
    let noise = File::open("/dev/urandom").unwrap();
    let mut large = File::create(world.path("work/backup.sql")).unwrap();
    copy(&mut noise.take(SIZE), &mut large).unwrap();
    world.install_hook();
    let begun = Instant::now();
    let (second, _) = world.push("name: example");
    world.wait_for_report_of(&second);
    let (took, peak) = (begun.elapsed(), peak(worker.0.id()));
    println!("told after {took:?}; peak {before} MB before, {peak} MB then");

    let latest = &world.json("/api/v1/clusters/example")["latest"];
    let all = latest["findings"].as_array().unwrap();
    let finding = all
        .iter()
        .find(|finding| finding["at"]["file"] == "backup.sql");
    let finding = finding.unwrap_or_else(|| panic!("{latest}"));
    assert_eq!(finding["code"], "WL107", "{finding}");
    assert!(
        finding["message"]
            .as_str()
            .unwrap()
            .contains(&SIZE.to_string()),
        "{finding}"
    );
    assert!(peak < before + 3 * SIZE / MB, "{before} MB, then {peak} MB");
}
