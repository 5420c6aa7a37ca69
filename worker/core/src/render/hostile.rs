//! Whatever stands in a component or a template, rendering ends with a bundle or with errors.

use proptest::prelude::*;
use proptest::sample::Index;

use super::example::{FILE, TEMPLATE_FILE, edited, rendered, snapshot};
use super::{Cache, Rendered};
use crate::model::example::put;
use crate::snapshot::{Entry, Snapshot};

/// The example's component and template with a few bytes replaced, removed or doubled.
fn mutated() -> impl Strategy<Value = Snapshot> {
    let text = "[-a-z0-9:{}\\[\\]\"'&* \n#,|>%@$/^.]{0,6}";
    let mutation = (any::<bool>(), any::<Index>(), 0..12_usize, text);
    proptest::collection::vec(mutation, 1..5).prop_map(|mutations| {
        let mut changed = snapshot();
        for (is_template, at, length, text) in mutations {
            let path = if is_template { TEMPLATE_FILE } else { FILE };
            let mut bytes = changed.file(path).unwrap_or_default().to_vec();
            let start = at.index(bytes.len() + 1);
            let end = (start + length).min(bytes.len());
            bytes.splice(start..end, text.bytes());
            let entry = Entry::File(bytes.into());
            changed.entries.insert(path.to_owned(), entry);
        }
        changed
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_template_text_makes_rendering_panic(text in "(\\PC|\n|\\{\\{ | \\}\\}|\\{% | %\\}|for |if |site|node|\\.|\\||end|include ){0,60}") {
        let mut changed = snapshot();
        put(&mut changed, TEMPLATE_FILE, &text);
        rendered(&changed, &mut Cache::default());
    }

    #[test]
    fn a_mutated_component_ends_with_a_bundle_or_with_errors(changed in mutated()) {
        let Rendered { bundle, findings } = rendered(&changed, &mut Cache::default());
        prop_assert_eq!(bundle.is_none(), findings.has_errors());
    }

    #[test]
    fn no_component_text_makes_rendering_panic(text in "(\\PC|\n|\\{\\{ | \\}\\}|\\{% | %\\}|\\$|/|')\
        {0,40}") {
        let quoted = format!("run: {}", serde_json::to_string(&text).unwrap());
        rendered(&edited(FILE, "run: echo {{ vars.maxconn }}", &quoted), &mut Cache::default());
    }
}
