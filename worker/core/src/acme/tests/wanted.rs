//! Which certificates follow from the sites.

use super::{model_of, snapshot};
use crate::acme::wanted;
use crate::model::acme::KeyType;
use crate::model::derive::{self, RecordSet};
use crate::model::example;

#[test]
fn each_site_gets_its_own() {
    let model = model_of(&snapshot("tls: {}", ""));
    let all = wanted(&model);
    let names: Vec<(&str, usize)> = all
        .iter()
        .map(|own| (own.name.as_str(), own.names.len()))
        .collect();
    assert_eq!(names, [("blog", 1), ("shop", 2)]);
    let shop = &all[1];
    assert_eq!(shop.key, KeyType::EcdsaP256);
    assert_eq!(
        shop.authorities
            .iter()
            .map(|own| own.name.as_str())
            .collect::<Vec<_>>(),
        ["one", "two"]
    );
    let ways = &shop.ways["www.example.org"];
    let shown: Vec<String> = ways
        .iter()
        .map(|way| format!("{} {}", way.node.as_ref().unwrap(), way.address))
        .collect();
    assert_eq!(shown, ["vps1 10.80.0.11", "vps2 10.80.0.12"]);
    let through: Vec<&str> = shop.through["www.example.org"]
        .iter()
        .map(|zone| zone.as_str())
        .collect();
    assert_eq!(through, ["example.org"]);
    let site = &model.sites["shop"];
    assert_eq!(model.certificate_of(site).unwrap().0.as_str(), "shop");
}

#[test]
fn sites_of_a_zone_share_one() {
    let model = model_of(&snapshot(
        "tls: {}",
        "  group: zone\n  key: rsa-2048\n  profile: shortlived\n",
    ));
    let all = wanted(&model);
    let [one] = &all[..] else { panic!("{all:?}") };
    assert_eq!(one.name.as_str(), "example-org");
    let names: Vec<&str> = one.names.iter().map(|name| name.as_str()).collect();
    assert_eq!(
        names,
        ["blog.example.org", "shop.example.org", "www.example.org"]
    );
    assert_eq!(
        (one.key, one.profile.as_ref().unwrap().as_str()),
        (KeyType::Rsa2048, "shortlived")
    );
}

#[test]
fn a_certificate_by_file_stays_one_and_a_file_may_ask_for_an_order() {
    let model = model_of(&snapshot("tls: { certificate: wildcard }", ""));
    assert_eq!(wanted(&model).len(), 1, "only the shop's");

    let mut own = snapshot("tls: { certificate: own }", "");
    let text = "names: [blog.example.org]\nacme: { authorities: [two], key: ecdsa-p384 }\n";
    example::put(&mut own, "certificates/own.yaml", text);
    let all = wanted(&model_of(&own));
    assert_eq!(all[0].name.as_str(), "own");
    assert_eq!(all[0].key, KeyType::EcdsaP384);
    assert_eq!(all[0].authorities.len(), 1);
    assert_eq!(
        all[0].authorities[0].eab.as_ref().unwrap().secret,
        "two_eab"
    );
}

#[test]
fn terms_change_with_names_key_and_profile_alone() {
    let model = model_of(&snapshot("tls: {}", ""));
    let shop = wanted(&model).pop().unwrap();
    let mut turned = shop.clone();
    turned.names.reverse();
    turned.contact.clear();
    assert_eq!(shop.terms(), turned.terms());
    let mut fewer = shop.clone();
    fewer.names.pop();
    let mut other = shop.clone();
    other.key = KeyType::Rsa4096;
    let mut shorter = shop.clone();
    shorter.profile = Some("shortlived".parse().unwrap());
    let all = [&shop, &fewer, &other, &shorter].map(|own| own.terms());
    for (index, one) in all.iter().enumerate() {
        assert!(!all[..index].contains(one));
    }
}

const BY_DNS: &str = "  group: wildcard\n  dns: {}\n";

#[test]
fn a_wildcard_serves_all_sites_of_its_zone() {
    let mut deep = snapshot("tls: {}", BY_DNS);
    let site = "hosts: [a.deep.example.org]\non: { role: edge }\nport: 8090\ntls: {}\n";
    example::put(&mut deep, "sites/deep.yaml", site);
    let model = model_of(&deep);
    let all = wanted(&model);
    let [one] = &all[..] else { panic!("{all:?}") };
    let names: Vec<&str> = one.names.iter().map(|name| name.as_str()).collect();
    assert_eq!(
        names,
        ["example.org", "*.example.org", "*.deep.example.org"]
    );
    for site in model.sites.values() {
        assert_eq!(
            model.certificate_of(site).unwrap().0.as_str(),
            "example-org"
        );
    }
    assert!(one.ways.is_empty(), "nothing is asked over HTTP");
    let dns = one.dns.as_ref().unwrap();
    assert_eq!(dns.primary.to_string(), "homelab (10.80.0.20)");
    let shown: Vec<String> = dns.secondaries.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["vps1 (10.80.0.11)", "vps2 (10.80.0.12)"]);
    let asked: Vec<(&str, &str)> = dns
        .names
        .values()
        .map(|asked| (asked.owner.as_str(), asked.target.as_str()))
        .collect();
    assert_eq!(
        asked,
        [
            (
                "_acme-challenge.deep.example.org",
                "deep.example.org.acme.example.org"
            ),
            (
                "_acme-challenge.example.org",
                "example.org.acme.example.org"
            ),
        ]
    );
    assert!(dns.names.values().all(|asked| asked.servers.len() == 2));
}

#[test]
fn what_leads_to_a_challenge_follows_from_the_certificates() {
    let mut own = snapshot(
        "tls: { certificate: own }",
        "  dns: { zone: dyn.example.org }\n",
    );
    let text = "names: [\"*.example.org\", other.example.net]\nacme: {}\n";
    example::put(&mut own, "certificates/own.yaml", text);
    let model = model_of(&own);
    let shop = &wanted(&model)[1];
    assert!(
        shop.name.as_str() == "shop" && shop.dns.is_none(),
        "over HTTP as before"
    );
    let zones = derive::zones(&model);
    let shown = |zone: &str| -> Vec<String> {
        let sets = zones
            .iter()
            .find(|(name, _)| name.as_str() == zone)
            .unwrap()
            .1;
        let wanted = |set: &&RecordSet| set.name.starts_with('_') || set.name == "dyn";
        let sets = sets.iter().filter(wanted);
        sets.map(|set| format!("{} {} {}", set.name, set.kind, set.values.join(" ")))
            .collect()
    };
    assert_eq!(
        shown("example.org"),
        [
            "_acme-challenge CNAME example.org.dyn.example.org.",
            "dyn NS vps1.example.org. vps2.example.org."
        ]
    );
    assert_eq!(
        zones.len(),
        2,
        "the zone for challenges is served like the one it lies in"
    );
    let all = wanted(&model);
    let asked = &all[0].dns.as_ref().unwrap().names["other.example.net"];
    assert!(
        asked.servers.is_empty() && asked.zone.is_none(),
        "looked up where it is served"
    );
    // What is asked of the real DNS: the zone itself, then the one above it.
    let dynamic = all[0].dns.as_ref().unwrap().zone.clone();
    let shown: Vec<String> = all[0]
        .upwards(&dynamic)
        .iter()
        .map(|(zone, servers)| format!("{zone}: {}", servers.len()))
        .collect();
    assert_eq!(shown, ["dyn.example.org: 2", "example.org: 2"]);
}
