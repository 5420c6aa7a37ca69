//! The loop: ask what is next, write down what is about to be done, do it, write down what came of it. There is no
//! policy here; what runs side by side, what waits and what is broken off all follow from `next`.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use windlass_core::ids::NodeName;
use windlass_core::outcome::Outcome;
use windlass_core::roll::{Act, Entry, RollEvent, RollState, Step, next};

use super::driver::{Driver, RollError};
use super::journal::{Journal, RollId};
use super::perform::Performer;
use crate::ports::{NodeWriter, Prober};

pub(super) struct Run<'a, N, P, J> {
    driver: &'a Driver<N, P, J>,
    roll: RollId,
    state: RollState,
    performer: Arc<Performer<N, P>>,
    tasks: JoinSet<(NodeName, RollEvent)>,
    /// What is under way on each node.
    busy: BTreeMap<NodeName, UnderWay>,
    /// It was noticed that the worker is to stop.
    pausing: bool,
}

struct UnderWay {
    task: AbortHandle,
    /// `None`: the node is being asked.
    act: Option<Act>,
}

enum Started {
    Finished(Outcome),
    /// Something was written down that changes what is next.
    Noted,
    UnderWay,
}

/// Where a turn ended.
pub(super) enum Until {
    Finished(Outcome),
    Rest,
    Fenced(String),
}

impl UnderWay {
    fn only_looks(&self) -> bool {
        self.act.is_none_or(Act::only_looks)
    }
}

impl<'a, N, P, J> Run<'a, N, P, J>
where
    N: NodeWriter + 'static,
    P: Prober + 'static,
    J: Journal,
{
    pub(super) fn new(
        driver: &'a Driver<N, P, J>,
        roll: RollId,
        state: RollState,
        performer: Performer<N, P>,
    ) -> Self {
        Self {
            driver,
            roll,
            state,
            performer: Arc::new(performer),
            tasks: JoinSet::new(),
            busy: BTreeMap::new(),
            pausing: false,
        }
    }

    pub(super) async fn finish(&mut self) -> Result<Outcome, RollError> {
        loop {
            self.hear().await?;
            let steps = next(
                &self.performer.plan,
                &self.state,
                self.performer.clock.now(),
            );
            self.break_off(&steps);
            match self.start(steps).await? {
                Started::Finished(outcome) => {
                    self.tasks.shutdown().await;
                    self.driver.journal.close(self.roll, &outcome).await?;
                    return Ok(outcome);
                }
                Started::Noted => {}
                Started::UnderWay => self.wait().await?,
            }
        }
    }

    /// Until every node is at rest and something has been reached, or the roll is over.
    pub(super) async fn until_rest(&mut self) -> Result<Until, RollError> {
        let before = self.state.reached(&self.performer.plan);
        loop {
            self.hear().await?;
            let plan = &self.performer.plan;
            let steps = next(plan, &self.state, self.performer.clock.now());
            if let Some(why) = self.state.fenced() {
                let why = why.to_owned();
                self.tasks.shutdown().await;
                return Ok(Until::Fenced(why));
            }
            let finishes = matches!(steps.as_slice(), [Step::Finish(_)]);
            let left = !finishes && self.may_be_left();
            if left || self.state.ends_turn(plan, &before, &steps) {
                if !self.driver.journal.is_full() {
                    self.tasks.shutdown().await;
                    return Ok(Until::Rest);
                }
                // Nobody else can go on, so it ends here. What goes back may be taken back once more after a crash.
                if !finishes && !self.state.is_going_back() {
                    self.note(RollEvent::Overgrown).await?;
                    continue;
                }
            }
            self.break_off(&steps);
            match self.start(steps).await? {
                Started::Finished(outcome) => {
                    self.tasks.shutdown().await;
                    return Ok(Until::Finished(outcome));
                }
                Started::Noted => {}
                Started::UnderWay => self.wait().await?,
            }
        }
    }

    /// A newer commit is written down when it is there, before anything follows from it.
    async fn hear(&mut self) -> Result<(), RollError> {
        match self.driver.newer.get() {
            Some(commit) if self.state.newer.is_none() => {
                let commit = commit.clone();
                self.note(RollEvent::Newer { commit }).await
            }
            _ => Ok(()),
        }
    }

    /// The worker is to stop, and nothing is under way but looking.
    fn may_be_left(&self) -> bool {
        let looks = self.busy.values().all(UnderWay::only_looks);
        self.driver.pause.is_cancelled() && looks && self.state.is_staged()
    }

    /// Writes an event down, then lets it count.
    pub(super) async fn note(&mut self, event: RollEvent) -> Result<(), RollError> {
        let entry = Entry {
            at: self.performer.clock.now(),
            event,
        };
        let mut state = self.state.clone();
        state.apply(&self.performer.plan, &entry)?;
        self.driver.journal.append(self.roll, &entry).await?;
        self.state = state;
        let plan = &self.performer.plan;
        self.driver.observer.happened(plan, &self.state, &entry);
        Ok(())
    }

    /// Ends the watching that is no longer wanted; what changes a node is always waited for.
    fn break_off(&mut self, steps: &[Step]) {
        let wanted = |node: &NodeName, act: Option<Act>| {
            let mut of_node = steps.iter().filter(|step| step.node() == Some(node));
            of_node.any(|step| step.act() == act)
        };
        self.busy.retain(|node, under_way| {
            let keep = !under_way.only_looks() || wanted(node, under_way.act);
            if !keep {
                under_way.task.abort();
            }
            keep
        });
    }

    async fn start(&mut self, steps: Vec<Step>) -> Result<Started, RollError> {
        for step in steps {
            match step {
                Step::Finish(outcome) => return Ok(Started::Finished(outcome)),
                Step::Record(event) => {
                    self.note(event).await?;
                    return Ok(Started::Noted);
                }
                step => self.begin(step).await?,
            }
        }
        Ok(Started::UnderWay)
    }

    async fn begin(&mut self, step: Step) -> Result<(), RollError> {
        let Some(node) = step.node().cloned() else {
            return Ok(());
        };
        if self.busy.contains_key(&node) {
            return Ok(());
        }
        let act = step.act();
        if let Some(act) = act {
            let node = node.clone();
            self.note(RollEvent::Begun { node, act }).await?;
        }
        let performer = Arc::clone(&self.performer);
        let of = node.clone();
        let task = self
            .tasks
            .spawn(async move { (of, performer.perform(step).await) });
        self.busy.insert(node, UnderWay { task, act });
        Ok(())
    }

    async fn wait(&mut self) -> Result<(), RollError> {
        if self.tasks.is_empty() {
            return Ok(());
        }
        tokio::select! {
            biased;
            () = self.driver.cancel.cancelled(), if !self.state.cancelled => {
                self.note(RollEvent::Cancelled).await
            }
            _ = self.driver.newer.wait(), if self.state.newer.is_none() => Ok(()),
            () = self.driver.pause.cancelled(), if !self.pausing => {
                self.pausing = true;
                Ok(())
            }
            Some(ended) = self.tasks.join_next_with_id() => self.ended(ended).await,
        }
    }

    async fn ended(
        &mut self,
        ended: Result<(Id, (NodeName, RollEvent)), JoinError>,
    ) -> Result<(), RollError> {
        let (id, (node, event)) = match ended {
            Ok(ended) => ended,
            Err(error) if error.is_cancelled() => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        // A task that ended in the moment it was broken off has nothing to say any more.
        if self
            .busy
            .get(&node)
            .is_none_or(|under| under.task.id() != id)
        {
            return Ok(());
        }
        self.busy.remove(&node);
        self.note(event).await
    }
}
