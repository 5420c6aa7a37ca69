//! Commands in comments, by people who may merge.

use serde_json::json;
use windlass_core::codes;
use windlass_core::ids::{ClusterName, Digest};

use super::look::{Next, Previewer, Requests};
use super::trouble::of_forge;
use crate::flow::trouble::Trouble;
use crate::ports::forge::{Comment, ForgeRequest, ForgeWriter, Stage};
use crate::queue::{Asked, Event, EventKind};
use crate::store::requests::{self as store, KnownRequest};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Look at it now, whoever wrote it; at this commit, where one is named.
    Preview(Option<String>),
    /// Merged or not: it is not rolled.
    Hold,
    /// It may be rolled after all, as it is shown now.
    Release,
    /// Try what was rolled back once more.
    Retry,
    /// Say what a finding's code means.
    Explain(String),
    /// No command that there is.
    Unknown,
}

impl Command {
    /// What its author typed. Whoever may write can edit what somebody else wrote who may merge; but nothing is rolled by
    /// holding it, and a hold with one more word is meant to hold.
    pub fn typed(comment: &Comment) -> Option<Self> {
        let command = Self::of(&comment.body)?;
        (command == Self::Hold || !comment.is_edited()).then_some(command)
    }

    /// The first line that begins with `windlass`; a quoted one does not.
    fn of(comment: &str) -> Option<Self> {
        let mut lines = comment.lines().map(str::trim);
        let line = lines.find(|line| line.starts_with("windlass "))?;
        let words: Vec<&str> = line.split_whitespace().skip(1).collect();
        Some(match words[..] {
            ["preview"] => Self::Preview(None),
            ["preview", commit] if is_named(commit) => {
                Self::Preview(Some(commit.to_ascii_lowercase()))
            }
            ["hold"] => Self::Hold,
            ["release"] => Self::Release,
            ["retry"] => Self::Retry,
            ["explain", code] => Self::Explain(code.to_owned()),
            _ => Self::Unknown,
        })
    }
}

impl<F: ForgeWriter, P: Previewer> Requests<F, P> {
    /// Carries out what a comment says, if it is for us and of someone who may.
    pub(super) async fn command(
        &self,
        request: &ForgeRequest,
        known: &mut KnownRequest,
        comment: u64,
    ) -> Result<Next, Trouble> {
        if known.answered.contains(&comment) {
            return Ok(Next::Look);
        }
        let found = self.forge.comment(request.number, comment).await;
        let Some(comment) = found.map_err(of_forge)? else {
            return Ok(Next::Look);
        };
        let Some(command) = Command::typed(&comment) else {
            return Ok(Next::Look);
        };
        if comment.author == self.me().await? {
            return Ok(Next::Look);
        }
        let may = self.forge.may_merge(&comment.author, &request.branch).await;
        if !may.map_err(of_forge)? {
            self.decline(known, &comment).await?;
            return Ok(Next::Nothing);
        }
        let next = match command {
            Command::Preview(named) => {
                known.preview = None;
                self.ask(request, known, (&comment, named.as_deref()))
                    .await?;
                Next::Look
            }
            Command::Retry => self.retry(request, comment.id).await?,
            Command::Hold if is_rolled(request, known) => {
                let words = "It was rolled already; there is nothing to hold.";
                self.say(request.number, comment.id, words).await?;
                Next::Nothing
            }
            Command::Hold => {
                known.ruled = Some(comment.id);
                known.held = Some(comment.author.login.clone());
                Next::Look
            }
            Command::Release => {
                known.ruled = Some(comment.id);
                self.release(request, known, comment.id).await?
            }
            Command::Explain(code) => {
                self.say(request.number, comment.id, &explanation(&code))
                    .await?;
                Next::Nothing
            }
            Command::Unknown => {
                let words = "Windlass knows `windlass preview`, `windlass hold`, `windlass release`, `windlass retry` and `windlass explain CODE`.";
                self.say(request.number, comment.id, words).await?;
                Next::Nothing
            }
        };
        self.answered(known, comment.id).await?;
        Ok(next)
    }

    /// A stranger may have pushed since the comment was typed, and nobody wants to have that looked at unseen.
    async fn ask(
        &self,
        request: &ForgeRequest,
        known: &mut KnownRequest,
        (comment, named): (&Comment, Option<&str>),
    ) -> Result<(), Trouble> {
        let withheld = self.policy.withholds(&self.forge, request, known).await?;
        if withheld.is_none() {
            return Ok(());
        }
        let saw = match named {
            Some(named) => request.head.starts_with(named),
            None => self.showed(request, known, comment).await?,
        };
        if saw {
            known.wanted = Some(request.head.clone());
            return Ok(());
        }
        let head = request.head.get(..12).unwrap_or(&request.head);
        let words = format!(
            "Whether `{head}` was meant is not certain: our comment did not show it yet when that was typed. Look at it, and type `windlass preview {head}`."
        );
        self.say(request.number, comment.id, &words).await
    }

    /// Whether our comment showed the head that the request has before this one was written.
    async fn showed(
        &self,
        request: &ForgeRequest,
        known: &KnownRequest,
        comment: &Comment,
    ) -> Result<bool, Trouble> {
        let Some(ours) = known.comment.filter(|_| known.head == request.head) else {
            return Ok(false);
        };
        let ours = self.forge.comment(request.number, ours).await;
        let shown = ours.map_err(of_forge)?.and_then(|ours| ours.edited);
        Ok(shown.is_some_and(|shown| comment.written.is_some_and(|written| shown < written)))
    }

    async fn release(
        &self,
        request: &ForgeRequest,
        known: &mut KnownRequest,
        comment: u64,
    ) -> Result<Next, Trouble> {
        let held = known.held.take();
        if matches!(request.stage, Stage::Merged(_)) {
            // Whoever takes the event finds it held no more, also where the forge cannot be asked.
            self.store.remember_request(&self.cluster, known).await?;
            // What waits stays known, as our comment shows it, until a report is told that says otherwise.
            let event = release(&self.cluster, (request.number, comment), known.waits);
            self.publish(&event).await?;
            return Ok(Next::Nothing);
        }
        if held.is_none() {
            self.say(request.number, comment, "Nothing is held here.")
                .await?;
        }
        Ok(Next::Look)
    }

    async fn retry(&self, request: &ForgeRequest, comment: u64) -> Result<Next, Trouble> {
        let event = retry(&self.cluster, (request.number, comment));
        self.publish(&event).await?;
        Ok(Next::Nothing)
    }

    /// Before the command is written down as answered: a crash in between repeats it, and the queue knows the event by its id.
    async fn publish(&self, event: &Event) -> Result<(), Trouble> {
        let published = self.queue.publish(event).await;
        published.map_err(|error| Trouble::Later(error.to_string()))
    }
}

/// As Git shortens commits.
fn is_named(commit: &str) -> bool {
    (7..=64).contains(&commit.len()) && commit.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn is_rolled(request: &ForgeRequest, known: &KnownRequest) -> bool {
    matches!(request.stage, Stage::Merged(_)) && known.stage == store::Stage::Over
}

/// The branch is looked at again; what waited for this word may be rolled.
fn release(cluster: &ClusterName, asked: (u64, u64), waits: Option<Digest>) -> Event {
    // Of all that hear it, one that does not know what waits may not silence one that does. Which bundle it is does not count:
    // heard once more, the same comment must not release what was shown only later.
    let word = waits.map_or("moved", |_| "release");
    let id = id(cluster, asked, word);
    let event = Event::new(EventKind::Moved, "/forge", cluster, id);
    match waits {
        Some(bundle) => event.with(json!(Asked::Release(bundle))),
        None => event,
    }
}

/// As `windlass retry` says it.
fn retry(cluster: &ClusterName, asked: (u64, u64)) -> Event {
    let id = id(cluster, asked, "retry");
    Event::new(EventKind::Asked, "/forge", cluster, id).with(json!(Asked::Retry))
}

/// The same for all that hear of the comment, however often.
fn id(cluster: &ClusterName, (request, comment): (u64, u64), word: &str) -> String {
    format!("{cluster}-{request}-{word}-{comment}")
}

/// Of the code nothing is repeated but what is ours.
fn explanation(code: &str) -> String {
    match codes::explain(code) {
        Some(found) => {
            let code = found.code;
            let entry = codes::Entry::from(found);
            format!("**{code}: {}**\n\n{}", entry.title, entry.text)
        }
        None => "There is no finding with that code.".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_a_line_of_its_own() {
        let of = |text: &str| Command::of(text);
        assert_eq!(
            of("Fine.\r\n  windlass   preview\r\nthanks"),
            Some(Command::Preview(None))
        );
        assert_eq!(
            of("windlass preview 0123ABCdef"),
            Some(Command::Preview(Some("0123abcdef".to_owned())))
        );
        assert_eq!(of("windlass preview main"), Some(Command::Unknown));
        assert_eq!(of("windlass retry"), Some(Command::Retry));
        assert_eq!(of("No.\nwindlass hold"), Some(Command::Hold));
        assert_eq!(of("windlass release\nThanks"), Some(Command::Release));
        assert_eq!(
            of("windlass explain WL101"),
            Some(Command::Explain("WL101".to_owned()))
        );
        assert_eq!(of("windlass retry everything"), Some(Command::Unknown));
        for none in [
            "> windlass retry",
            "I said windlass retry",
            "windlass",
            "`windlass retry`",
            "",
        ] {
            assert_eq!(of(none), None, "{none}");
        }
    }

    #[test]
    fn an_explanation_repeats_nothing_that_was_asked() {
        assert!(explanation("wl601").starts_with("**WL601: "));
        assert!(!explanation("@everyone").contains('@'));
    }
}
