//! What is said in answer to a command, with a hidden line that names the comment which it answers: so a worker sees what
//! another one, or it itself before it died, has said already.

use crate::ids::ClusterName;

/// The words with their mark, below all that is seen.
pub fn answer(cluster: &ClusterName, comment: u64, words: &str) -> String {
    format!(
        "{}\n\n{}{comment} -->\n",
        words.trim_end(),
        opening(cluster)
    )
}

/// The comment that this one answers. Only to be asked of a comment that is ours: anyone can write the mark. In ours a request's
/// text may stand too, but not as the last line, which alone is read.
pub fn answered(text: &str, cluster: &ClusterName) -> Option<u64> {
    let last = text.trim_end().lines().next_back()?;
    let number = last.strip_prefix(&opening(cluster))?.strip_suffix(" -->")?;
    number.parse().ok()
}

fn opening(cluster: &ClusterName) -> String {
    format!("<!-- windlass:{cluster}/answers ")
}
