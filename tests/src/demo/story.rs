//! The story from boot to the count of failed requests.

use std::time::Instant;

use anyhow::Context;

use super::screen::Screen;
use super::steps::Stage;
use crate::broker::Broker;
use crate::lab::{Lab, LabSpec};

/// What the worker's events go through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queue {
    Embedded,
    /// A real RabbitMQ of the demo's own.
    Amqp,
}

/// Plays the story; an error where a step did not do what it says. With `keep` everything stays up.
pub fn play(queue: Queue, keep: bool) -> anyhow::Result<()> {
    let began = Instant::now();
    let spec = LabSpec::default();
    Lab::availability(&spec).context("the demo boots four machines, and this machine cannot")?;
    let mut screen = Screen::new();

    screen.chapter(match queue {
        Queue::Embedded => "Four empty Debian machines, a Git repository, a worker",
        Queue::Amqp => "Four empty Debian machines, a Git repository, RabbitMQ, a worker",
    });
    let (lab, broker) = boot(&spec, queue, keep)?;
    let mut stage = Stage::set(&lab, broker, &mut screen)?;
    let told = tell(&mut stage, &mut screen);
    if let Err(error) = &told {
        screen.say(&format!(
            "\nthe demo stopped: {error:#}\n\nthe worker's last words:\n{}",
            stage.worker_log(25)
        ));
    }
    if keep {
        screen.say(&stage.leave_running()?);
    } else if told.is_ok() {
        screen.say(
            "\nKEEP=1 make demo leaves the machines and the worker running for you to look at.",
        );
    }
    told?;
    screen.say(&format!(
        "The whole story took {:.0} s.",
        began.elapsed().as_secs_f32()
    ));
    Ok(())
}

/// The broker takes longer than the machines, and starts beside them.
fn boot(spec: &LabSpec, queue: Queue, keep: bool) -> anyhow::Result<(Lab, Option<Broker>)> {
    std::thread::scope(|scope| {
        let broker = (queue == Queue::Amqp).then(|| scope.spawn(Broker::start));
        let lab = if keep {
            Lab::boot_kept(spec)
        } else {
            Lab::boot(spec)
        };
        let broker = match broker.map(std::thread::ScopedJoinHandle::join) {
            Some(Ok(started)) => Some(started.context("RabbitMQ does not start")?),
            Some(Err(_)) => anyhow::bail!("starting RabbitMQ panicked"),
            None => None,
        };
        Ok((lab?, broker))
    })
}

fn tell(stage: &mut Stage<'_>, screen: &mut Screen) -> anyhow::Result<()> {
    stage.first_push(screen)?;
    stage.new_site(screen)?;
    stage.certificate(screen)?;
    stage.refused_config(screen)?;
    stage.broken_site(screen)?;
    stage.locked_out(screen)?;
    stage.settle_events(screen)?;
    stage.count_requests(screen)
}
