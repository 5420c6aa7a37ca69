//! `windlass event`: the queue as a person sees it.

use std::fmt::Write as _;

use super::Exit;
use super::args::{DeadCommand, EventCommand, Wake};
use super::output::Output;
use super::service::{read, read_without_keys, runtime};
use crate::config::Config;
use crate::queue::{EventKind, QueueState, Queued};
use crate::worker::events::{self, Events};

pub(super) fn run(output: &Output, command: &EventCommand) -> anyhow::Result<Exit> {
    if let EventCommand::Send {
        cluster,
        why,
        config,
    } = command
    {
        let (config, cluster) = (read_without_keys(&config.config)?, cluster.parse()?);
        let kind = match why {
            Wake::Moved => EventKind::Moved,
            Wake::Sweep => EventKind::Sweep,
        };
        let id = runtime()?.block_on(events::send(&config, &cluster, kind))?;
        output.text(&format!("{id}\n"));
        return Ok(Exit::Done);
    }
    let config = of_queue(command)?;
    runtime()?.block_on(async {
        let events = Events::open(&config)?;
        let done = on_queue(output, command, &events).await;
        events.close().await;
        done
    })
}

/// Only to look into a broker a key is needed, its password.
fn of_queue(command: &EventCommand) -> anyhow::Result<Config> {
    let path = &command.config().config;
    let config = read_without_keys(path)?;
    if config.queue.value == "embedded" {
        Ok(config)
    } else {
        read(path)
    }
}

async fn on_queue(
    output: &Output,
    command: &EventCommand,
    events: &Events,
) -> anyhow::Result<Exit> {
    match command {
        EventCommand::List { limit, .. } => {
            let all = events.list(*limit).await?;
            output.result(&all, || table(&all))?;
        }
        EventCommand::Show { id, .. } => {
            let queued = events.show(id).await?;
            output.result(&queued, || whole(&queued))?;
        }
        EventCommand::Dead(DeadCommand::List { .. }) => {
            let all = events.dead().await?;
            output.result(&all, || table(&all))?;
        }
        EventCommand::Dead(DeadCommand::Replay { ids, all, .. }) => {
            for id in chosen(events, ids, *all).await? {
                events.replay(&id).await?;
                output.text(&format!("{id}: given out once more\n"));
            }
        }
        EventCommand::Dead(DeadCommand::Drop { ids, all, .. }) => {
            for id in chosen(events, ids, *all).await? {
                events.discard(&id).await?;
                output.text(&format!("{id}: forgotten\n"));
            }
        }
        EventCommand::Send { .. } => {}
    }
    Ok(Exit::Done)
}

async fn chosen(events: &Events, ids: &[String], all: bool) -> anyhow::Result<Vec<String>> {
    if !all {
        return Ok(ids.to_vec());
    }
    let dead = events.dead().await?;
    Ok(dead.into_iter().map(|queued| queued.event.id).collect())
}

fn table(all: &[Queued]) -> String {
    if all.is_empty() {
        return "none\n".to_owned();
    }
    let mut text = String::new();
    for queued in all {
        let event = &queued.event;
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{:<7} {:<6} {:<16} {}  {}",
            word(queued.state),
            event.kind.key(),
            event.subject,
            event.time.strftime("%Y-%m-%d %H:%M:%S"),
            event.id
        );
        if !queued.why.is_empty() {
            let _ = writeln!(
                text,
                "        tried {} times: {}",
                queued.attempts, queued.why
            );
        }
    }
    text
}

fn whole(queued: &Queued) -> String {
    let mut text = table(std::slice::from_ref(queued));
    let event = serde_json::to_string_pretty(&queued.event).unwrap_or_default();
    let _ = writeln!(text, "{event}");
    text
}

fn word(state: QueueState) -> &'static str {
    match state {
        QueueState::Ready => "waits",
        QueueState::Leased => "at work",
        QueueState::Sent => "sent",
        QueueState::Done => "done",
        QueueState::Dead => "dead",
    }
}
