//! A roll's events in a few words, the same in the live table, the log and the API.

use crate::ids::NodeName;
use crate::roll::{Act, Fate, RollEvent};

/// The node that an event is about, and what happened there; `None` for what is of no node.
pub fn words(event: &RollEvent) -> Option<(&NodeName, String)> {
    let text = match event {
        RollEvent::Begun { act, .. } => format!("{} …", doing(*act)),
        RollEvent::Done { act, .. } => done(*act).to_owned(),
        RollEvent::Failed {
            act, what, message, ..
        } => format!("{}: {what}: {message}", failed(*act)),
        RollEvent::Declined { message, .. } => format!("refused: {message}"),
        RollEvent::Refused { .. } => "refused by a check on the node".to_owned(),
        RollEvent::Lost { message, .. } | RollEvent::NoAnswer { message, .. } => {
            format!("no answer: {message}")
        }
        RollEvent::Learned { fate, .. } => format!("answers again: {}", learned(fate)),
        RollEvent::GivenUp { .. } => "given up".to_owned(),
        RollEvent::Stuck { message, .. } => format!("STUCK: {message}"),
        RollEvent::Fenced { message, .. } => format!("follows a newer roll: {message}"),
        _ => return None,
    };
    event.node().map(|node| (node, text))
}

fn doing(act: Act) -> &'static str {
    match act {
        Act::Stage => "is sent its release",
        Act::Check => "checks it",
        Act::Before => "waits for the gates before its turn",
        Act::Drain => "is drained",
        Act::Activate => "is changed",
        Act::Extend => "is reached over a new connection",
        Act::Gates => "is probed",
        Act::Undrain => "is put back into service",
        Act::Soak => "must stay healthy",
        Act::Confirm => "is confirmed",
        Act::Rollback => "goes back",
    }
}

fn done(act: Act) -> &'static str {
    match act {
        Act::Stage => "has its release",
        Act::Check => "checked, waits for its turn",
        Act::Before => "may begin",
        Act::Drain => "drained",
        Act::Activate => "changed",
        Act::Extend => "reached over a new connection",
        Act::Gates => "every gate holds",
        Act::Undrain => "in service again",
        Act::Soak => "stayed healthy",
        Act::Confirm => "holds the new release",
        Act::Rollback => "holds its old release again",
    }
}

fn failed(act: Act) -> &'static str {
    match act {
        Act::Gates | Act::Soak | Act::Before => "gate failed",
        Act::Rollback => "could not go back",
        _ => "failed",
    }
}

fn learned(fate: &Fate) -> String {
    match fate {
        Fate::Untouched => "nothing was changed".to_owned(),
        Fate::Busy => "it is still at it".to_owned(),
        Fate::Activated => "it is changed and waits to be confirmed".to_owned(),
        Fate::Confirmed => "it holds the new release".to_owned(),
        Fate::WentBack { reason } => format!("it went back: {reason}"),
        Fate::Stuck { message } | Fate::Fenced { message } => message.clone(),
    }
}
