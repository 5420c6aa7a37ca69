//! SOA serials: as long as a zone's text stays, its serial stays; every other text, also an old one that comes
//! back, gets a higher one.

use windlass::ports::NodeWriter;
use windlass_core::observed::DriftKind;

use super::bench::{Bench, OLD, ZONE, fence, path, release, turn, zone};

fn serial(bench: &Bench) -> u32 {
    serial_in(&bench.read(ZONE))
}

fn serial_in(text: &str) -> u32 {
    let number = text.split_whitespace().nth(5).unwrap_or_default();
    number
        .parse()
        .unwrap_or_else(|_| panic!("no serial in {text}"))
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "lab: needs root"]
async fn a_serial_changes_with_the_text_only_and_going_back_raises_it() {
    let bench = Bench::boot();
    let one = release(&[(ZONE, &zone("www A 192.0.2.1"))]);
    bench.roll("1-a", &turn(None, &one), &one).await;
    let first = serial(&bench);
    assert_eq!(first.to_string()[..8], bench.sh("date -u +%Y%m%d"));

    let mut same = release(&[(ZONE, &zone("www A 192.0.2.1")), (OLD, "x\n")]);
    same.meta.files.get_mut(&path(ZONE)).unwrap().mode = "0600".to_owned();
    bench.roll("1-b", &turn(Some(&one), &same), &same).await;
    assert_eq!(serial(&bench), first);

    let two = release(&[(ZONE, &zone("www A 192.0.2.2")), (OLD, "x\n")]);
    bench.stage("1-c", Some(&same), &two).await;
    bench.activate("1-c", 60).await.unwrap();
    assert_eq!(serial(&bench), first + 1);
    bench.rollback("1-c").await.unwrap();
    assert_eq!(
        serial(&bench),
        first + 2,
        "secondaries would keep the bad zone"
    );
    assert!(bench.read(ZONE).contains("192.0.2.1"));
    assert!(bench.status().await.drift.is_empty());
    bench.rollback("1-c").await.unwrap();
    assert_eq!(serial(&bench), first + 2);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "lab: needs root"]
async fn a_refused_activation_uses_no_serial_up_and_is_no_drift() {
    let bench = Bench::boot();
    let one = release(&[(ZONE, &zone("www A 192.0.2.1"))]);
    bench.roll("1-a", &turn(None, &one), &one).await;
    let first = serial(&bench);
    let two = release(&[(ZONE, &zone("www A 192.0.2.2"))]);
    bench.stage("1-b", Some(&one), &two).await;
    bench.node().make_read_only("/etc/demo").unwrap();
    bench.activate("1-b", 60).await.unwrap_err();
    bench.node().make_writable("/etc/demo").unwrap();
    assert!(bench.status().await.drift.is_empty());
    bench.activate("1-b", 60).await.unwrap();
    assert_eq!(serial(&bench), first + 1);
}

/// Where a zone's path was a folder before, there is one where its serial would be noted: some awks end at reading it.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "lab: needs root"]
async fn a_folder_in_the_place_of_a_serial_hides_no_drift() {
    let bench = Bench::boot();
    let one = release(&[(ZONE, &zone("www A 192.0.2.1")), (OLD, "x\n")]);
    bench.roll("1-a", &turn(None, &one), &one).await;
    let record = format!("/var/lib/windlass/serials{ZONE}");
    bench.sh(&format!("rm {record}; mkdir {record}; echo y >>{OLD}"));
    let drift = bench.status().await.drift;
    assert_eq!(drift[&path(OLD)], DriftKind::Modified, "{drift:?}");
    assert_eq!(drift[&path(ZONE)], DriftKind::Modified, "{drift:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "lab: needs root"]
async fn an_adopted_zone_goes_on_from_its_own_serial_and_wraps_as_rfc_1982_says() {
    let bench = Bench::boot();
    bench.sh("mkdir -p /etc/demo; echo '@ SOA ns hostmaster ( 4294967294 60 30 86400 5 )' >/etc/demo/example.zone");
    let one = release(&[(ZONE, &zone("www A 192.0.2.1"))]);
    let mut adopting = turn(None, &one);
    adopting.adopt = vec![path(ZONE)];
    let nodes = &bench.nodes;
    nodes
        .stage(&fence(1), "1-a", &one, &adopting)
        .await
        .unwrap();
    bench.activate("1-a", 60).await.unwrap();
    // Today's date is "before" 4294967294 by at most 2^31 only from the other side: it counts as higher.
    let taken = serial(&bench);
    assert!(
        taken.wrapping_sub(4_294_967_294) < 1 << 31,
        "{taken} is lower"
    );
    bench.rollback("1-a").await.unwrap();
    let back = serial(&bench);
    assert_eq!(back, taken + 1);
    assert!(!bench.read(ZONE).contains("192.0.2.1"));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "lab: needs root"]
async fn a_clock_that_jumps_back_does_not_lower_a_serial() {
    let bench = Bench::boot();
    let one = release(&[(ZONE, &zone("www A 192.0.2.1"))]);
    bench.roll("1-a", &turn(None, &one), &one).await;
    // As if the first roll had happened while the clock was years ahead.
    bench.sh("f=/var/lib/windlass/serials/etc/demo/example.zone; sed -i 's/^[0-9]*/2091010107/' $f; sed -i 's/( [0-9]*/( 2091010107/' /etc/demo/example.zone; s=$(sha256sum </etc/demo/example.zone); sed -i \"s/[0-9a-f]*$/${s%% *}/\" $f");
    assert!(bench.status().await.drift.is_empty());
    let two = release(&[(ZONE, &zone("www A 192.0.2.2"))]);
    bench.roll("1-b", &turn(Some(&one), &two), &two).await;
    assert_eq!(serial(&bench), 2_091_010_108);
}

/// The text before and after the one number that may change, where there is one.
type Around = Option<(&'static str, &'static str)>;

/// Zones as people keep them: path, text, and what must stay of it.
const KEPT: [(&str, &str, Around); 6] = [
    (
        "/etc/demo/one.zone",
        "$TTL 1\n@ 1 IN SOA ns hostmaster ( ; serial: 1\n\t1 60 30 1 1 )\n@ NS ns1\n",
        Some((
            "$TTL 1\n@ 1 IN SOA ns hostmaster ( ; serial: 1\n\t",
            " 60 30 1 1 )\n@ NS ns1\n",
        )),
    ),
    (
        "/etc/demo/short.zone",
        "@ SOA ns hostmaster ( 42 60 30 86400 5 )\nwww A 10.0.0.10\nn42 A 10.0.0.42\n",
        Some((
            "@ SOA ns hostmaster ( ",
            " 60 30 86400 5 )\nwww A 10.0.0.10\nn42 A 10.0.0.42\n",
        )),
    ),
    (
        "/etc/demo/text.zone",
        "soa TXT \"( SOA a b 7;\"\nt TXT 9999999999\n@ IN SOA ns hostmaster 2024010101 60 30 86400 5\nu TXT 2991010101 2024010101\n",
        Some((
            "soa TXT \"( SOA a b 7;\"\nt TXT 9999999999\n@ IN SOA ns hostmaster ",
            " 60 30 86400 5\nu TXT 2991010101 2024010101\n",
        )),
    ),
    (
        "/etc/demo/ahead.zone",
        "@ SOA ns hostmaster (\n  3000000000 60 30 86400 5 )\n",
        Some(("@ SOA ns hostmaster (\n  ", " 60 30 86400 5 )\n")),
    ),
    (
        "/etc/demo/included.zone",
        "$INCLUDE soa.inc\n0 A 10.0.0.10\nt TXT 2024010101\n",
        None,
    ),
    (
        "/etc/demo/broken.zone",
        "@ SOA ns hostmaster ( 4294967296 60 30 86400 5 )\nwww A 10.0.0.10\n",
        None,
    ),
];

#[tokio::test(flavor = "multi_thread")]
#[ignore = "lab: needs root"]
async fn an_adopted_zone_that_goes_back_differs_in_the_serial_of_its_soa_and_in_nothing_else() {
    let bench = Bench::boot();
    let new = zone("www A 192.0.2.1");
    bench.sh("mkdir -p /etc/demo");
    for (file, text, _) in KEPT {
        std::fs::write(bench.path(file), text).unwrap();
    }
    let one = release(&KEPT.map(|(file, _, _)| (file, new.as_str())));
    let mut adopting = turn(None, &one);
    adopting.adopt = KEPT.map(|(file, _, _)| path(file)).to_vec();
    bench
        .nodes
        .stage(&fence(1), "1-a", &one, &adopting)
        .await
        .unwrap();
    bench.activate("1-a", 60).await.unwrap();
    let today: u32 = bench.sh("date -u +%Y%m%d00").trim().parse().unwrap();
    let taken = KEPT.map(|(file, _, _)| serial_in(&bench.read(file)));
    for (taken, (file, text, _)) in taken.iter().zip(KEPT) {
        let floor = if text.contains("3000000000") {
            3_000_000_000
        } else {
            today
        };
        assert_eq!(*taken, floor + 1, "{file}");
    }

    bench.rollback("1-a").await.unwrap();
    for (taken, (file, text, around)) in taken.iter().zip(KEPT) {
        let expected = around.map_or_else(
            || text.to_owned(),
            |(before, after)| format!("{before}{}{after}", taken + 1),
        );
        assert_eq!(bench.read(file), expected, "{file}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "lab: needs root"]
async fn a_serial_that_a_person_raised_by_hand_is_not_undercut() {
    let bench = Bench::boot();
    let one = release(&[(ZONE, &zone("www A 192.0.2.1"))]);
    bench.roll("1-a", &turn(None, &one), &one).await;
    bench.sh("sed -i 's/( [0-9]*/( 3000000000/; s/192.0.2.1/192.0.2.66/' /etc/demo/example.zone");
    let again = release(&[(ZONE, &zone("www A 192.0.2.1")), (OLD, "x\n")]);
    let mut adopting = turn(Some(&one), &again);
    adopting.changes.extend(turn(None, &one).changes);
    adopting.adopt = vec![path(ZONE)];
    bench.roll("1-b", &adopting, &again).await;
    assert!(bench.read(ZONE).contains("192.0.2.1\n"));
    assert_eq!(
        serial(&bench),
        3_000_000_001,
        "secondaries would keep what the person wrote"
    );
}
