//! The line of a template behind a line that a program refused, where there is no doubt: the one line that is the
//! same in both. A line that the template only makes up is not looked for; then the file alone is named.

use crate::finding::{Finding, Findings, Location};
use crate::snapshot::Snapshot;

/// The findings with the lines that could be found.
pub fn located(findings: Findings, snapshot: &Snapshot) -> Findings {
    findings
        .into_iter()
        .map(|finding| locate(finding, snapshot))
        .collect()
}

fn locate(mut finding: Finding, snapshot: &Snapshot) -> Finding {
    let Some(excerpt) = &finding.excerpt else {
        return finding;
    };
    let related = finding.related.iter_mut().map(|(place, _)| place);
    for place in finding.at.iter_mut().chain(related) {
        if place.line == 0
            && place.file.starts_with("components/")
            && let Some(line) = only_line(snapshot.file(&place.file), &excerpt.text)
        {
            *place = Location::new(std::mem::take(&mut place.file), line, 1);
        }
    }
    finding
}

fn only_line(template: Option<&[u8]>, quoted: &str) -> Option<u32> {
    let text = std::str::from_utf8(template?).ok()?;
    let quoted = quoted.trim();
    let same = |(_, line): &(u32, &str)| line.trim() == quoted;
    let mut found = (1..).zip(text.lines()).filter(same);
    let (line, _) = found.next()?;
    (!quoted.is_empty() && found.next().is_none()).then_some(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codes::checks::CHECK_REFUSED;

    const TEMPLATE: &str = "components/x/x.cfg.tera";

    fn lines(quoted: &str) -> (u32, u32) {
        let text = "a\n  twice\ntwice\n  port {{ site.port }}\n  conect 5s\n";
        let snapshot = Snapshot::of_texts("c", [(TEMPLATE, text), ("sites/x.yaml", text)]);
        let finding = Finding::error(CHECK_REFUSED, "no")
            .at(Location::file(TEMPLATE))
            .quoting("/etc/x.cfg", 9, quoted)
            .related(Location::file("sites/x.yaml"), "why");
        let found = located([finding].into_iter().collect(), &snapshot);
        let finding = found.iter().next().unwrap();
        (finding.at.as_ref().unwrap().line, finding.related[0].0.line)
    }

    #[test]
    fn a_line_is_named_where_it_stands_once_in_the_template() {
        assert_eq!(lines("    conect 5s"), (5, 0));
        assert_eq!(lines("a"), (1, 0));
        for unsure in ["twice", "port 80", "", "conect"] {
            assert_eq!(lines(unsure), (0, 0), "{unsure:?}");
        }
    }
}
