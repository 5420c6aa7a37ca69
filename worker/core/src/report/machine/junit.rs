//! A JUnit report: every finding is a test case, so that CI servers list it; errors fail.

use std::io;

use quick_xml::Writer;
use quick_xml::events::BytesText;

use super::whole;
use crate::finding::{Finding, Findings, Severity};
use crate::report::visible::clean;

/// One case says the verdict, so that a run without findings is seen as well.
pub fn text(findings: &Findings, verdict: &str) -> io::Result<String> {
    let errors = findings.iter().filter(|finding| is_error(finding)).count();
    let count = (findings.len() + 1).to_string();
    let failed = (errors + usize::from(errors > 0)).to_string();
    let totals = [
        ("name", "windlass"),
        ("tests", count.as_str()),
        ("failures", failed.as_str()),
        ("errors", "0"),
    ];
    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
    writer
        .create_element("testsuites")
        .with_attributes(totals)
        .write_inner_content(|writer| {
            let suite = writer.create_element("testsuite").with_attributes(totals);
            suite.write_inner_content(|writer| {
                case(
                    writer,
                    "windlass",
                    "verdict",
                    (errors > 0).then_some(verdict),
                    verdict,
                )?;
                findings
                    .iter()
                    .try_for_each(|finding| found(writer, finding))
            })?;
            Ok(())
        })?;
    let body = String::from_utf8(writer.into_inner()).map_err(io::Error::other)?;
    Ok(format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{body}\n"
    ))
}

fn found(writer: &mut Writer<Vec<u8>>, finding: &Finding) -> io::Result<()> {
    let place = finding.at.as_ref().map_or_else(
        || "the cluster".to_owned(),
        |at| format!("{}:{}:{}", clean(&at.file), at.line, at.column),
    );
    let name = format!("{} {place}", finding.code);
    let class = finding.component.as_ref();
    let class = class.map_or("definitions", |component| component.as_str());
    let message = clean(&finding.message);
    let failure = is_error(finding).then_some(message.as_str());
    case(writer, class, &name, failure, &whole(finding))
}

fn case(
    writer: &mut Writer<Vec<u8>>,
    class: &str,
    name: &str,
    failure: Option<&str>,
    text: &str,
) -> io::Result<()> {
    writer
        .create_element("testcase")
        .with_attributes([("classname", class), ("name", name)])
        .write_inner_content(|writer| {
            let inner = match failure {
                Some(message) => {
                    let failure = writer.create_element("failure");
                    failure.with_attribute(("message", message))
                }
                None => writer.create_element("system-out"),
            };
            inner.write_text_content(BytesText::new(text))?;
            Ok(())
        })?;
    Ok(())
}

fn is_error(finding: &Finding) -> bool {
    finding.severity == Severity::Error
}
