//! `windlass event`: the queue as a person sees it.

use std::fmt::Write as _;

use anyhow::bail;

use super::Exit;
use super::args::{DeadCommand, EventCommand, Wake};
use super::output::Output;
use super::service::{read, read_without_keys, runtime};
use crate::config::Config;
use crate::queue::{Answered, Chosen, Content, EventKind, QueueState, Queued, Unreadable};
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
            let answered = events.replay(&chosen(ids, *all)).await?;
            return told(output, &answered, "given out once more");
        }
        EventCommand::Dead(DeadCommand::Drop { ids, all, .. }) => {
            let answered = events.discard(&chosen(ids, *all)).await?;
            return told(output, &answered, "forgotten");
        }
        EventCommand::Send { .. } => {}
    }
    Ok(Exit::Done)
}

fn chosen(ids: &[String], all: bool) -> Chosen {
    if all {
        Chosen::All
    } else {
        Chosen::These(ids.to_vec())
    }
}

/// What became of each; where one stays, that is a failure.
fn told(output: &Output, answered: &Answered, done: &str) -> anyhow::Result<Exit> {
    output.result(answered, || {
        let lines = answered.done.iter().map(|id| format!("{id}: {done}\n"));
        lines.collect()
    })?;
    let left = answered.left.iter();
    let left: Vec<_> = left
        .map(|left| format!("{}: {}", left.id, left.why))
        .collect();
    if left.is_empty() {
        return Ok(Exit::Done);
    }
    bail!("these stay among the dead:\n  {}", left.join("\n  "))
}

fn table(all: &[Queued]) -> String {
    if all.is_empty() {
        return "none\n".to_owned();
    }
    let mut text = String::new();
    for queued in all {
        let (kind, cluster, time) = columns(&queued.event);
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{:<7} {kind:<6} {cluster:<16} {time:<19}  {}",
            word(queued.state),
            queued.id()
        );
        if let Content::Unreadable(Unreadable { queue, .. }) = &queued.event {
            let _ = writeln!(text, "        in {queue}");
        }
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

/// Kind, cluster and when it was published, as far as that can be told.
fn columns(content: &Content) -> (&str, &str, String) {
    match content {
        Content::Event(event) => {
            let time = event.time.strftime("%Y-%m-%d %H:%M:%S").to_string();
            (event.kind.key(), event.subject.as_str(), time)
        }
        Content::Unreadable(Unreadable { kind, subject, .. }) => (
            kind.as_deref().unwrap_or("?"),
            subject.as_deref().unwrap_or("?"),
            String::new(),
        ),
    }
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
