//! The side in the sandbox: loads, cross-checks, renders and runs the component tests of what comes in. It has no
//! secret, no network and no file; it ends when it is done.

use std::io::{Read, Write};

use anyhow::Context as _;
use windlass_core::component;
use windlass_core::model;
use windlass_core::render::{self, component_tests};

use super::wire::{self, Answer};

/// The hidden command that renders a request.
pub const COMMAND: &str = "render-request";

pub fn run(input: impl Read, output: impl Write) -> anyhow::Result<()> {
    let (snapshot, stubs) = wire::asked(input).context("the snapshot broke off")?;
    let mut answer = Answer::default();
    let (loaded, (components, wrong)) =
        rayon::join(|| model::load(&snapshot), || component::load(&snapshot));
    answer.findings = loaded.findings;
    answer.findings.extend(wrong);
    if let Some(model) = loaded.model.filter(|_| !answer.findings.has_errors()) {
        let materials = stubs.materials(&model, &snapshot);
        let inputs = render::Inputs {
            snapshot: &snapshot,
            model: &model,
            components: &components,
            materials: &materials,
        };
        let rendered = render::render(inputs, &mut render::Cache::default());
        answer.findings.extend(rendered.findings);
        answer.bundle = rendered.bundle;
        if answer.bundle.is_some() {
            answer
                .findings
                .extend(component_tests::run_loaded(&snapshot, &components));
        }
    }
    answer.findings = answer.findings.sorted();
    wire::answer(&answer, output).context("the answer broke off")
}
