//! SARIF 2.1.0, as code scanning reads it.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{whole, word};
use crate::codes::explain;
use crate::finding::{Finding, Findings, Location};
use crate::report::visible::clean;

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

pub fn value(findings: &Findings, verdict: &str) -> Value {
    let codes: BTreeSet<&str> = findings
        .iter()
        .map(|finding| finding.code.as_str())
        .collect();
    let rules = codes
        .iter()
        .filter_map(|code| explain(code))
        .map(|explanation| {
            json!({
                "id": explanation.code.as_str(),
                "shortDescription": { "text": explanation.title },
                "fullDescription": { "text": explanation.text },
            })
        });
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "windlass",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules.collect::<Vec<_>>(),
            } },
            "columnKind": "unicodeCodePoints",
            "results": findings.iter().map(result).collect::<Vec<_>>(),
            "properties": { "verdict": verdict },
        }],
    })
}

fn result(finding: &Finding) -> Value {
    // Code scanning shows nothing that has no place.
    let nowhere = Location::file("cluster.yaml");
    let at = finding.at.as_ref().unwrap_or(&nowhere);
    let related = finding
        .related
        .iter()
        .enumerate()
        .map(|(index, (at, why))| {
            let mut place = location(at);
            place["id"] = json!(index + 1);
            place["message"] = json!({ "text": clean(why) });
            place
        });
    let mut result = json!({
        "ruleId": finding.code.as_str(),
        "level": word(finding),
        "message": { "text": whole(finding) },
        "locations": [location(at)],
    });
    if !finding.related.is_empty() {
        result["relatedLocations"] = related.collect();
    }
    result
}

fn location(at: &Location) -> Value {
    let mut place =
        json!({ "artifactLocation": { "uri": uri(&at.file), "uriBaseId": "%SRCROOT%" } });
    if at.line > 0 {
        place["region"] = json!({ "startLine": at.line });
        if at.column > 0 {
            place["region"]["startColumn"] = json!(at.column);
        }
    }
    json!({ "physicalLocation": place })
}

/// A path as a relative reference (RFC 3986).
fn uri(path: &str) -> String {
    let mut uri = String::new();
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            _ = write!(uri, "%{byte:02X}");
        }
    }
    uri
}
