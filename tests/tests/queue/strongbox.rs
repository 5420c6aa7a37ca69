//! What the workers of a cluster keep together at a real broker: one at a time sees it, and nothing of it is lost.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use windlass::ports::{OpenBox, Strongbox as _};
use windlass::queue::amqp::{Settings, Strongbox};
use windlass_tests::broker::{Proxy, Version};

use super::place::{Place, SOON, cluster, on_each_broker};

on_each_broker!(
    one_worker_at_a_time_and_each_knows_what_was_put,
    who_was_cut_off_changes_nothing_any_more,
    what_was_put_outlives_the_broker,
    those_who_wait_for_it_have_it_one_after_the_other,
);

fn strongbox(url: &str) -> Result<Strongbox> {
    Ok(Strongbox::new(Settings::new(url)?, cluster()))
}

async fn opened(strongbox: &Strongbox) -> Result<Box<dyn OpenBox>> {
    let opening = async {
        loop {
            if let Some(open) = strongbox.open().await.map_err(anyhow::Error::msg)? {
                return anyhow::Ok(open);
            }
        }
    };
    tokio::time::timeout(SOON, opening)
        .await
        .context("it does not open")?
}

async fn put(open: &mut Box<dyn OpenBox>, key: &str, text: &str) -> Result<()> {
    let put = open.put(key, text.as_bytes().to_vec()).await;
    put.map_err(anyhow::Error::msg)
}

fn texts(open: &dyn OpenBox) -> Vec<(String, String)> {
    let all = open.records().iter();
    all.map(|(key, text)| (key.clone(), String::from_utf8_lossy(text).into_owned()))
        .collect()
}

fn pair(key: &str, text: &str) -> (String, String) {
    (key.to_owned(), text.to_owned())
}

async fn one_worker_at_a_time_and_each_knows_what_was_put(version: Version) -> Result<()> {
    let place = Place::start(version)?;
    let url = place.broker.url("v0");
    let (one, other) = (strongbox(&url)?, strongbox(&url)?);
    let mut open = opened(&one).await?;
    ensure!(texts(open.as_ref()).is_empty());
    for n in 0..20 {
        put(&mut open, "certificate blog", &format!("version {n}")).await?;
    }
    put(&mut open, "account x", "me").await?;
    ensure!(texts(open.as_ref()).len() == 2);
    let second = other.open().await.map_err(anyhow::Error::msg)?;
    ensure!(second.is_none(), "two have it open");
    // While the other one asked, nothing was lost.
    put(&mut open, "account x", "me again").await?;
    open.close().await;

    let mut open = opened(&other).await?;
    let all = [
        pair("account x", "me again"),
        pair("certificate blog", "version 19"),
    ];
    ensure!(texts(open.as_ref()) == all, "{:?}", texts(open.as_ref()));
    put(&mut open, "certificate blog", "version 20").await?;
    // As a worker that is killed: nobody says goodbye.
    drop(open);
    let open = opened(&one).await?;
    let all = [
        pair("account x", "me again"),
        pair("certificate blog", "version 20"),
    ];
    ensure!(texts(open.as_ref()) == all, "{:?}", texts(open.as_ref()));
    Ok(())
}

/// A worker whose connection is gone for the broker, and that goes on.
async fn who_was_cut_off_changes_nothing_any_more(version: Version) -> Result<()> {
    let place = Place::start(version)?;
    let proxy = Proxy::to(place.broker.node(0).address())?;
    let through = place.broker.url_at(proxy.port(), "v0");
    let (cut, other) = (strongbox(&through)?, strongbox(&place.broker.url("v0"))?);
    let mut open = opened(&cut).await?;
    put(&mut open, "certificate blog", "before").await?;
    // Its bytes go nowhere from now on, which nobody tells it.
    proxy.silence();
    let mut second = opened(&other).await?;
    ensure!(texts(second.as_ref()) == [pair("certificate blog", "before")]);
    put(&mut second, "certificate blog", "of the other").await?;
    ensure!(
        put(&mut open, "certificate blog", "too late")
            .await
            .is_err()
    );
    second.close().await;
    drop(open);
    let last = opened(&other).await?;
    ensure!(texts(last.as_ref()) == [pair("certificate blog", "of the other")]);
    Ok(())
}

/// At a broker that is starting.
async fn opened_again(own: &Strongbox) -> Result<Box<dyn OpenBox>> {
    let mut last = String::new();
    let opening = async {
        loop {
            match own.open().await {
                Ok(Some(open)) => return open,
                Ok(None) => last = "another one has it".to_owned(),
                Err(why) => last = why,
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    let opened = tokio::time::timeout(SOON, opening).await;
    opened.with_context(|| format!("it does not open: {last}"))
}

/// The broker is killed and comes back with what it confirmed.
async fn what_was_put_outlives_the_broker(version: Version) -> Result<()> {
    let place = Place::start(version)?;
    let own = strongbox(&place.broker.url("v0"))?;
    // What a broker knows of a queue that was only just made may be lost when it is killed.
    opened(&own).await?.close().await;
    place.broker.node(0).stop()?;
    place.broker.node(0).start()?;
    let mut open = opened_again(&own).await?;
    put(&mut open, "certificate blog", "kept").await?;
    place.broker.node(0).kill()?;
    let lost = tokio::time::timeout(SOON, put(&mut open, "certificate blog", "lost"));
    ensure!(lost.await.context("it waits for ever")?.is_err());
    drop(open);
    place.broker.node(0).start()?;
    let open = opened_again(&own).await?;
    let there = texts(open.as_ref());
    open.close().await;
    let again = texts(opened_again(&own).await?.as_ref());
    let kept = [pair("certificate blog", "kept")];
    ensure!(there == kept, "{there:?}, and then {again:?}");
    Ok(())
}

/// Each adds one to what it finds there.
async fn those_who_wait_for_it_have_it_one_after_the_other(version: Version) -> Result<()> {
    let place = Place::start(version)?;
    let own = strongbox(&place.broker.url("v0"))?;
    let adding = |times: usize| {
        let own = strongbox(&place.broker.url("v0"));
        async move {
            let own = own?;
            for _ in 0..times {
                let mut open = opened(&own).await?;
                let before = texts(open.as_ref())
                    .pop()
                    .map_or(Ok(0), |(_, n)| n.parse())?;
                put(&mut open, "count", &(before + 1_u32).to_string()).await?;
                open.close().await;
            }
            anyhow::Ok(())
        }
    };
    let workers = [
        tokio::spawn(adding(5)),
        tokio::spawn(adding(5)),
        tokio::spawn(adding(5)),
    ];
    for worker in workers {
        worker.await??;
    }
    let there = texts(opened(&own).await?.as_ref());
    ensure!(there == [pair("count", "15")], "{there:?}");
    Ok(())
}
