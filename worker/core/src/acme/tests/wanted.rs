//! Which certificates follow from the sites.

use super::{model_of, snapshot};
use crate::acme::wanted;
use crate::model::acme::KeyType;
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
