//! What can be said of a component without rendering it: every value has the form it needs, every file that it
//! names is there, every choice is made exactly once.

use std::sync::LazyLock;

use globset::GlobBuilder;
use regex::Regex;

use super::actions::{Action, CheckEntry};
use super::format::FileEntry;
use super::gates::GateEntry;
use super::load::Folder;
use crate::codes::components as codes;
use crate::finding::{Finding, Findings, Location};
use crate::yaml::{At, nearest};

/// A pattern that is part of this program: it cannot fail for any input.
fn pattern(text: &str) -> Option<Regex> {
    Regex::new(text).ok()
}

static UNIT: LazyLock<Option<Regex>> =
    LazyLock::new(|| pattern(r"\A[A-Za-z0-9_][A-Za-z0-9_.@:\\-]{0,200}\z"));
static PACKAGE: LazyLock<Option<Regex>> =
    LazyLock::new(|| pattern(r"\A[a-z0-9][a-z0-9+.-]{1,100}\z"));
static SECRET: LazyLock<Option<Regex>> =
    LazyLock::new(|| pattern(r"\A[A-Za-z_][A-Za-z0-9_]{0,60}\z"));
static MODE: LazyLock<Option<Regex>> = LazyLock::new(|| pattern(r"\A0[0-7]{3}\z"));
static OWNER: LazyLock<Option<Regex>> =
    LazyLock::new(|| pattern(r"\A[A-Za-z_][A-Za-z0-9_.-]{0,31}:[A-Za-z_][A-Za-z0-9_.-]{0,31}\z"));
static EACH: LazyLock<Option<Regex>> =
    LazyLock::new(|| pattern(r"\A[a-z_][a-z0-9_]* in [a-z_][A-Za-z0-9_]*(\.[A-Za-z0-9_-]+)*\z"));

pub(super) fn folder(folder: &Folder) -> Findings {
    let mut view = View {
        folder,
        findings: Findings::default(),
    };
    let own = &folder.definition;
    for unit in &own.units {
        view.matches(unit, &UNIT, "the name of a systemd unit");
    }
    for package in &own.packages {
        view.matches(package, &PACKAGE, "the name of a Debian package");
    }
    for secret in &own.secrets {
        view.matches(
            secret,
            &SECRET,
            "a name for a secret: letters, digits and `_`",
        );
    }
    own.files.iter().for_each(|file| view.file(file));
    own.checks.iter().for_each(|check| view.check(check));
    own.apply.iter().for_each(|action| view.action(action));
    for action in own.drain.iter().chain(&own.undrain).chain(&own.remove) {
        view.action(action);
        if let Some(when) = &action.when {
            view.bad(
                when,
                "`when` has a meaning only in `apply`".to_owned(),
                "remove it",
            );
        }
        if action.alone.value {
            view.bad(
                &action.alone,
                "`alone` has a meaning only in `apply`".to_owned(),
                "remove it",
            );
        }
    }
    own.before
        .iter()
        .chain(&own.gates)
        .for_each(|gate| view.gate(gate));
    view.findings
}

struct View<'a> {
    folder: &'a Folder,
    findings: Findings,
}

impl View<'_> {
    fn push<T>(&mut self, at: &At<T>, finding: Finding) {
        let finding = finding.at(self.folder.place(at)).of(self.folder.name());
        self.findings.push(finding);
    }

    fn bad<T>(&mut self, at: &At<T>, message: String, hint: &str) {
        let finding = Finding::error(codes::BAD_COMPONENT_VALUE, message).hint(hint);
        self.push(at, finding);
    }

    fn matches(&mut self, at: &At<String>, pattern: &LazyLock<Option<Regex>>, what: &str) {
        if pattern.as_ref().is_some_and(|regex| !regex.is_match(at)) {
            let shown: String = at.chars().take(80).collect();
            self.bad(at, format!("{shown:?} is not {what}"), "mend its spelling");
        }
    }

    fn file(&mut self, file: &FileEntry) {
        let choices = [&file.template, &file.content, &file.source];
        self.one_of(
            self.folder.place(&file.path),
            choices.map(Option::is_some).as_slice(),
            "a file needs exactly one of `template`, `content` and `source`",
        );
        for name in [&file.template, &file.source].into_iter().flatten() {
            self.exists(name);
        }
        if let Some(mode) = &file.mode {
            self.matches(mode, &MODE, "a mode of four octal digits such as \"0640\"");
            if file.secret && !mode.ends_with('0') {
                let message = format!("a secret file with mode {mode} is readable for everyone");
                let hint = "take \"0600\", or \"0640\" with a group";
                let finding = Finding::error(codes::SECRET_SHOWN, message).hint(hint);
                self.push(mode, finding);
            }
        }
        self.matches(&file.owner, &OWNER, "an owner such as root:haproxy");
        if let Some(each) = &file.each {
            self.matches(
                each,
                &EACH,
                "of the form `zone in zones` or `user in vars.users`",
            );
        }
    }

    fn check(&mut self, check: &CheckEntry) {
        for expression in [&check.fail_on, &check.finding].into_iter().flatten() {
            match Regex::new(expression) {
                Err(error) => self.bad(
                    expression,
                    format!(
                        "it is not a regular expression: {}",
                        one_line(&error.to_string())
                    ),
                    "the syntax is that of Rust's regex crate: no look-around, no back-references",
                ),
                Ok(regex) => {
                    let is_finding = check.finding.as_ref() == Some(expression);
                    if is_finding && !regex.capture_names().flatten().any(|n| n == "message") {
                        self.bad(
                            expression,
                            "`finding` has no group named `message`".to_owned(),
                            "write (?<message>.+) where the program says what is wrong",
                        );
                    }
                }
            }
        }
    }

    fn action(&mut self, action: &Action) {
        let units = [&action.reload, &action.restart, &action.start, &action.stop];
        for unit in units.into_iter().flatten() {
            self.matches(unit, &UNIT, "the name of a systemd unit");
        }
        let choices = [
            action.reload.is_some(),
            action.restart.is_some(),
            action.start.is_some(),
            action.stop.is_some(),
            action.run.is_some(),
        ];
        let mut places = units.into_iter().chain([&action.run]).flatten();
        let place = self.first(places.next());
        self.one_of(
            place,
            &choices,
            "an action does exactly one of `reload`, `restart`, `start`, `stop` and `run`",
        );
        if action.alone.value && action.when.is_none() {
            self.bad(
                &action.alone,
                "`alone` needs `when`: without it, it would stand for every file".to_owned(),
                "name the files below `when`, or remove `alone`",
            );
        }
        if let Some(when) = &action.when {
            for glob in &when.value {
                if let Err(error) = GlobBuilder::new(glob).literal_separator(true).build() {
                    let message = format!("{glob:?} is not a glob: {}", error.kind());
                    self.bad(
                        when,
                        message,
                        "`*` stays within a folder, `**` crosses slashes",
                    );
                } else if !glob.starts_with('/') {
                    let message = format!("{glob:?} can match no path on a node");
                    self.bad(when, message, "begin it with `/`");
                }
            }
        }
    }

    fn gate(&mut self, gate: &GateEntry) {
        let choices = [
            gate.http.is_some(),
            gate.tls.is_some(),
            gate.tcp.is_some(),
            gate.closed.is_some(),
            gate.dns.is_some(),
            gate.command.is_some(),
        ];
        self.one_of(
            self.first(gate.command.as_ref()),
            &choices,
            "a gate has exactly one of `http`, `tls`, `tcp`, `closed`, `dns` and `command`",
        );
        if let Some(http) = &gate.http {
            let place = http.site.as_ref().or(http.url.as_ref());
            let place = self.first(place);
            let choices = [http.site.is_some(), http.url.is_some()];
            self.one_of(
                place,
                &choices,
                "an http gate has exactly one of `site` and `url`",
            );
        }
        if let Some(dns) = &gate.dns {
            let place = dns.zone.as_ref().or(dns.name.as_ref());
            let place = self.first(place);
            let of_zone = dns.zone.is_some() && dns.expect.is_some();
            let of_name = dns.name.is_some() && dns.kind.is_some() && !dns.answer.is_empty();
            let mixed = dns.zone.is_some() == dns.name.is_some();
            self.one_of(
                place,
                &[of_zone && !mixed, of_name && !mixed],
                "a dns gate has either `zone` and `expect`, or `name`, `type` and `answer`",
            );
        }
    }

    /// Where an entry stands, as far as one of its values tells.
    fn first<T>(&self, at: Option<&At<T>>) -> Location {
        let own = || self.folder.place(&self.folder.definition.name);
        at.map_or_else(own, |at| self.folder.place(at))
    }

    fn one_of(&mut self, place: Location, choices: &[bool], message: &str) {
        if choices.iter().filter(|chosen| **chosen).count() != 1 {
            let finding = Finding::error(codes::ONE_OF, message).at(place);
            let finding = finding.hint("docs/components.md lists every key");
            self.findings.push(finding.of(self.folder.name()));
        }
    }

    fn exists(&mut self, name: &At<String>) {
        if self.folder.files.contains_key(name.as_str()) {
            return;
        }
        let path = self.folder.path_of(name);
        let finding = Finding::error(codes::FILE_MISSING, format!("there is no file {path}"));
        let known = self.folder.files.keys().map(String::as_str);
        let hint = nearest(name, known).map_or_else(
            || "add it, or mend its name".to_owned(),
            |near| format!("did you mean `{near}`?"),
        );
        self.push(name, finding.hint(hint));
    }
}

/// The last line of a regex error says what is wrong; those before draw it.
fn one_line(error: &str) -> &str {
    error
        .lines()
        .last()
        .unwrap_or(error)
        .trim_start_matches("error: ")
}
