//! The demo's story, with each of its claims, as a test.

#[test]
#[ignore = "lab: needs root"]
fn every_step_of_the_demo_does_what_it_says() -> anyhow::Result<()> {
    windlass_tests::demo::play(false)
}
