//! What pebble 2.4 does not have, added by a small server before it: rate limits, and renewal information.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse as _;
use axum::routing::{get, post};
use axum::{Json, Router};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use windlass_core::acme::{Entry, Failure, Known, Why, due};
use windlass_core::model::Authority;
use windlass_core::yaml::At;

use super::world::World;
use crate::acme::{Ran, Suggestion};

/// pebble's directory with one more entry, or one that leads elsewhere.
async fn before(world: &World, changes: Value, router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let own = format!("http://{}", listener.local_addr().unwrap());
    let text = world
        .pebble
        .client()
        .get(world.pebble.directory())
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    let mut directory: Value = serde_json::from_str(&text).unwrap();
    for (key, path) in changes.as_object().unwrap() {
        directory[key] = json!(format!("{own}{}", path.as_str().unwrap()));
    }
    let shown = get(|State(directory): State<Value>| async move { Json(directory) });
    let router = router.route("/dir", shown.with_state(directory));
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("{own}/dir")
}

#[tokio::test]
async fn a_rate_limit_is_remembered_for_every_certificate_of_the_authority() {
    let world = World::new().await;
    let limited = || async {
        let problem = json!({"type": "urn:ietf:params:acme:error:rateLimited", "detail": "too many certificates", "status": 429});
        (
            StatusCode::TOO_MANY_REQUESTS,
            [(header::RETRY_AFTER, "86000")],
            problem.to_string(),
        )
            .into_response()
    };
    let directory = before(
        &world,
        json!({"newOrder": "/order"}),
        Router::new().route("/order", post(limited)),
    )
    .await;
    let mut wanted = world.wanted("blog", &["blog.example.org"]);
    wanted.authorities[0].directory = At::nowhere(directory);
    let began = Timestamp::now();
    let Ran::Failed { failure, why } = world.run(&wanted).await else {
        panic!("limited")
    };
    let Failure::RateLimited { until: Some(until) } = failure else {
        panic!("{failure:?}: {why}")
    };
    let wait = until.duration_since(began).as_secs();
    assert!((86_000..86_100).contains(&wait), "{wait}");

    // Another worker, another certificate: the limit is the same.
    let mut other = world.wanted("shop", &["shop.example.org"]);
    other.authorities = wanted.authorities.clone();
    for own in [&wanted, &other] {
        let known = world.orderer().ledger.known(own).await.unwrap();
        let next = due(own, &known, Timestamp::now()).unwrap();
        assert!(next.put_off && next.at >= until, "{next:?}");
    }
}

#[tokio::test]
async fn an_authority_says_when_to_renew() {
    let world = World::new().await;
    let start = Timestamp::now() - SignedDuration::from_hours(2);
    let end = start + SignedDuration::from_hours(1);
    let info = move || async move {
        let window =
            json!({"suggestedWindow": {"start": start.to_string(), "end": end.to_string()}});
        ([(header::RETRY_AFTER, "21600")], window.to_string()).into_response()
    };
    let directory = before(
        &world,
        json!({"renewalInfo": "/ari"}),
        Router::new().route("/ari/{id}", get(info)),
    )
    .await;
    let mut wanted = world.wanted("blog", &["blog.example.org"]);
    wanted.authorities[0].directory = At::nowhere(directory.clone());
    let issued = World::issued(world.run(&wanted).await);

    let orderer = world.orderer();
    let leaf = orderer.shelf.leaf(&wanted.name).unwrap().unwrap();
    let suggested = orderer
        .suggested(&wanted.authorities[0], &directory, &leaf, &world.access())
        .await
        .unwrap();
    orderer
        .ledger
        .suggest(&wanted.name, &suggested)
        .await
        .unwrap();
    let stored: Suggestion = world
        .orderer()
        .ledger
        .suggestion(&wanted.name)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(stored, suggested);
    let hours = stored.again.duration_since(Timestamp::now()).as_hours();
    assert!((5..=6).contains(&hours), "{hours}");

    let known = Known {
        issued: Some(issued),
        window: stored.window,
        ..Known::default()
    };
    let next = due(&wanted, &known, Timestamp::now()).unwrap();
    assert_eq!(next.why, Why::Suggested);
    assert!(next.at < Timestamp::now(), "now");
    // It is told which one it replaces; this pebble does not understand, and gives one all the same.
    World::issued(world.run(&wanted).await);
}

#[tokio::test]
async fn an_authority_without_suggestions_is_not_taken_for_one_that_is_silent() {
    let world = World::new().await;
    let wanted = world.wanted("blog", &["blog.example.org"]);
    World::issued(world.run(&wanted).await);
    let orderer = world.orderer();
    let leaf = orderer.shelf.leaf(&wanted.name).unwrap().unwrap();
    // It has none, and is not asked again soon.
    let directory = world.pebble.directory();
    let none = orderer
        .suggested(&world.authority(), &directory, &leaf, &world.access())
        .await
        .unwrap();
    let hours = none.again.duration_since(Timestamp::now()).as_hours();
    assert!(none.window.is_none() && hours >= 5, "{none:?}");
    // One that cannot be asked has not said that.
    let directory = "https://127.0.0.1:1/dir";
    let away = Authority {
        directory: At::nowhere(directory.to_owned()),
        ..world.authority()
    };
    let access = world.access();
    let asked = orderer.suggested(&away, directory, &leaf, &access);
    assert!(asked.await.is_none());
}

/// The authority that was asked instead has issued it: what the first one said of its limit still holds.
#[tokio::test]
async fn a_limit_outlives_the_success_at_another_authority() {
    let world = World::new().await;
    let mut wanted = world.wanted("blog", &["blog.example.org"]);
    let limited = "https://limited.example.net/dir";
    let until = Timestamp::now() + SignedDuration::from_hours(24);
    let ledger = world.orderer().ledger;
    let mut begun = super::authority::begun(&wanted);
    begun.directory = limited.to_owned();
    let mut open = ledger.begin(begun).await.unwrap();
    for failure in [
        Failure::RateLimited { until: Some(until) },
        Failure::OrderLost,
    ] {
        let entry = Entry::Failed {
            failure,
            why: "of the test's own".to_owned(),
        };
        ledger.append(&mut open, &entry, None).await.unwrap();
    }
    World::issued(world.run(&wanted).await);
    wanted.authorities[0].directory = At::nowhere(limited.to_owned());
    let mut other = world.wanted("shop", &["shop.example.org"]);
    other.authorities = wanted.authorities.clone();
    for own in [&wanted, &other] {
        let known = world.orderer().ledger.known(own).await.unwrap();
        assert_eq!(known.limits.len(), 1, "{}", own.name);
        let missing = Known {
            issued: None,
            ..known
        };
        let next = due(own, &missing, Timestamp::now()).unwrap();
        assert!(next.put_off && next.at >= until, "{}: {next:?}", own.name);
    }
}
