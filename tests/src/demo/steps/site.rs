//! A site from one file, and where an authority is there, its certificate.

use std::path::Path;

use super::{PATIENCE, Screen, Stage, VPSS, one_line};
use crate::cluster::{Authority, Cluster};
use crate::lab::{Lab, wait_until};

impl Stage<'_> {
    /// A certificate authority of the demo's own, which the cluster orders from.
    pub(super) fn authority(
        lab: &Lab,
        cluster: &mut Cluster,
        screen: &mut Screen,
    ) -> anyhow::Result<Authority> {
        let authority = Authority::start(lab, "vps1")?;
        cluster.order_from(&authority, lab)?;
        screen.say(&format!(
            "pebble    {} is up: a certificate authority that nobody trusts yet",
            authority.directory()
        ));
        Ok(authority)
    }

    pub(in crate::demo) fn new_site(&mut self, screen: &mut Screen) -> anyhow::Result<()> {
        screen.chapter("One new file, seven systems: a site is added");
        self.cluster.write_ordered_site("blog", 8082)?;
        let text = std::fs::read_to_string(self.cluster.checkout().join("sites/blog.yaml"))?;
        screen.command("cat sites/blog.yaml");
        screen.say(&text);
        let report = self.commit_and_push(screen, "Add the blog")?;
        screen.claim(
            report.outcome == "rolled-out",
            "rolled out, one node after the other",
        )?;
        for vps in VPSS {
            let body = self.curl(vps, "blog", "http")?;
            screen.claim(
                body.contains("blog on"),
                &format!("http://blog.example.org/ through {vps}: {}", body.trim()),
            )?;
            let answer = self.dig(vps, "blog.example.org", "A")?;
            screen.claim(
                answer.lines().count() == 3,
                &format!("dig @{vps} blog.example.org: {}", one_line(&answer)),
            )?;
        }
        Ok(())
    }

    /// The site's HTTPS, which no commit asks for any more.
    pub(in crate::demo) fn certificate(&mut self, screen: &mut Screen) -> anyhow::Result<()> {
        screen.chapter("Its certificate comes by itself");
        self.ordered(screen, &self.authority.root())?;
        let redirect = self.curl_status("vps2", "blog", "http")?;
        screen.claim(
            redirect.starts_with("30"),
            &format!("http://blog.example.org/ redirects ({redirect})"),
        )
    }

    fn ordered(&self, screen: &mut Screen, root: &Path) -> anyhow::Result<()> {
        screen.say("The worker asks itself the authority's question through every VPS, orders, and rolls the answer.");
        let root = root.display().to_string();
        let secure = |vps: &str| self.curl_with(vps, "blog", "https", &["--cacert", &root]);
        let served = wait_until(PATIENCE, || {
            let live = self.worker.live().unwrap_or_default();
            if !live.is_empty() {
                screen.nodes(&live);
            }
            live.is_empty() && VPSS.iter().all(|vps| secure(vps).is_ok())
        });
        screen.claim(
            served.is_ok(),
            "rolled out, proven on every VPS from outside",
        )?;
        screen.command("curl --cacert pebble-root.pem https://blog.example.org/");
        for vps in VPSS {
            let body = secure(vps)?;
            screen.claim(
                body.contains("blog on"),
                &format!("through {vps}: {}", body.trim()),
            )?;
        }
        Ok(())
    }
}
