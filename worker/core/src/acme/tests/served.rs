//! Who is behind, and from when on age is told.

use super::super::served::{Ends, Place, Sight, Stand, alert_from, ends_first, findings, judge};
use super::super::{Lifetime, served};
use jiff::{SignedDuration, Timestamp};

fn lifetime(days: i64) -> Lifetime {
    let from: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    Lifetime {
        from,
        until: from + SignedDuration::from_hours(24 * days),
    }
}

fn place(node: &str) -> Place {
    Place {
        certificate: "blog".parse().unwrap(),
        node: node.parse().unwrap(),
        connect: "192.0.2.1:443".parse().unwrap(),
        host: "blog.example.org".to_owned(),
    }
}

fn sight(serial: &str, days: i64) -> Sight {
    Sight {
        serial: serial.to_owned(),
        lifetime: lifetime(days),
        problem: None,
    }
}

#[test]
fn age_is_told_when_half_of_the_time_to_renew_has_passed() {
    for (days, left) in [(6, 36), (45, 180), (90, 360), (398, 720)] {
        let told = alert_from(lifetime(days), None);
        let left_then = lifetime(days).until.duration_since(told);
        assert_eq!(left_then.as_hours(), left, "{days}");
        // Renewal was due before that, so a certificate that is renewed in time is never told.
        assert!(told > super::super::due::ageing("blog", lifetime(days)));
    }
    let told = alert_from(lifetime(90), Some(20));
    assert_eq!(lifetime(90).until.duration_since(told).as_hours(), 20 * 24);
}

#[test]
fn a_node_that_serves_another_one_is_behind() {
    let now = lifetime(1).until;
    let seen = || {
        vec![
            (place("vps1"), Ok(sight("02", 90))),
            (place("vps2"), Ok(sight("01", 60))),
            (place("vps3"), Err("refused".to_owned())),
        ]
    };
    let stands = |current| -> Vec<Stand> {
        let judged = judge(current, seen(), now);
        judged.into_iter().map(|own| own.stand).collect()
    };
    use Stand::{Behind, Current, Silent};
    assert_eq!(stands(Some("02")), [Current, Behind, Silent]);
    assert_eq!(stands(Some("03")), [Behind, Behind, Silent]);
    let mut later = seen();
    if let Ok(sight) = &mut later[1].1 {
        sight.lifetime.from += SignedDuration::from_hours(1);
    }
    assert_eq!(served::newest(&later).unwrap().serial, "01");
    assert_eq!(judge(None, later, now)[0].stand, Behind);

    let judged = judge(Some("02"), seen(), now);
    let name = "blog".parse().unwrap();
    let codes = |lifetime| -> Vec<String> {
        let ends = Some(Ends {
            lifetime,
            node: None,
        });
        let found = findings(&name, ends, &judged, None, now);
        (&found)
            .into_iter()
            .map(|own| own.code.to_string())
            .collect()
    };
    assert_eq!(codes(lifetime(90)), ["WL329"]);
    assert_eq!(codes(lifetime(1)), ["WL328", "WL329"]);
}

#[test]
fn a_certificate_that_could_not_be_rolled_does_not_hide_that_the_served_one_ends() {
    let now = lifetime(90).until - SignedDuration::from_hours(24);
    let renewed = Lifetime {
        from: lifetime(60).until,
        until: lifetime(150).until,
    };
    let mut seen = vec![
        (place("vps1"), Ok(sight("01", 120))),
        (place("vps2"), Ok(sight("01", 90))),
        (place("vps3"), Err("refused".to_owned())),
    ];
    let name = "blog".parse().unwrap();
    let told = |seen: &[_], now| {
        let ends = ends_first(Some(renewed), seen, now);
        let found = findings(&name, ends, &[], None, now);
        found
            .iter()
            .map(|own| own.message.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        told(&seen, now),
        ["the certificate blog that vps2 serves is in force for 1 more days only"]
    );
    assert_eq!(
        told(&seen, lifetime(91).until),
        ["the certificate blog that vps2 serves has expired"]
    );
    // Another host's, which the node gives to whoever asks for one that it does not have.
    if let Ok(sight) = &mut seen[1].1 {
        sight.problem = Some("the certificate is for other names".to_owned());
    }
    assert_eq!(told(&seen, now), [""; 0]);
    assert_eq!(
        ends_first(Some(renewed), &seen[2..], now).unwrap().node,
        None
    );
}
