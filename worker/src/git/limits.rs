//! Process-wide settings of libgit2. Without them a remote that accepts a connection and then says nothing
//! would hold a fetch for ever.

use std::sync::Once;

const CONNECT_TIMEOUT_MS: i32 = 10_000;
/// Silence on an open connection, not the length of a transfer.
const SILENCE_TIMEOUT_MS: i32 = 30_000;

static SET: Once = Once::new();

/// Sets the timeouts, once. Must have been called before libgit2 is used.
pub(super) fn apply() {
    SET.call_once(|| {
        // Failing leaves libgit2's defaults, which are worse but work.
        if let Err(error) = set() {
            tracing::warn!(%error, "libgit2 refused a setting");
        }
    });
}

#[expect(
    unsafe_code,
    reason = "process-global settings; the Once runs them before any other use of libgit2"
)]
fn set() -> Result<(), git2::Error> {
    // SAFETY: these write plain globals of libgit2; `apply` is the first thing every entry of this module calls,
    // and the Once makes other threads wait until they are written.
    unsafe {
        git2::opts::set_server_connect_timeout_in_milliseconds(CONNECT_TIMEOUT_MS)?;
        git2::opts::set_server_timeout_in_milliseconds(SILENCE_TIMEOUT_MS)?;
        // Ownership is checked by git because a foreign repository's config can name programs to run.
        // libgit2 runs none, and a bare repository usually belongs to the user `git`.
        git2::opts::set_verify_owner_validation(false)
    }
}
