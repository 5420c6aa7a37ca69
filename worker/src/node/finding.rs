//! What a node said, as a finding that people can look up and mend.

use windlass_core::codes::nodes;
use windlass_core::finding::Finding;

use crate::ports::NodeError;

pub fn finding(error: &NodeError) -> Finding {
    let message = error.to_string();
    match error {
        NodeError::Unreachable { node, .. } => Finding::error(nodes::UNREACHABLE, message)
            .on(node)
            .hint(format!("look at `ssh` in nodes/{node}.yaml, and whether the machine is up")),
        NodeError::HostKey { node, .. } => Finding::error(nodes::HOST_KEY, message)
            .on(node)
            .hint(format!("compare with `ssh.host_keys` in nodes/{node}.yaml")),
        NodeError::Refused { node, drift, .. } if !drift.is_empty() => {
            let paths: Vec<&str> = drift.iter().map(|path| path.as_str()).collect();
            Finding::error(nodes::DRIFT, message).on(node).hint(format!(
                "bring the change into the repository, or `windlass adopt {node} {}`",
                paths.join(" ")
            ))
        }
        NodeError::Refused { node, .. } => Finding::error(nodes::NODE_REFUSED, message).on(node),
        NodeError::Failed { node, log, .. } => {
            let finding = Finding::error(nodes::STEP_FAILED, message).on(node);
            match log.last() {
                Some(line) => finding.hint(format!("its last words were: {line}")),
                None => finding,
            }
        }
        NodeError::Fenced { node, .. } => Finding::error(nodes::FENCED, message).on(node),
        NodeError::Stuck { node, .. } => Finding::error(nodes::STUCK, message)
            .on(node)
            .hint(format!(
                "log in to {node}; /var/lib/windlass/journal and the attempt's `log` say what failed"
            )),
    }
}
