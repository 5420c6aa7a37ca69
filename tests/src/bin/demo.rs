//! `demo`: what `make demo` runs.

use std::process::ExitCode;

fn main() -> ExitCode {
    let keep = std::env::var_os("KEEP").is_some_and(|value| value == "1");
    match windlass_tests::demo::play(keep) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nthe demo failed: {error:#}");
            ExitCode::FAILURE
        }
    }
}
