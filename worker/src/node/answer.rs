//! What the agent prints: lines of `key TAB value …`, the last of them `end`. An answer without its `end` is
//! no answer: the connection broke, and nobody knows how far the node came.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use windlass_core::ids::{NodeName, NodePath};

use crate::ports::NodeError;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    lines: Vec<Vec<String>>,
    pub(super) end: End,
    pub(super) words: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Ok,
    Refused,
    Failed,
    Fenced,
    Busy,
    /// The agent is not on the node yet.
    Missing,
}

impl Answer {
    /// `None` where the text breaks off.
    pub(super) fn parse(stdout: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(stdout);
        let text = text.strip_suffix('\n')?;
        let mut lines: Vec<Vec<String>> = text
            .split('\n')
            .map(|line| line.split('\t').map(str::to_owned).collect())
            .collect();
        let last = lines.pop()?;
        let [key, end, words] = <[String; 3]>::try_from(last).ok()?;
        if key != "end" {
            return None;
        }
        let end = match end.as_str() {
            "ok" => End::Ok,
            "refused" => End::Refused,
            "failed" => End::Failed,
            "fenced" => End::Fenced,
            "busy" => End::Busy,
            "missing" => End::Missing,
            _ => return None,
        };
        Some(Self { lines, end, words })
    }

    /// The values of every line with this key.
    pub(super) fn all(&self, key: &'static str) -> impl Iterator<Item = &[String]> {
        self.lines
            .iter()
            .filter_map(move |line| line.split_first())
            .filter(move |(first, _)| *first == key)
            .map(|(_, values)| values)
    }

    /// The first value of the first line with this key.
    pub(super) fn one(&self, key: &'static str) -> Option<&str> {
        self.all(key).next()?.first().map(String::as_str)
    }

    fn log(&self) -> Vec<String> {
        let text = self.one("log").and_then(text_of).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// What the answer means for a step that should have been done.
    pub(super) fn into_result(self, node: &NodeName, step: &str) -> Result<Self, NodeError> {
        let node = node.clone();
        match self.end {
            End::Ok => Ok(self),
            End::Failed if self.one("phase") == Some("stuck") => Err(NodeError::Stuck {
                node,
                why: self.words,
            }),
            End::Failed => Err(NodeError::Failed {
                log: self.log(),
                node,
                step: step.to_owned(),
                why: self.words,
            }),
            End::Fenced => Err(NodeError::Fenced {
                node,
                why: self.words,
            }),
            End::Refused | End::Busy | End::Missing => {
                let paths = self.all("drift").filter_map(|values| values.first());
                let drift = paths.filter_map(|path| path.parse::<NodePath>().ok());
                Err(NodeError::Refused {
                    node,
                    drift: drift.collect(),
                    why: self.words,
                })
            }
        }
    }
}

/// Base64, or "-" for nothing.
pub(super) fn bytes_of(value: &str) -> Option<Vec<u8>> {
    match value {
        "-" => Some(Vec::new()),
        value => BASE64_STANDARD.decode(value).ok(),
    }
}

/// "timeout" or a number.
pub(super) fn exit_of(value: &str) -> Option<i32> {
    value.parse().ok()
}

pub(super) fn text_of(value: &str) -> Option<String> {
    bytes_of(value).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_breaks_off_is_none() {
        let whole = b"drift\t/etc/x\tmissing\nend\trefused\twhy not\n";
        let answer = Answer::parse(whole).unwrap();
        assert_eq!(answer.end, End::Refused);
        for length in 0..whole.len() {
            assert_eq!(Answer::parse(&whole[..length]), None, "cut off at {length}");
        }
    }

    #[test]
    fn every_end_becomes_its_own_error() {
        let node: NodeName = "vps1".parse().unwrap();
        let result = |text: &str| {
            Answer::parse(text.as_bytes())
                .unwrap()
                .into_result(&node, "activate")
        };
        assert!(result("end\tok\t\n").is_ok());
        assert!(matches!(
            result("drift\t/etc/x\tmodified\nend\trefused\tw\n"),
            Err(NodeError::Refused { drift, .. }) if drift.len() == 1
        ));
        assert!(matches!(
            result("log\tYQpi\nphase\trolled-back\nend\tfailed\tw\n"),
            Err(NodeError::Failed { log, .. }) if log == ["a", "b"]
        ));
        assert!(matches!(
            result("phase\tstuck\nend\tfailed\tw\n"),
            Err(NodeError::Stuck { .. })
        ));
        assert!(matches!(
            result("end\tfenced\tw\n"),
            Err(NodeError::Fenced { .. })
        ));
        assert!(matches!(
            result("end\tbusy\tw\n"),
            Err(NodeError::Refused { .. })
        ));
    }
}
