//! Templates of one component, compiled: every `*.tera` file of its folder and every text of its component.yaml.
//! Each component has an engine of its own, so that a template can include only its own folder's.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use tera::{Context, ErrorKind, Tera};

use super::filters;
use crate::codes::components as codes;
use crate::component::Folder;
use crate::finding::{Finding, Findings, Location};
use crate::yaml::{At, nearest};

/// The largest file that a template may write.
pub(super) const MAX_OUTPUT: usize = 16 * 1024 * 1024;

/// The names that every template sees.
pub(super) const NAMES: [&str; 11] = [
    "certificates",
    "cluster",
    "component",
    "definitions",
    "forwards",
    "node",
    "nodes",
    "secrets",
    "sites",
    "vars",
    "zones",
];

#[derive(Debug)]
pub(super) struct Engine {
    tera: Tera,
    /// Template's name → where its text stands and which top-level names it uses.
    texts: BTreeMap<String, Text>,
    folder: String,
}

#[derive(Debug, Default)]
struct Text {
    /// For texts of component.yaml: where the value begins, and how much was put before it.
    origin: Option<Origin>,
    /// The text itself where it is no template at all.
    plain: Option<String>,
    uses: BTreeSet<String>,
}

#[derive(Debug)]
struct Origin {
    place: Location,
    before: usize,
    block: bool,
}

const CONDITION: (&str, &str) = ("{% if ", " %}true{% endif %}");

impl Engine {
    pub(super) fn new(folder: &Folder) -> (Self, Findings) {
        let mut tera = Tera::default();
        tera.autoescape_on(Vec::<&'static str>::new());
        filters::register(&mut tera);
        let mut engine = Self {
            tera,
            texts: BTreeMap::new(),
            folder: format!("components/{}", folder.name()),
        };
        let mut findings = Findings::default();
        let mut sources = BTreeMap::new();
        engine.gather_files(folder, &mut sources, &mut findings);
        for (name, at, condition) in super::texts::texts(&folder.definition) {
            engine.gather_text(folder, name, at, condition, &mut sources);
        }
        engine.compile(sources, &mut findings);
        engine.look_up_names(folder, &mut findings);
        let findings = findings.into_iter().map(|f| f.of(folder.name())).collect();
        (engine, findings)
    }

    fn gather_files(
        &mut self,
        folder: &Folder,
        sources: &mut BTreeMap<String, String>,
        findings: &mut Findings,
    ) {
        for (name, bytes) in &folder.files {
            if !is_template_file(name) && !is_named(folder, name) {
                continue;
            }
            let Ok(text) = std::str::from_utf8(bytes) else {
                let place = Location::file(folder.path_of(name));
                let message = "the template is not UTF-8 text";
                findings.push(Finding::error(codes::TEMPLATE_SYNTAX, message).at(place));
                continue;
            };
            if let Some(line) = macro_line(text) {
                let place = Location::new(folder.path_of(name), line, 1);
                let message = "Tera's own `component` tags are not available here";
                let finding = Finding::error(codes::TEMPLATE_SYNTAX, message).at(place);
                findings.push(finding.hint("use `{% include \"part.tera\" %}`"));
                continue;
            }
            self.texts.insert(name.clone(), Text::default());
            sources.insert(name.clone(), text.to_owned());
        }
    }

    fn gather_text(
        &mut self,
        folder: &Folder,
        name: String,
        at: &At<String>,
        condition: bool,
        sources: &mut BTreeMap<String, String>,
    ) {
        let mut text = Text {
            origin: Some(Origin {
                place: folder.place(at),
                before: if condition { CONDITION.0.len() } else { 0 },
                block: at.contains('\n'),
            }),
            ..Text::default()
        };
        if condition {
            let source = format!("{}{}{}", CONDITION.0, at.value, CONDITION.1);
            sources.insert(name.clone(), source);
        } else if (at.contains("{{") || at.contains("{%")) && macro_line(at).is_none() {
            sources.insert(name.clone(), at.value.clone());
        } else {
            text.plain = Some(at.value.clone());
        }
        self.texts.insert(name, text);
    }

    /// Templates are added in one call, because includes are resolved then. One broken template refuses
    /// all, so it is told, taken out, and the rest is tried again.
    fn compile(&mut self, mut sources: BTreeMap<String, String>, findings: &mut Findings) {
        while let Err(error) = self.tera.add_raw_templates(sources.iter()) {
            let broken = match error.kind() {
                ErrorKind::SyntaxError(report) => report.filename().to_owned(),
                _ => String::new(),
            };
            let known = sources.remove(&broken).is_some();
            if known || findings.is_empty() {
                findings.push(self.finding(codes::TEMPLATE_SYNTAX, &broken, &error));
            }
            if !known {
                break;
            }
        }
    }

    fn look_up_names(&mut self, folder: &Folder, findings: &mut Findings) {
        let items = super::texts::items(&folder.definition);
        let names: Vec<String> = self.texts.keys().cloned().collect();
        for name in names {
            let Ok(used) = self.tera.get_template_variables(&name) else {
                continue;
            };
            let used: BTreeSet<String> = used.into_iter().map(str::to_owned).collect();
            let item = items.get(&name);
            for unknown in &used {
                let is_known = NAMES.contains(&unknown.as_str())
                    || item.is_some_and(|items| items.contains(unknown))
                    || (item.is_none() && is_template_file(&name) && is_part(&items, unknown));
                if !is_known {
                    findings.push(self.unknown_name(&name, unknown, item));
                }
            }
            if let Some(text) = self.texts.get_mut(&name) {
                text.uses = used;
            }
        }
    }

    fn unknown_name(&self, name: &str, unknown: &str, item: Option<&BTreeSet<String>>) -> Finding {
        let own = item.into_iter().flatten().map(String::as_str);
        let all: Vec<&str> = NAMES.into_iter().chain(own).collect();
        let hint = nearest(unknown, all.iter().copied()).map_or_else(
            || format!("there are: {}", all.join(", ")),
            |near| format!("did you mean `{near}`?"),
        );
        Finding::error(
            codes::UNKNOWN_NAME,
            format!("there is no value `{unknown}` for templates"),
        )
        .at(self.place(name, 1, 0))
        .hint(hint)
    }

    /// The top-level names that a template uses, its includes among them.
    pub(super) fn uses(&self, name: &str) -> impl Iterator<Item = &str> {
        let uses = self.texts.get(name).map(|text| &text.uses);
        uses.into_iter().flatten().map(String::as_str)
    }

    pub(super) fn render(&self, name: &str, context: &Context) -> Result<String, Finding> {
        if let Some(plain) = self.texts.get(name).and_then(|text| text.plain.as_ref()) {
            return Ok(plain.clone());
        }
        let mut output = Capped::default();
        match self.tera.render_to(name, context, &mut output) {
            Ok(()) => String::from_utf8(output.bytes).map_err(|_| {
                Finding::error(codes::TEMPLATE_FAILED, "the output is not UTF-8 text")
                    .at(self.place(name, 0, 0))
            }),
            Err(_) if output.full => {
                let message = format!("the template wrote more than {MAX_OUTPUT} bytes");
                Err(Finding::error(codes::TOO_LARGE, message).at(self.place(name, 0, 0)))
            }
            Err(error) => Err(self.finding(codes::TEMPLATE_FAILED, name, &error)),
        }
    }

    /// Whether a condition holds; true where there is none.
    pub(super) fn holds(&self, name: &str, context: &Context) -> Result<bool, Finding> {
        if !self.texts.contains_key(name) {
            return Ok(true);
        }
        Ok(self.render(name, context)? == "true")
    }

    fn finding(&self, code: crate::codes::Code, name: &str, error: &tera::Error) -> Finding {
        match error.kind() {
            ErrorKind::SyntaxError(report) | ErrorKind::RenderingError(report) => {
                let span = report.span();
                let place = self.place(report.filename(), span.start_line, span.start_col);
                let message = report.message().trim_end_matches('.').to_owned();
                Finding::error(code, message).at(place)
            }
            other => {
                let message = other.to_string();
                let message = message.lines().next().unwrap_or_default().to_owned();
                Finding::error(code, message).at(self.place(name, 0, 0))
            }
        }
    }

    /// Where a line (from 1) and column (from 0) of a template stand in the repository.
    fn place(&self, name: &str, line: usize, column: usize) -> Location {
        let small = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let Some(origin) = self.texts.get(name).and_then(|text| text.origin.as_ref()) else {
            let file = match name {
                "" => self.folder.clone(),
                name => format!("{}/{name}", self.folder),
            };
            let column = if line == 0 { 0 } else { small(column) + 1 };
            return Location::new(file, small(line), column);
        };
        let start = &origin.place;
        if origin.block {
            // A block's text begins on the line below its `|`.
            return Location::new(&start.file, start.line + small(line), 0);
        }
        let column = column.saturating_sub(origin.before);
        Location::new(&start.file, start.line, start.column + small(column))
    }
}

fn is_template_file(name: &str) -> bool {
    name.ends_with(".tera")
}

fn is_named(folder: &Folder, name: &str) -> bool {
    let mut files = folder.definition.files.iter();
    files.any(|file| file.template.as_ref().is_some_and(|at| at.as_str() == name))
}

/// A template that no file names is a part for includes; any file's item may reach it.
fn is_part(items: &BTreeMap<String, BTreeSet<String>>, name: &str) -> bool {
    items.values().any(|items| items.contains(name))
}

/// Tera's components can call themselves, which nothing bounds.
fn macro_line(text: &str) -> Option<u32> {
    let mut from = 0;
    while let Some(found) = text[from..].find("{%") {
        let start = from + found;
        from = start + 2;
        let tag = text[from..].trim_start_matches('-').trim_start();
        if tag.starts_with("component") {
            let line = 1 + text[..start].matches('\n').count();
            return Some(u32::try_from(line).unwrap_or(u32::MAX));
        }
    }
    None
}

/// Ends a template that writes without end.
#[derive(Default)]
struct Capped {
    bytes: Vec<u8>,
    full: bool,
}

impl Write for Capped {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > MAX_OUTPUT {
            self.full = true;
            return Err(io::Error::from(io::ErrorKind::FileTooLarge));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
