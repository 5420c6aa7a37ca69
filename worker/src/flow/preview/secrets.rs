//! Secret files in a preview. Their real content is not at hand, and the nodes hold real content: a secret file that
//! base and request render to the same from the same stubs is not changed by the request, so it counts as what the
//! node holds.

use windlass_core::observed::{Observed, Seen};
use windlass_core::release::{Bundle, Release};

pub(super) fn keep_unchanged(head: &Bundle, base: &Bundle, observed: &Observed) -> Bundle {
    let mut releases = head.releases.clone();
    for (node, release) in &mut releases {
        let (Some(base), Some(Seen::State(state))) =
            (base.releases.get(node), observed.nodes.get(node))
        else {
            continue;
        };
        let Some(held) = &state.current else {
            continue;
        };
        for (path, file) in &mut release.meta.files {
            let before = base.meta.files.get(path).filter(|old| old.secret);
            let same = before.is_some_and(|old| old.digest == file.digest);
            if let Some(held) = held.files.get(path).filter(|held| held.secret)
                && file.secret
                && same
            {
                file.digest = held.digest;
            }
        }
        release.meta.digest = Release::digest_of(&release.meta.files, &release.meta.components);
    }
    let mut bundle = Bundle::new(head.commit.clone(), releases);
    bundle.incomplete.clone_from(&head.incomplete);
    bundle.pending.clone_from(&head.pending);
    bundle
}
