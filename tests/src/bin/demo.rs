//! `demo`: what `make demo` runs.

use std::process::ExitCode;

use windlass_tests::demo::{Queue, play};

fn main() -> ExitCode {
    let keep = std::env::var_os("KEEP").is_some_and(|value| value == "1");
    let queue = match std::env::var("QUEUE").unwrap_or_default().as_str() {
        "" | "embedded" => Queue::Embedded,
        "amqp" => Queue::Amqp,
        other => {
            eprintln!("there is no QUEUE={other}: leave it out, or say QUEUE=amqp");
            return ExitCode::from(2);
        }
    };
    match play(queue, keep) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nthe demo failed: {error:#}");
            ExitCode::FAILURE
        }
    }
}
