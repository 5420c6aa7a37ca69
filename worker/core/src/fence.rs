//! The number that keeps two workers from fighting over a node, and the words that stand beside it there.
//!
//! A fence is `generation × 1000 + takeover`. A new roll takes the generation after the highest that any node knows;
//! whoever carries out one of its turns first takes the next number and claims every node with it, so that a worker
//! which was cut off, or stopped for a while, is refused wherever it goes on. Beside the number a node keeps who
//! claimed it, and for which turn. From that alone everybody can tell whether a turn that was delivered
//! once more is still to be carried out, also with an empty database.

use std::fmt;

/// Numbers of one generation. That they run out does no harm: the next number is the next generation's, and a roll is known
/// by its name there too.
const OF_A_GENERATION: u64 = 1000;

/// The first number of the generation after the highest fence of any node. Nodes that were rolled before there
/// were takeovers hold small numbers, all of generation 0.
pub fn next_generation(highest: u64) -> u64 {
    (highest / OF_A_GENERATION)
        .saturating_add(1)
        .saturating_mul(OF_A_GENERATION)
}

/// Which roll a fence belongs to.
pub fn generation(fence: u64) -> u64 {
    fence / OF_A_GENERATION
}

/// Who holds a node, as it is written beside the fence: `WORKER#TURN@AFTER/ROLL`, and a `!` once the roll is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    pub worker: String,
    pub turn: TurnId,
    /// The roll has ended; nobody carries a turn of it any more.
    pub over: bool,
}

/// One turn message. Two of the same number can be under way when a worker died between publishing what follows and
/// answering; they differ in the fence under which they were published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TurnId {
    pub roll: String,
    /// 0 while all nodes are staged, in the event that the roll began with.
    pub number: u32,
    /// The fence of whoever published it.
    pub after: u64,
}

/// What the nodes say of a turn that was delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Nobody has gone further.
    Current,
    /// The roll goes on, or ended, in another message than this one.
    Repeated,
    /// Another roll has taken the nodes.
    Overtaken,
}

impl Claim {
    /// `None` where the holder is a worker that rolls without turn messages, or a person.
    pub fn parse(holder: &str) -> Option<Self> {
        let (worker, rest) = holder.split_once('#')?;
        let (number, rest) = rest.split_once('@')?;
        let (after, roll) = rest.split_once('/')?;
        Some(Self {
            worker: worker.to_owned(),
            over: roll.ends_with('!'),
            turn: TurnId {
                roll: roll.trim_end_matches('!').to_owned(),
                number: number.parse().ok()?,
                after: after.parse().ok()?,
            },
        })
    }

    /// A roll is under way from its first staged node on: whoever began another one before the first turn is taken would
    /// have it dropped, and nobody told.
    pub fn is_under_way(&self) -> bool {
        !self.over
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (
            worker,
            TurnId {
                roll,
                number,
                after,
            },
        ) = (&self.worker, &self.turn);
        let over = if self.over { "!" } else { "" };
        write!(f, "{worker}#{number}@{after}/{roll}{over}")
    }
}

impl TurnId {
    /// Judges this turn by the fences and holders of all nodes that answer.
    ///
    /// A node that was claimed for another turn shows that the other one was published. If that one is ahead of
    /// this one, the roll goes on without this one, and it may be dropped. "Ahead" is a fixed order of all turns,
    /// so no two turns can be dropped for each other, and the foremost is never dropped: no roll is lost.
    /// Where another turn has let all of them go, whoever has that one tells how the roll ended, and nobody else.
    pub fn standing<'a>(&self, nodes: impl IntoIterator<Item = (u64, &'a str)>) -> Standing {
        let mut standing = Standing::Current;
        let (mut asked, mut ended) = (0, 0);
        for (fence, holder) in nodes {
            asked += 1;
            ended += usize::from(self.is_ended_by(holder));
            match self.beside(fence, holder) {
                Standing::Overtaken => return Standing::Overtaken,
                Standing::Repeated => standing = Standing::Repeated,
                Standing::Current => {}
            }
        }
        if asked > 0 && asked == ended {
            standing = Standing::Repeated;
        }
        standing
    }

    fn is_ended_by(&self, holder: &str) -> bool {
        let other = |claim: &Claim| claim.turn.roll == self.roll && claim.turn != *self;
        Claim::parse(holder).is_some_and(|claim| claim.over && other(&claim))
    }

    fn beside(&self, fence: u64, holder: &str) -> Standing {
        let claim = Claim::parse(holder);
        // A roll whose end cannot be told for days takes more numbers than a generation has.
        if let Some(claim) = claim.as_ref().filter(|claim| claim.turn.roll == self.roll) {
            return if claim.turn.is_ahead_of(self) {
                Standing::Repeated
            } else {
                Standing::Current
            };
        }
        let (mine, theirs) = (generation(self.after), generation(fence));
        let overtaken = match claim {
            _ if theirs != mine => theirs > mine,
            None => fence > self.after,
            // Two workers that saw none of each other's nodes took the same generation.
            Some(claim) => claim.turn.roll > self.roll,
        };
        if overtaken {
            Standing::Overtaken
        } else {
            Standing::Current
        }
    }

    /// Of the same roll: further on; or as far, and published earlier, because what follows from that one is ahead.
    fn is_ahead_of(&self, other: &Self) -> bool {
        self.number > other.number || (self.number == other.number && self.after < other.after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(number: u32, after: u64) -> TurnId {
        TurnId {
            roll: "r".to_owned(),
            number,
            after,
        }
    }

    fn claim(turn: TurnId) -> String {
        let worker = "worker-1".to_owned();
        let over = false;
        Claim { worker, turn, over }.to_string()
    }

    #[test]
    fn a_new_roll_is_above_everything_also_above_the_small_numbers_of_old() {
        for (highest, first) in [
            (0, 1000),
            (7, 1000),
            (999, 1000),
            (1000, 2000),
            (1003, 2000),
        ] {
            assert_eq!(next_generation(highest), first);
            assert!(first > highest);
        }
        assert_eq!(next_generation(u64::MAX), u64::MAX);
    }

    #[test]
    fn a_claim_is_read_as_it_was_written() {
        for over in [false, true] {
            let worker = "worker-1".to_owned();
            let turn = turn(3, 7001);
            let claim = Claim { worker, turn, over };
            assert_eq!(Claim::parse(&claim.to_string()), Some(claim.clone()));
            assert_eq!(claim.is_under_way(), !over);
        }
        assert!(Claim::parse(&claim(turn(0, 7000))).unwrap().is_under_way());
        for other in ["", "worker-1", "roll by root@host", "a#b@c/d", "a#1@2"] {
            assert_eq!(Claim::parse(other), None, "{other}");
        }
    }

    #[test]
    fn a_turn_stands_until_another_is_ahead() {
        let me = turn(3, 7002);
        let judge = |fence, holder: &str| me.standing([(7002, "x"), (fence, holder)]);
        let current = [
            (7002, claim(turn(2, 7001))),
            (7003, claim(turn(3, 7002))),
            (7004, claim(turn(3, 7003))),
            (6999, "old".to_owned()),
            (0, String::new()),
            // Own ones, when a generation's numbers are used up.
            (8001, claim(turn(3, 7002))),
            (8001, claim(turn(2, 7001))),
        ];
        for (fence, holder) in current {
            assert_eq!(judge(fence, &holder), Standing::Current, "{holder}");
        }
        let repeated = [
            (7003, claim(turn(4, 7002))),
            (7003, claim(turn(3, 7001))),
            (8001, claim(turn(4, 7999))),
        ];
        for (fence, holder) in repeated {
            assert_eq!(judge(fence, &holder), Standing::Repeated, "{holder}");
        }
        let other = claim(turn(0, 8000)).replace("/r", "/q");
        for (fence, holder) in [(8000, other), (7003, "person".to_owned())] {
            assert_eq!(judge(fence, &holder), Standing::Overtaken, "{holder}");
        }
    }

    #[test]
    fn a_roll_that_another_turn_has_ended_everywhere_has_one_end() {
        let over = |turn| claim(turn) + "!";
        let (me, other) = (turn(3, 7002), turn(2, 7001));
        let judge = |one: &str, two: &str| me.standing([(7005, one), (7005, two)]);
        let (ended, own) = (over(other.clone()), over(me.clone()));
        assert_eq!(judge(&ended, &ended), Standing::Repeated);
        assert_eq!(judge(&ended, &claim(other)), Standing::Current);
        assert_eq!(judge(&own, &own), Standing::Current, "it may not be told");
        assert_eq!(me.standing([]), Standing::Current);
    }

    /// However two turns of a roll came to be, at most one of them is dropped for the other.
    #[test]
    fn no_two_turns_are_dropped_for_each_other() {
        let all: Vec<TurnId> = (1..4)
            .flat_map(|number| (7000..7004).map(move |after| turn(number, after)))
            .collect();
        for one in &all {
            for other in &all {
                let drops = |a: &TurnId, b: &TurnId| {
                    a.standing([(7009, claim(b.clone()).as_str())]) == Standing::Repeated
                };
                assert!(
                    !(drops(one, other) && drops(other, one)),
                    "{one:?} {other:?}"
                );
                assert!(one == other || drops(one, other) || drops(other, one));
            }
        }
    }
}
