//! Packages that a component needs and the node lacks, from a local repository.

use windlass::ports::{NodeError, NodeWriter};

use super::bench::{Bench, OLD, fence, release, turn};

/// A package whose service would start at once if nobody held it.
const REPOSITORY: &str = r#"
mkdir -p /root/repo /root/pkg/DEBIAN /root/pkg/lib/systemd/system && cd /root
printf 'Package: demo-daemon\nVersion: 1\nArchitecture: all\nMaintainer: x <x@example.org>\nDescription: x\n' >pkg/DEBIAN/control
printf '[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n' >pkg/lib/systemd/system/demo-daemon.service
printf '#!/bin/sh\nsystemctl daemon-reload\nsystemctl enable demo-daemon\ninvoke-rc.d demo-daemon start || true\n' >pkg/DEBIAN/postinst
chmod 755 pkg/DEBIAN/postinst
dpkg-deb -b pkg repo/demo-daemon_1_all.deb >/dev/null
cd repo
{ dpkg-deb -f demo-daemon_1_all.deb; echo "Filename: ./demo-daemon_1_all.deb"
  echo "Size: $(stat -c %s demo-daemon_1_all.deb)"; echo "SHA256: $(sha256sum demo-daemon_1_all.deb | cut -d' ' -f1)"; } >Packages
rm -f /etc/apt/sources.list /etc/apt/sources.list.d/*
echo 'deb [trusted=yes] file:/root/repo ./' >/etc/apt/sources.list
echo kept >/usr/sbin/policy-rc.d
"#;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "lab: needs root"]
async fn missing_packages_are_installed_and_nothing_starts_before_its_configuration() {
    let bench = Bench::boot();
    bench.sh(REPOSITORY);
    let one = release(&[(OLD, "old\n")]);
    let mut first = turn(None, &one);
    first.packages = vec!["demo-daemon".into(), "coreutils".into()];
    for token in ["1-a", "1-b"] {
        bench
            .nodes
            .stage(&fence(1), token, &one, &first)
            .await
            .unwrap();
    }
    assert_eq!(
        bench.sh("dpkg-query -W -f '${Status}' demo-daemon"),
        "install ok installed"
    );
    assert_eq!(
        bench.sh("systemctl is-active demo-daemon || true"),
        "inactive"
    );
    assert_eq!(bench.read("/usr/sbin/policy-rc.d"), "kept\n");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "lab: needs root"]
async fn a_package_that_cannot_be_had_is_an_error_with_apts_words() {
    let bench = Bench::boot();
    bench.sh(REPOSITORY);
    let one = release(&[(OLD, "old\n")]);
    let mut first = turn(None, &one);
    first.packages = vec!["no-such-thing".into()];
    let error = bench.nodes.stage(&fence(1), "1-a", &one, &first).await;
    let Err(NodeError::Failed { why, .. }) = error else {
        panic!("{error:?}");
    };
    assert!(
        why.contains("Unable to locate package no-such-thing"),
        "{why}"
    );
    assert_eq!(bench.read("/usr/sbin/policy-rc.d"), "kept\n");
    assert!(!bench.exists("/etc/demo"));
}
