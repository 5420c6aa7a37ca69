//! The demo's story, with each of its claims, as a test.

use windlass_tests::demo::{Queue, play};

#[test]
#[ignore = "lab: needs root"]
fn every_step_of_the_demo_does_what_it_says() -> anyhow::Result<()> {
    play(Queue::Embedded, false)
}

#[test]
#[ignore = "lab: needs root"]
fn every_step_does_so_through_rabbitmq() -> anyhow::Result<()> {
    play(Queue::Amqp, false)
}
