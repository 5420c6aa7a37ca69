//! One entry of `files`: the files that it makes on a node, taken from the cache where nothing that they are
//! made from has changed.

use std::collections::BTreeSet;
use std::sync::Arc;

use memchr::memmem;
use rayon::prelude::*;
use tera::{Context, Value};

use super::cache::{Cache, Made};
use super::context::Scope;
use super::engine::Engine;
use super::node::{Inputs, context_of};
use super::texts;
use super::values::{self, object};
use crate::codes::components as codes;
use crate::component::Folder;
use crate::component::format::FileEntry;
use crate::finding::{Finding, Findings};
use crate::ids::{Digest, NodePath};
use crate::release::{FileMeta, SERIAL_TOKEN};

/// What one entry made for one item; nothing where its condition did not hold.
pub(super) struct Output {
    pub(super) key: Digest,
    pub(super) made: Arc<Option<Made>>,
    /// Template first, then whatever else the file is made from.
    pub(super) inputs: Vec<String>,
    pub(super) fresh: bool,
}

pub(super) struct Maker<'a> {
    folder: &'a Folder,
    engine: &'a Engine,
    scope: &'a Scope,
    context: Context,
    cache: &'a Cache,
    inputs: Inputs<'a>,
}

/// An item of `each`, with the definition files that it comes from.
struct Item<'a> {
    name: &'a str,
    value: Value,
    digest: Digest,
    files: &'a [Arc<str>],
}

impl<'a> Maker<'a> {
    pub(super) fn new(
        folder: &'a Folder,
        engine: &'a Engine,
        scope: &'a Scope,
        cache: &'a Cache,
        inputs: Inputs<'a>,
    ) -> Self {
        Self {
            folder,
            engine,
            scope,
            context: context_of(scope),
            cache,
            inputs,
        }
    }

    pub(super) fn entry(&self, index: usize, file: &FileEntry) -> Vec<Result<Output, Finding>> {
        let entry = Entry::new(self, index, file);
        let Some((name, path)) = file.each.as_ref().and_then(|each| texts::split_each(each)) else {
            return vec![entry.output(None)];
        };
        match self.items(name, path) {
            Some(items) => items
                .into_par_iter()
                .map(|item| entry.output(Some(&item)))
                .collect(),
            None => {
                let place = file.each.as_ref().map_or(&file.path, |each| each);
                let message = format!("`{path}` is not a list");
                let finding = Finding::error(codes::TEMPLATE_FAILED, message)
                    .at(self.folder.place(place))
                    .of(self.folder.name())
                    .hint("`each` goes over a list, or over a map as items with `key` and `value`");
                vec![Err(finding)]
            }
        }
    }

    fn items<'n>(&'n self, name: &'n str, path: &str) -> Option<Vec<Item<'n>>> {
        let mut parts = path.split('.');
        let root = self.scope.get(parts.next()?)?;
        let mut value = &root.value;
        for part in parts {
            value = value.as_map()?.get(&tera::value::Key::Str(part))?;
        }
        if let Some(values) = value.as_array() {
            let is_root = !path.contains('.');
            let own = |index: usize| root.items.get(index).filter(|_| is_root);
            let known = |index: usize| root.item_digests().get(index).filter(|_| is_root);
            let items = values.iter().enumerate().map(|(index, value)| Item {
                name,
                value: value.clone(),
                digest: known(index).map_or_else(|| values::digest(value), |digest| *digest),
                files: own(index).unwrap_or(&root.files),
            });
            return Some(items.collect());
        }
        let pairs = value.as_map()?.iter().map(|(key, value)| {
            let pair = object([("key", key.as_value()), ("value", value.clone())]);
            let value = Value::from(pair);
            Item {
                name,
                digest: values::digest(&value),
                value,
                files: &root.files,
            }
        });
        Some(pairs.collect())
    }
}

struct Entry<'a> {
    maker: &'a Maker<'a>,
    index: usize,
    file: &'a FileEntry,
    /// The template of the content; `None` where a file is taken as it is.
    body: Option<String>,
    /// Digest of everything but the item.
    base: Digest,
    /// Where the values come from, without the item's.
    sources: Vec<&'a Arc<str>>,
}

impl<'a> Entry<'a> {
    fn new(maker: &'a Maker<'a>, index: usize, file: &'a FileEntry) -> Self {
        let body = texts::body(index, file);
        let (path, when) = (
            format!("files[{index}].path"),
            format!("files[{index}].when"),
        );
        let names = [Some(path.as_str()), Some(when.as_str()), body.as_deref()];
        let uses: BTreeSet<&str> = names
            .into_iter()
            .flatten()
            .flat_map(|name| maker.engine.uses(name))
            .collect();
        let used = uses
            .iter()
            .filter_map(|name| Some((*name, maker.scope.get(*name)?)));
        let index_bytes = index.to_be_bytes();
        let mut parts: Vec<&[u8]> = vec![maker.folder.digest.as_bytes(), &index_bytes];
        parts.push(maker.folder.name().as_str().as_bytes());
        let mut sources = Vec::new();
        let mut digests = Vec::new();
        for (name, value) in used {
            digests.push((name, value.digest()));
            sources.extend(value.files.iter());
        }
        for (name, digest) in &digests {
            parts.extend([name.as_bytes(), digest.as_bytes().as_slice()]);
        }
        Self {
            maker,
            index,
            file,
            body,
            base: Digest::of_parts(parts),
            sources,
        }
    }

    fn output(&self, item: Option<&Item<'_>>) -> Result<Output, Finding> {
        let own = item.map(|item| item.digest.as_bytes().as_slice());
        let parts = std::iter::once(self.base.as_bytes().as_slice()).chain(own);
        let key = Digest::of_parts(parts);
        let known = self.maker.cache.files.get(&key).map(Arc::clone);
        let fresh = known.is_none();
        let made = match known {
            Some(made) => made,
            None => Arc::new(self.make(item)?),
        };
        let inputs = match made.as_ref() {
            Some(_) => self.inputs(item),
            None => Vec::new(),
        };
        Ok(Output {
            key,
            made,
            inputs,
            fresh,
        })
    }

    fn make(&self, item: Option<&Item<'_>>) -> Result<Option<Made>, Finding> {
        let made = match item {
            None => self.made(&self.maker.context),
            Some(item) => {
                let mut context = self.maker.context.clone();
                context.insert_value(item.name.to_owned(), item.value.clone());
                self.made(&context)
            }
        };
        made.map_err(|finding| {
            let message = self.maker.inputs.materials.scrub(&finding.message);
            Finding { message, ..finding }.of(self.maker.folder.name())
        })
    }

    fn inputs(&self, item: Option<&Item<'_>>) -> Vec<String> {
        let folder = self.maker.folder;
        let named = self.file.template.as_ref().or(self.file.source.as_ref());
        let first = named.map_or_else(|| folder.file.clone(), |name| folder.path_of(name));
        let item = item.into_iter().flat_map(|item| item.files);
        let sources = self.sources.iter().copied();
        let mut rest: Vec<&str> = item.chain(sources).map(AsRef::as_ref).collect();
        rest.push(&folder.file);
        rest.sort_unstable();
        rest.dedup();
        let rest: Vec<String> = rest
            .into_iter()
            .filter(|file| *file != first)
            .map(str::to_owned)
            .collect();
        std::iter::once(first).chain(rest).collect()
    }

    fn made(&self, context: &Context) -> Result<Option<Made>, Finding> {
        let engine = self.maker.engine;
        if !engine.holds(&format!("files[{}].when", self.index), context)? {
            return Ok(None);
        }
        let path = engine.render(&format!("files[{}].path", self.index), context)?;
        let path = self.path(&path)?;
        let content: Arc<[u8]> = match (&self.body, &self.file.source) {
            (Some(body), _) => Arc::from(engine.render(body, context)?.into_bytes()),
            (None, Some(source)) => {
                let bytes = self.maker.folder.files.get(source.as_str());
                bytes.cloned().unwrap_or_default()
            }
            (None, None) => Arc::default(),
        };
        self.accept(&path, &content)?;
        let digest = Digest::of(&content);
        Ok(Some(Made {
            path,
            content,
            digest,
        }))
    }

    fn refuse(&self, code: crate::codes::Code, message: String) -> Finding {
        Finding::error(code, message).at(self.maker.folder.place(&self.file.path))
    }

    fn path(&self, text: &str) -> Result<NodePath, Finding> {
        let path: NodePath = text
            .parse()
            .map_err(|error| self.refuse(codes::BAD_COMPONENT_VALUE, format!("{error}")))?;
        let refused = REFUSED.iter().find(|refused| {
            let rest = path.as_str().strip_prefix(**refused);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || rest == "-")
        });
        match refused {
            None => Ok(path),
            Some(refused) => Err(self
                .refuse(
                    codes::PATH_REFUSED,
                    format!("{path} is not Windlass' to write"),
                )
                .hint(format!("no component writes to {refused}"))),
        }
    }

    fn accept(&self, path: &NodePath, content: &[u8]) -> Result<(), Finding> {
        let has = |needle: &str| memmem::find(content, needle.as_bytes()).is_some();
        if self.file.serial != has(SERIAL_TOKEN) {
            let message = if self.file.serial {
                format!("{path} is marked `serial: true` but does not call `soa_serial()`")
            } else {
                format!("{path} calls `soa_serial()` but is not marked `serial: true`")
            };
            return Err(self.refuse(codes::BAD_COMPONENT_VALUE, message));
        }
        if !self.file.secret && has("PRIVATE KEY-----") {
            let message = format!("{path} holds a private key but is not marked `secret: true`");
            return Err(self
                .refuse(codes::SECRET_SHOWN, message)
                .hint("add `secret: true`"));
        }
        Ok(())
    }
}

/// Places that belong to the kernel, to other programs' state or to nobody for long.
const REFUSED: [&str; 14] = [
    "/boot",
    "/dev",
    "/etc/group",
    "/etc/gshadow",
    "/etc/machine-id",
    "/etc/passwd",
    "/etc/shadow",
    "/proc",
    "/run",
    "/sys",
    "/tmp",
    "/var/lib/dpkg",
    "/var/lib/windlass",
    "/var/run",
];

pub(super) fn meta(
    folder: &Folder,
    file: &FileEntry,
    made: &Made,
    inputs: Vec<String>,
) -> FileMeta {
    let mode = if file.secret { "0600" } else { "0644" };
    FileMeta {
        digest: made.digest,
        mode: file
            .mode
            .as_ref()
            .map_or(mode, |mode| mode.as_str())
            .to_owned(),
        owner: file.owner.value.clone(),
        component: folder.name().clone(),
        secret: file.secret,
        serial: file.serial,
        inputs,
    }
}

/// Secrets may only go where nobody sees them.
pub(super) fn exposed(folder: &Folder, engine: &Engine) -> Findings {
    let uses_secrets = |name: &str| engine.uses(name).any(|used| used == "secrets");
    let mut findings = Findings::default();
    for (index, file) in folder.definition.files.iter().enumerate() {
        let in_path = uses_secrets(&format!("files[{index}].path"));
        let in_body = texts::body(index, file).is_some_and(|body| uses_secrets(&body));
        if in_path || (in_body && !file.secret) {
            let message = "this file is made from secrets but is not marked `secret: true`";
            let finding = Finding::error(codes::SECRET_SHOWN, message).at(folder.place(&file.path));
            findings.push(finding.of(folder.name()).hint("add `secret: true`"));
        }
    }
    for (name, at, _) in texts::texts(&folder.definition) {
        if !name.starts_with("files[") && uses_secrets(&name) {
            let message = "commands cannot use secrets: a process list shows them";
            let finding = Finding::error(codes::SECRET_SHOWN, message).at(folder.place(at));
            let hint = "let the command read the secret from a file that the component writes";
            findings.push(finding.of(folder.name()).hint(hint));
        }
    }
    findings
}
