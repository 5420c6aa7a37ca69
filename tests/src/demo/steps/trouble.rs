//! What goes wrong on purpose, and what is left of it.

use serde_json::Value;

use super::{Screen, Stage};
use crate::lab::Node;

/// Every file that a component may own, with what changes whenever somebody writes it anew.
const FILES: &str = "find /etc /usr/local -xdev -type f -printf '%p %i %C@ %T@\\n' | sort";
/// How the latest attempt on a node ended, and why.
const ATTEMPT: &str =
    "cd /var/lib/windlass && cd attempts/$(cat attempt) && cat phase && cat reason";

impl Stage<'_> {
    pub(in crate::demo) fn refused_config(&mut self, screen: &mut Screen) -> anyhow::Result<()> {
        screen.chapter("A config that HAProxy refuses");
        let before = self.releases()?;
        let template = "components/haproxy/haproxy.cfg.tera";
        screen.command(&format!(
            "sed -i '0,/timeout connect/s//timeout conect/' {template}"
        ));
        let text = std::fs::read_to_string(self.cluster.checkout().join(template))?;
        let text = text.replacen("timeout connect", "timeout conect", 1);
        self.cluster.write(template, &text)?;
        let mut lines = (1..).zip(text.lines());
        let line = lines.find_map(|(number, line)| line.contains("conect").then_some(number));
        let report = self.commit_and_push(screen, "Tune a timeout")?;
        screen.claim(
            report.outcome == "refused",
            "refused before any node was touched",
        )?;
        screen.say(&report.text);
        let place = format!("{template}:{}", line.unwrap_or_default());
        let told = [
            &place,
            "/etc/haproxy/haproxy.cfg:",
            "timeout conect",
            "help: ",
        ];
        screen.claim(
            told.iter().all(|words| report.text.contains(*words)),
            "told: the file and line to mend, the line that HAProxy read, and what to do",
        )?;
        screen.claim(self.releases()? == before, "every node holds what it held")?;
        self.revert(screen)
    }

    pub(in crate::demo) fn broken_site(&mut self, screen: &mut Screen) -> anyhow::Result<()> {
        screen.chapter("A config that every checker accepts, but that breaks a site");
        let before = self.releases()?;
        let files = self.files_of_others("vps1")?;
        screen.command("sed -i 's|/health|/helth|' sites/blog.yaml");
        self.cluster
            .replace("sites/blog.yaml", "/health", "/helth")?;
        let report = self.commit_and_push(screen, "Move the health page")?;
        let failure = &report.value["failure"];
        let gate = text(&failure["what"]);
        screen.claim(
            report.outcome == "rolled-back"
                && failure["node"] == "vps1"
                && failure["step"] == "gates"
                && gate.starts_with("haproxy: http")
                && gate.contains("blog.example.org"),
            &format!("rolled back: on the first node this gate failed: {gate}"),
        )?;
        screen.say(&report.text);
        screen.claim(
            report.value["nodes"] == serde_json::json!(["vps1"]) && self.releases()? == before,
            "vps1 went back; every node holds its old release",
        )?;
        screen.claim(
            self.files_of_others("vps1")? == files,
            "vps2, vps3 and homelab were never touched: not a file was written there",
        )?;
        let body = self.curl("vps1", "blog", "https")?;
        screen.claim(
            body.contains("blog on"),
            &format!("the blog works on vps1 again: {}", body.trim()),
        )?;
        screen.claim(
            self.worker.is_quarantined(&report)?,
            "the bundle is quarantined: it will not be tried again",
        )?;
        self.revert(screen)
    }

    pub(in crate::demo) fn locked_out(&mut self, screen: &mut Screen) -> anyhow::Result<()> {
        screen.chapter("A firewall rule that locks the worker out");
        let before = self.releases()?;
        let deny = format!(
            "components: {{ firewall: {{ vars: {{ deny: [{}/32] }} }} }}\n",
            self.lab.host_ip()
        );
        screen.command(&format!("echo '{}' >> cluster.yaml", deny.trim()));
        self.cluster.append("cluster.yaml", &deny)?;
        let log = self.worker.log()?.len();
        let report = self.commit_and_push(screen, "Block a scanner")?;
        let node = text(&report.value["failure"]["node"]);
        screen.claim(report.outcome == "rolled-back", "the roll went back")?;
        screen.say(&report.text);
        let words = format!("no answer: {node}");
        let log = self.worker.log()?.split_off(log);
        let cut_off = log
            .lines()
            .find_map(|line| Some(&line[line.find(&words)?..]));
        screen.claim(
            cut_off.is_some(),
            &format!(
                "the worker was locked out of {node}: {}",
                cut_off.unwrap_or("it was not")
            ),
        )?;
        let attempt = self.lab.node(&node).sh(ATTEMPT)?;
        screen.claim(
            attempt == "rolled-back\nnobody confirmed in time",
            &format!("{node} healed itself: {}", super::one_line(&attempt)),
        )?;
        for node in self.lab.nodes() {
            let login = node.ssh("true")?;
            screen.claim(
                login.status.success(),
                &format!("{} can be reached", node.name()),
            )?;
        }
        screen.claim(
            self.releases()? == before,
            "every node holds its old release",
        )?;
        self.revert(screen)
    }

    /// Of every node but this one.
    fn files_of_others(&self, name: &str) -> anyhow::Result<Vec<String>> {
        let others = self.lab.nodes().iter().filter(|node| node.name() != name);
        others.map(|node: &Node| node.sh(FILES)).collect()
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
