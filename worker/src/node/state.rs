//! The agent's `status` answer as `NodeState`.

use windlass_core::observed::{Attempt, DriftKind, NodeState};
use windlass_core::release::ReleaseMeta;

use super::answer::{Answer, bytes_of, text_of};

/// The error names the line that this worker does not understand.
pub(super) fn parse(answer: &Answer) -> Result<NodeState, String> {
    let current = answer.one("current").map(release).transpose()?;
    let fence = answer.all("fence").next().unwrap_or_default();
    let mut state = NodeState {
        boot_id: required(answer, "boot")?.to_owned(),
        clock: number(required(answer, "clock")?)?,
        cluster: answer.one("cluster").map(word).transpose()?,
        fence: fence.first().map_or(Ok(0), |n| number(n))?,
        holder: fence.get(1).cloned().unwrap_or_default(),
        current,
        previous: answer.one("previous").map(word).transpose()?,
        attempt: answer.all("attempt").next().map(attempt).transpose()?,
        standing: answer.all("standing").next().map(attempt).transpose()?,
        drift: std::collections::BTreeMap::new(),
        rolled_back: Vec::new(),
    };
    for values in answer.all("drift") {
        let [path, kind] = values else {
            return Err(format!("drift {values:?}"));
        };
        let kind = match kind.as_str() {
            "missing" => DriftKind::Missing,
            "attributes" => DriftKind::Attributes,
            _ => DriftKind::Modified,
        };
        state.drift.insert(word(path)?, kind);
    }
    for values in answer.all("rolled-back") {
        for digest in values {
            state.rolled_back.push(word(digest)?);
        }
    }
    Ok(state)
}

/// Who held the node until it was claimed.
pub(super) fn before(answer: &Answer) -> Option<(u64, String)> {
    let values = answer.all("before").next()?;
    let holder = values.get(1).cloned().unwrap_or_default();
    Some((values.first()?.parse().ok()?, holder))
}

fn required<'a>(answer: &'a Answer, key: &'static str) -> Result<&'a str, String> {
    answer.one(key).ok_or_else(|| format!("no line {key}"))
}

fn number<N: std::str::FromStr>(value: &str) -> Result<N, String> {
    value.parse().map_err(|_| format!("number {value:?}"))
}

fn word<W: std::str::FromStr>(value: &str) -> Result<W, String>
where
    W::Err: std::fmt::Display,
{
    value.parse().map_err(|error: W::Err| error.to_string())
}

fn release(value: &str) -> Result<ReleaseMeta, String> {
    let bytes = bytes_of(value).ok_or("release.json is not base64")?;
    serde_json::from_slice(&bytes).map_err(|error| format!("release.json: {error}"))
}

fn attempt(values: &[String]) -> Result<Attempt, String> {
    let [token, fence, base, target, phase, reason] = values else {
        return Err(format!("attempt {values:?}"));
    };
    Ok(Attempt {
        token: token.clone(),
        fence: number(fence)?,
        base: (base != "-").then(|| word(base)).transpose()?,
        target: word(target)?,
        phase: serde_json::from_value(phase.clone().into())
            .map_err(|_| format!("phase {phase:?}"))?,
        reason: text_of(reason).unwrap_or_default().trim_end().to_owned(),
    })
}
