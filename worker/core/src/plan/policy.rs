//! The policy of a cluster as the plan needs it: resolved, without the YAML it was written in.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;

use super::{OnFailure, Timing};
use crate::ids::NodeName;

#[derive(Debug, Clone)]
pub struct Policy {
    pub serial: Vec<Batch>,
    pub timing: Timing,
    pub on_failure: OnFailure,
    pub unreachable: Unreachable,
    pub drift: Drift,
    /// Role → how many of its nodes must be healthy before a roll begins.
    pub quorum: BTreeMap<String, u32>,
    pub limits: Limits,
    pub freeze: Vec<Freeze>,
    /// Why nothing may be rolled at present.
    pub lock: Option<String>,
}

/// One wave's size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Batch {
    Count(u32),
    /// Of the nodes that have a turn; at least one.
    Percent(u32),
    Nodes(Vec<NodeName>),
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Unreachable {
    /// Goes on without it; it is behind and catches up later.
    #[default]
    Skip,
    Refuse,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Drift {
    #[default]
    Refuse,
    /// What was changed by hand is replaced; a copy is kept on the node.
    Overwrite,
}

/// Percent of what exists that one roll may remove; `None`: no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    pub dns_records: Option<u32>,
    pub backends: Option<u32>,
    pub files: Option<u32>,
}

/// What a commit defines, by name, so that the share that a roll removes can be measured. A thing that is
/// renamed counts as removed: whoever used the old name loses it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inventory {
    /// "www.example.org. A".
    pub dns_records: BTreeSet<String>,
    /// "blog on vps1".
    pub backends: BTreeSet<String>,
}

/// When nothing is rolled.
#[derive(Debug, Clone)]
pub enum Freeze {
    Between {
        from: Timestamp,
        until: Timestamp,
        reason: String,
    },
    /// Every week from one moment to the other; it may reach over the end of the week.
    Weekly {
        from: WeekMoment,
        until: WeekMoment,
        timezone: TimeZone,
        reason: String,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WeekMoment {
    pub day: Weekday,
    pub time: Time,
}

impl WeekMoment {
    fn seconds(self) -> i64 {
        let time = self.time;
        let day = i64::from(self.day.to_monday_zero_offset());
        let hours = day * 24 + i64::from(time.hour());
        (hours * 60 + i64::from(time.minute())) * 60 + i64::from(time.second())
    }
}

impl Freeze {
    pub fn covers(&self, now: Timestamp) -> bool {
        match self {
            Self::Between { from, until, .. } => *from <= now && now < *until,
            Self::Weekly {
                from,
                until,
                timezone,
                ..
            } => {
                let local = now.to_zoned(timezone.clone());
                let at = WeekMoment {
                    day: local.weekday(),
                    time: local.time(),
                }
                .seconds();
                let (from, until) = (from.seconds(), until.seconds());
                if from <= until {
                    from <= at && at < until
                } else {
                    from <= at || at < until
                }
            }
        }
    }

    pub fn reason(&self) -> &str {
        match self {
            Self::Between { reason, .. } | Self::Weekly { reason, .. } => reason,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(day: Weekday, hour: i8) -> WeekMoment {
        WeekMoment {
            day,
            time: Time::constant(hour, 0, 0, 0),
        }
    }

    #[test]
    fn a_weekly_freeze_reaches_over_the_weekend() {
        let freeze = Freeze::Weekly {
            from: moment(Weekday::Friday, 16),
            until: moment(Weekday::Monday, 8),
            timezone: TimeZone::UTC,
            reason: "weekend".into(),
        };
        let covers = |text: &str| freeze.covers(text.parse().unwrap());
        assert!(!covers("2026-11-20T15:59:59Z"));
        assert!(covers("2026-11-20T16:00:00Z"));
        assert!(covers("2026-11-22T12:00:00Z"));
        assert!(covers("2026-11-23T07:59:59Z"));
        assert!(!covers("2026-11-23T08:00:00Z"));
    }

    #[test]
    fn a_weekly_freeze_follows_the_local_clock() {
        let freeze = Freeze::Weekly {
            from: moment(Weekday::Tuesday, 9),
            until: moment(Weekday::Tuesday, 10),
            timezone: TimeZone::fixed(jiff::tz::offset(2)),
            reason: "standup".into(),
        };
        assert!(freeze.covers("2026-11-24T07:30:00Z".parse().unwrap()));
        assert!(!freeze.covers("2026-11-24T09:30:00Z".parse().unwrap()));
    }

    #[test]
    fn a_dated_freeze_ends_where_it_says() {
        let freeze = Freeze::Between {
            from: "2026-12-24T00:00:00Z".parse().unwrap(),
            until: "2026-12-27T00:00:00Z".parse().unwrap(),
            reason: "holidays".into(),
        };
        assert!(freeze.covers("2026-12-24T00:00:00Z".parse().unwrap()));
        assert!(!freeze.covers("2026-12-27T00:00:00Z".parse().unwrap()));
    }
}
