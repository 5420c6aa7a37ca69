//! Workers that hand a roll on in messages, over a queue that forgets nothing: what was taken and not answered is
//! delivered once more.

use std::collections::VecDeque;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use windlass_core::fence::{Claim, Standing, next_generation};
use windlass_core::outcome::Outcome;
use windlass_core::roll::{RollEvent, TurnMessage};

use super::fleet::Fleet;
use super::probes::Probes;
use super::world::{World, cluster, node};
use crate::ports::{Fence, NodeWriter as _};
use crate::roll::turns::{Carried, Turned};
use crate::roll::{Driver, RollError, RollPermit, Silent};

/// What a worker is given.
#[derive(Debug, Clone)]
pub(super) enum Delivery {
    /// Look, and roll what is new.
    Event,
    Turn(Box<TurnMessage>),
}

enum Flow {
    Roll,
    Later,
    Nothing,
}

pub(super) struct Relay {
    pub(super) world: World,
    pub(super) queue: VecDeque<Delivery>,
    /// How each roll ended, as it was told.
    pub(super) told: Vec<(String, Outcome)>,
    pub(super) taken: usize,
    pub(super) pause: CancellationToken,
    /// For what happened, in each message but the first.
    pub(super) room: usize,
}

impl Relay {
    pub(super) fn new(broken: Option<&str>) -> Self {
        Self {
            world: World::new(broken),
            queue: VecDeque::from([Delivery::Event]),
            told: Vec::new(),
            taken: 0,
            pause: CancellationToken::new(),
            room: usize::MAX,
        }
    }

    fn driver(&self, delivery: &Delivery) -> Driver<Fleet, Probes, Carried> {
        let room = match delivery {
            Delivery::Event => usize::MAX,
            Delivery::Turn(_) => self.room,
        };
        Driver {
            nodes: Arc::clone(&self.world.fleet),
            prober: Arc::clone(&self.world.probes),
            journal: Carried::new(room),
            observer: Arc::new(Silent),
            cancel: self.world.cancel.clone(),
            newer: Arc::clone(&self.world.newer),
            pause: self.pause.clone(),
        }
    }

    /// A worker of its own name and state directory sets to work; aborted, it has died.
    pub(super) fn work(&mut self, delivery: &Delivery) -> JoinHandle<Result<Turned, RollError>> {
        let worker = format!("worker-{}", self.taken);
        self.taken += 1;
        let dir = tempfile::tempdir().unwrap();
        let permit = RollPermit::take(dir.path(), &cluster()).unwrap().unwrap();
        let driver = self.driver(delivery);
        let mut plan = self.world.plan();
        let highest = self
            .world
            .fleet
            .look(|nodes| nodes.values().map(|node| node.state.fence).max());
        plan.fence = next_generation(highest.unwrap());
        let delivery = delivery.clone();
        let roll = format!("roll-{:02}", self.taken);
        tokio::spawn(async move {
            let _dir = dir;
            match delivery {
                Delivery::Event => {
                    let bundle = World::bundle();
                    driver.open(&permit, plan, bundle, &worker, &roll).await
                }
                Delivery::Turn(message) => {
                    let text = serde_json::to_string(&message).unwrap();
                    let message = serde_json::from_str(&text).unwrap();
                    let message: TurnMessage = message;
                    let turned = driver.turn(&permit, &message, &worker).await?;
                    if let Turned::Over(_, Some(fence)) = &turned {
                        drop(driver.let_go(&message.plan, fence).await);
                    }
                    Ok(turned)
                }
            }
        })
    }

    /// Whether an event has to wait for a roll, and whether there is nothing left to roll.
    fn flow(&self) -> Flow {
        let claims = self.world.fleet.look(|nodes| {
            let highest = nodes.values().max_by_key(|node| node.state.fence);
            highest.and_then(|node| Claim::parse(&node.state.holder))
        });
        match claims {
            Some(claim) if claim.is_under_way() => Flow::Later,
            Some(claim) if claim.over => Flow::Nothing,
            _ => Flow::Roll,
        }
    }

    /// What a worker does with the answer: publish, and then acknowledge.
    pub(super) fn publish(&mut self, delivery: &Delivery, turned: Turned) {
        match (turned, delivery) {
            (Turned::Over(outcome, _), _) => self.told.push((roll_of(delivery), outcome)),
            (Turned::Stale(Standing::Current), _) => panic!("a current turn was dropped"),
            (Turned::Stale(_), _) => {}
            (Turned::Contested(_), again) => self.queue.push_back(again.clone()),
            (Turned::Next(entries), Delivery::Event) => {
                let Some(RollEvent::Opened { holder, .. }) = entries.first().map(|e| &e.event)
                else {
                    panic!("{entries:?}");
                };
                let turn = Claim::parse(holder).unwrap().turn;
                let mut plan = self.world.plan();
                plan.fence = turn.after;
                let message = TurnMessage {
                    roll: turn.roll,
                    turn: 1,
                    trigger: "push".to_owned(),
                    started: Timestamp::UNIX_EPOCH,
                    plan,
                    entries,
                };
                self.queue.push_front(Delivery::Turn(Box::new(message)));
            }
            (Turned::Next(entries), Delivery::Turn(before)) => {
                let message = before.followed_by(entries).unwrap();
                self.queue.push_front(Delivery::Turn(Box::new(message)));
            }
        }
    }

    /// Ends a roll that nobody goes on with, as `flow::overtake` does.
    async fn overtake(&mut self) {
        let held = self.world.fleet.look(|nodes| {
            let all = nodes.values().map(|node| &node.state);
            let highest = all.max_by_key(|state| state.fence).unwrap();
            (highest.fence, Claim::parse(&highest.holder).unwrap())
        });
        let (after, mut claim) = held;
        (claim.turn.number, claim.turn.after) = (u32::MAX, after);
        for (number, over) in [(after + 1, false), (after + 2, true)] {
            let fence = Fence {
                cluster: cluster(),
                number,
                holder: Claim {
                    over,
                    ..claim.clone()
                }
                .to_string(),
            };
            for name in ["a", "b", "c"] {
                // Who does not answer is kept from others by the next roll's fence.
                drop(self.world.fleet.claim(&fence, &node(name)).await);
            }
        }
        let (by, roll) = ("newer".to_owned(), claim.turn.roll);
        let (nodes, left) = (Vec::new(), vec![node("a"), node("b"), node("c")]);
        self.told
            .push((roll, Outcome::Overtaken { by, nodes, left }));
    }

    /// Takes what comes first and works on it.
    pub(super) async fn step(&mut self) -> bool {
        let Some(delivery) = self.queue.pop_front() else {
            return false;
        };
        match (&delivery, self.flow()) {
            (Delivery::Event, Flow::Nothing) => return true,
            (Delivery::Event, Flow::Later) if self.queue.is_empty() => self.overtake().await,
            (Delivery::Event, Flow::Later) => {
                self.queue.push_back(delivery);
                return true;
            }
            _ => {}
        }
        let turned = self.work(&delivery).await.unwrap().unwrap();
        self.publish(&delivery, turned);
        true
    }

    pub(super) async fn drain(&mut self) {
        while self.step().await {
            assert!(self.taken < 60, "it does not end: {:?}", self.told);
        }
    }

    /// One outcome of each roll, and nodes that are as it says.
    pub(super) fn check_end(&self, what: &str) {
        let (_, last) = self.told.last().unwrap_or_else(|| panic!("{what}: lost"));
        let over = !matches!(self.flow(), Flow::Later);
        assert!(over, "{what}: whoever comes next waits for nothing");
        self.world.check_end(Some(last), what);
        for (roll, outcome) in &self.told {
            for (other, told) in &self.told {
                assert!(
                    roll != other || outcome.word() == told.word(),
                    "{what}: {:?}",
                    self.told
                );
            }
        }
        let activations = self.world.fleet.look(|nodes| {
            let each = nodes.values().map(|node| node.activations);
            each.collect::<Vec<_>>()
        });
        assert!(
            activations.iter().all(|count| *count <= 1),
            "{what}: a turn ran twice on a node: {activations:?}"
        );
    }
}

fn roll_of(delivery: &Delivery) -> String {
    match delivery {
        Delivery::Event => "none".to_owned(),
        Delivery::Turn(message) => message.roll.clone(),
    }
}
