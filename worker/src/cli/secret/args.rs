//! The words of `windlass secret`.

use clap::Subcommand;

#[derive(Debug, Clone, Subcommand)]
pub enum SecretCommand {
    /// Encrypts what comes on standard input as the secret NAME: `windlass secret set NAME <FILE`.
    ///
    /// It is written to secrets/NAME.age for the recipients in cluster.yaml; commit it as any other file.
    /// A line's end behind the last line is left out.
    Set {
        /// As templates name it (`secrets.NAME`): letters, digits and `_`.
        name: String,
    },
    /// Opens the secret NAME in $VISUAL or $EDITOR and encrypts what was saved.
    ///
    /// The text lies in a file of its own in memory meanwhile (/dev/shm, mode 0600), and is removed again.
    Edit {
        /// As templates name it; one that does not exist yet begins empty.
        name: String,
    },
    /// Encrypts secrets anew for the recipients that cluster.yaml names now; all of them or none.
    ///
    /// Whoever was a recipient before can still read the old files in Git's history.
    Rotate {
        /// Names (default: all secrets of the repository).
        names: Vec<String>,
    },
    /// Looks whether every secret that a component names is there, and whether each can be decrypted by
    /// --age-identity and is encrypted for as many as cluster.yaml names.
    Check,
}
