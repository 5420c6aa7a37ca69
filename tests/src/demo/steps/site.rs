//! A site from one file, and where an authority is there, its certificate.

use std::path::Path;

use super::{PATIENCE, Screen, Stage, VPSS, one_line};
use crate::cluster::{Authority, Cluster};
use crate::lab::{Lab, wait_until};

/// What visitors of the blog are told while it is down.
const PAINTING: &str = "The blog is being painted";

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
        let scheme = if self.authority.is_some() {
            self.cluster.write_ordered_site("blog", 8082)?;
            "http"
        } else {
            self.cluster.write_site("blog", 8082)?;
            "https"
        };
        let file = "sites/blog.yaml";
        self.cluster
            .append(file, &format!("maintenance: {{ text: {PAINTING} }}\n"))?;
        let text = std::fs::read_to_string(self.cluster.checkout().join(file))?;
        screen.command(&format!("cat {file}"));
        screen.say(&text);
        self.cluster.commit("Add the blog")?;
        screen.command("git commit -am 'Add the blog' && windlass plan");
        self.planned(screen, file)?;
        let report = self.push(screen)?;
        screen.claim(
            report.outcome == "rolled-out",
            "rolled out, one node after the other",
        )?;
        for vps in VPSS {
            let body = self.curl(vps, "blog", scheme)?;
            screen.claim(
                body.contains("blog on"),
                &format!(
                    "{scheme}://blog.example.org/ through {vps}: {}",
                    body.trim()
                ),
            )?;
            let answer = self.dig(vps, "blog.example.org", "A")?;
            screen.claim(
                answer.lines().count() == 3,
                &format!("dig @{vps} blog.example.org: {}", one_line(&answer)),
            )?;
        }
        Ok(())
    }

    /// What `windlass plan` says before anything is pushed: all that follows from the site's file.
    fn planned(&self, screen: &mut Screen, file: &str) -> anyhow::Result<()> {
        let said = self.cluster.says(&["plan"])?;
        let lines = said
            .out
            .lines()
            .skip_while(|line| !line.ends_with(". vps1"));
        let turn: Vec<&str> = lines
            .skip(1)
            .take_while(|line| line.starts_with("    "))
            .collect();
        for (what, words) in [
            ("HAProxy's host map", "/etc/haproxy/hosts.map"),
            ("HAProxy's backend", "/etc/haproxy/haproxy.cfg"),
            ("its maintenance page", "/etc/haproxy/errors/site-blog.html"),
            ("the site's health gate", "gate: haproxy: http"),
        ] {
            let of_file = |line: &str| line.contains(file) || line.contains("blog.example.org");
            let mut lines = turn.iter().filter(|line| line.contains(words));
            let line = lines.find(|line| of_file(line)).map(|line| line.trim());
            screen.claim(
                line.is_some(),
                &format!("{what}: {}", line.unwrap_or(&said.out)),
            )?;
        }
        Ok(())
    }

    /// While no instance is healthy, every VPS tells visitors so in the site's own words.
    fn fallback(&self, screen: &mut Screen) -> anyhow::Result<()> {
        let everywhere = |verb: &str| -> anyhow::Result<()> {
            let nodes = VPSS.map(|vps| self.lab.node(vps));
            nodes
                .iter()
                .try_for_each(|node| node.sh(&format!("systemctl {verb} hello@blog")).map(drop))
        };
        screen.command("systemctl stop hello@blog   # on vps1, vps2 and vps3");
        everywhere("stop")?;
        let asked = self.curl("vps1", "blog", "https");
        everywhere("start")?;
        let page = asked?;
        screen.claim(
            page.contains(PAINTING),
            &format!("its maintenance page through vps1: {PAINTING}"),
        )?;
        let back = wait_until(PATIENCE, || {
            let answers = |vps: &&str| {
                let body = self.curl(vps, "blog", "https");
                body.is_ok_and(|body| body.contains("blog on"))
            };
            VPSS.iter().all(answers)
        });
        screen.claim(back.is_ok(), "and the blog itself again, once it is up")
    }

    /// The site's HTTPS, which no commit asks for any more.
    pub(in crate::demo) fn certificate(&mut self, screen: &mut Screen) -> anyhow::Result<()> {
        screen.chapter("Its certificate comes by itself");
        match self.authority.as_ref().map(Authority::root) {
            Some(root) => self.ordered(screen, &root)?,
            None => screen.say(
                "Workers that share a broker do not order certificates yet: the blog has one by file. `make demo` shows it.",
            ),
        }
        let redirect = self.curl_status("vps2", "blog", "http")?;
        screen.claim(
            redirect.starts_with("30"),
            &format!("http://blog.example.org/ redirects ({redirect})"),
        )?;
        self.fallback(screen)
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
