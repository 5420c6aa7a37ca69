//! Freeze windows: times in which nothing is rolled. Time zones come from the bundled database, not from the
//! machine, so that every worker sees the same window. The clock is the caller's.

use jiff::civil::{Time, Weekday};
use jiff::fmt::temporal::DateTimeParser;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{Timestamp, Zoned};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A window in which nothing is rolled: either `from` and `until`, or `weekly` with a `timezone`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "FreezeFields", into = "FreezeFields")]
pub struct Freeze {
    pub window: Window,
    pub reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Window {
    Once {
        from: Zoned,
        until: Zoned,
    },
    Weekly {
        from: Moment,
        until: Moment,
        zone: TimeZone,
    },
}

/// A minute of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    day: Weekday,
    time: Time,
}

/// Times in which nothing is rolled.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Freeze")]
struct FreezeFields {
    /// `2026-12-24T00:00[Europe/London]`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<String>,
    /// `fri 16:00 - mon 08:00`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    weekly: Option<String>,
    /// Of `weekly`: `Europe/London`; UTC where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    timezone: Option<String>,
    reason: String,
}

impl JsonSchema for Freeze {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Freeze".into()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        FreezeFields::json_schema(generator)
    }
}

impl TryFrom<FreezeFields> for Freeze {
    type Error = String;
    fn try_from(fields: FreezeFields) -> Result<Self, String> {
        let window = match (&fields.from, &fields.until, &fields.weekly) {
            (Some(from), Some(until), None) if fields.timezone.is_none() => Window::Once {
                from: zoned(from)?,
                until: zoned(until)?,
            },
            (None, None, Some(weekly)) => {
                let (from, until) = week_window(weekly)?;
                let zone = time_zone(fields.timezone.as_deref().unwrap_or("UTC"))?;
                Window::Weekly { from, until, zone }
            }
            _ => {
                return Err(
                    "a freeze has either `from` and `until`, or `weekly` and `timezone`".to_owned(),
                );
            }
        };
        Ok(Self {
            window,
            reason: fields.reason,
        })
    }
}

impl From<Freeze> for FreezeFields {
    fn from(freeze: Freeze) -> Self {
        let mut fields = Self {
            from: None,
            until: None,
            weekly: None,
            timezone: None,
            reason: freeze.reason,
        };
        match freeze.window {
            Window::Once { from, until } => {
                fields.from = Some(from.to_string());
                fields.until = Some(until.to_string());
            }
            Window::Weekly { from, until, zone } => {
                fields.weekly = Some(format!("{} - {}", from.words(), until.words()));
                fields.timezone = zone.iana_name().map(str::to_owned);
            }
        }
        fields
    }
}

impl Freeze {
    /// Whether the window covers this time.
    pub fn covers(&self, now: Timestamp) -> bool {
        match &self.window {
            Window::Once { from, until } => from.timestamp() <= now && now < until.timestamp(),
            Window::Weekly { from, until, zone } => {
                let local = now.to_zoned(zone.clone());
                let moment = Moment {
                    day: local.weekday(),
                    time: local.time(),
                }
                .seconds();
                let (from, until) = (from.seconds(), until.seconds());
                if from <= until {
                    from <= moment && moment < until
                } else {
                    from <= moment || moment < until
                }
            }
        }
    }

    /// Whether the window can ever cover a time.
    pub fn is_empty(&self) -> bool {
        match &self.window {
            Window::Once { from, until } => until.timestamp() <= from.timestamp(),
            Window::Weekly { from, until, .. } => from == until,
        }
    }
}

impl Moment {
    fn seconds(self) -> i32 {
        let day = i32::from(self.day.to_monday_zero_offset());
        let time = self.time;
        ((day * 24 + i32::from(time.hour())) * 60 + i32::from(time.minute())) * 60
            + i32::from(time.second())
    }

    fn words(self) -> String {
        let day = DAYS
            .into_iter()
            .find(|(_, weekday)| *weekday == self.day)
            .map_or("mon", |(word, _)| word);
        format!("{day} {:02}:{:02}", self.time.hour(), self.time.minute())
    }
}

const DAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];

fn zoned(text: &str) -> Result<Zoned, String> {
    static PARSER: DateTimeParser = DateTimeParser::new();
    PARSER
        .parse_zoned_with(&TimeZoneDatabase::bundled(), text)
        .map_err(|_| {
            format!("{text:?} is no time with its zone: write `2026-12-24T00:00[Europe/London]`")
        })
}

fn time_zone(name: &str) -> Result<TimeZone, String> {
    TimeZoneDatabase::bundled()
        .get(name)
        .map_err(|_| format!("{name:?} is no time zone: write `Europe/London`"))
}

fn week_window(text: &str) -> Result<(Moment, Moment), String> {
    text.split_once('-')
        .and_then(|(from, until)| Some((moment(from)?, moment(until)?)))
        .ok_or_else(|| format!("{text:?} is no window of the week: write `fri 16:00 - mon 08:00`"))
}

fn moment(text: &str) -> Option<Moment> {
    let (day, time) = text.trim().split_once(' ')?;
    let (_, day) = DAYS.into_iter().find(|(word, _)| *word == day)?;
    let (hour, minute) = time.trim().split_once(':')?;
    let time = Time::new(hour.parse().ok()?, minute.parse().ok()?, 0, 0).ok()?;
    Some(Moment { day, time })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml;

    fn freeze(text: &str) -> Option<Freeze> {
        yaml::parse("x", text.as_bytes()).ok()
    }

    #[test]
    fn windows_cover_local_time_over_the_end_of_a_week_and_summer_time() {
        let weekend =
            freeze("{ weekly: fri 16:00 - mon 08:00, timezone: Europe/London, reason: x }")
                .unwrap();
        for (now, covered) in [
            ("2026-11-20T15:59:59Z", false),
            ("2026-11-20T16:00:00Z", true),
            ("2026-11-22T12:00:00Z", true),
            ("2026-11-23T07:59:59Z", true),
            ("2026-11-23T08:00:00Z", false),
            ("2026-07-17T15:00:00Z", true),
        ] {
            assert_eq!(weekend.covers(now.parse().unwrap()), covered, "{now}");
        }
        let nights = freeze("{ weekly: tue 01:00 - tue 05:00, reason: x }").unwrap();
        assert!(nights.covers("2026-11-24T04:00:00Z".parse().unwrap()));
        assert!(!nights.covers("2026-11-24T05:00:00Z".parse().unwrap()));
        let once = "{ from: \"2026-12-24T00:00[Europe/Berlin]\", until: \"2026-12-27T00:00[Europe/Berlin]\", reason: x }";
        let once = freeze(once).unwrap();
        assert!(once.covers("2026-12-23T23:00:00Z".parse().unwrap()));
        assert!(!once.covers("2026-12-26T23:00:00Z".parse().unwrap()));
        assert!(!once.is_empty());
    }

    #[test]
    fn half_windows_are_refused() {
        for wrong in [
            "{ reason: x }",
            "{ from: \"2026-12-24T00:00[Europe/Berlin]\", reason: x }",
            "{ weekly: friday 16:00 - mon 08:00, reason: x }",
            "{ weekly: fri 25:00 - mon 08:00, reason: x }",
            "{ weekly: fri 16:00 - mon 08:00, timezone: Mars/Olympus, reason: x }",
            "{ from: \"2026-12-24T00:00\", until: \"2026-12-27T00:00\", reason: x }",
        ] {
            assert!(freeze(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn a_freeze_survives_being_written_and_read() {
        let weekend =
            freeze("{ weekly: fri 16:00 - mon 08:00, timezone: Europe/London, reason: x }")
                .unwrap();
        let json = serde_json::to_string(&weekend).unwrap();
        assert_eq!(
            serde_json::from_str::<Freeze>(&json).unwrap(),
            weekend,
            "{json}"
        );
    }
}
