//! A cluster whose names are proven through DNS, set up as docs/certificates.md and docs/secrets.md say.

use std::io::{Seek as _, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::fixture::{Cluster, run};

impl Cluster {
    /// From now on sites of a zone share a wildcard, proven through DNS. The key that signs the records is a secret of
    /// the repository, encrypted for the worker. After `order_from` and before the worker is started.
    pub fn prove_through_dns(&mut self) -> anyhow::Result<()> {
        let identity = self.age_key()?;
        let recipient = run(Command::new("age-keygen").arg("-y").arg(&identity))?;
        self.append(
            "cluster.yaml",
            &format!(
                "  dns: {{}}\n  group: wildcard\nsecrets: {{ recipients: [{}] }}\n",
                recipient.trim()
            ),
        )?;
        let key = run(Command::new("openssl").args(["rand", "-base64", "32"]))?;
        let mut input = tempfile::tempfile()?;
        input.write_all(key.trim().as_bytes())?;
        input.rewind()?;
        run(self
            .windlass(&["secret", "set", "acme_key"])
            .stdin(Stdio::from(input)))?;
        self.commit("Prove names through DNS").map(drop)
    }

    /// Gives the worker an identity of age: to read the repository's secrets, to encrypt the keys that it keeps, and to share
    /// its orders through a broker. Before it is started.
    pub fn age_key(&mut self) -> anyhow::Result<PathBuf> {
        let identity = self.dir().join("worker.agekey");
        run(Command::new("age-keygen").arg("-o").arg(&identity))?;
        self.opened_by(identity.clone());
        Ok(identity)
    }
}
