//! Authorities that are slow: one that takes connections and never answers, one that falls silent in the middle of an
//! order, one that takes its time. A silence ends, is told, and is waited out with the same order.

use std::time::Duration;

use jiff::Timestamp;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use windlass_core::acme::{Failure, Step, Wanted, due};
use windlass_core::yaml::At;

use super::authority::begun;
use super::world::World;
use crate::acme::Ran;

/// What becomes of an authority's answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answers {
    /// They come after this.
    After(Duration),
    Never,
}

/// pebble behind a line that can be slowed down.
struct Line {
    directory: String,
    answers: watch::Sender<Answers>,
}

impl Line {
    async fn to(world: &World, answers: Answers) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let directory = format!("https://{}/dir", listener.local_addr().unwrap());
        let (sender, receiver) = watch::channel(answers);
        let port = world.pebble.port;
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(relay(client, port, receiver.clone()));
            }
        });
        Self {
            directory,
            answers: sender,
        }
    }

    fn wanted(&self, world: &World) -> Wanted {
        let mut wanted = world.wanted("blog", &["blog.example.org"]);
        wanted.authorities[0].directory = At::nowhere(self.directory.clone());
        wanted
    }

    fn becomes(&self, answers: Answers) {
        self.answers.send_replace(answers);
    }
}

async fn relay(client: TcpStream, port: u16, answers: watch::Receiver<Answers>) {
    let server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let (mut asking, mut answered) = client.into_split();
    let (mut said, mut asked) = server.into_split();
    tokio::spawn(async move { tokio::io::copy(&mut asking, &mut asked).await });
    let mut buffer = [0; 16 * 1024];
    while let Ok(length @ 1..) = said.read(&mut buffer).await {
        let now = *answers.borrow();
        match now {
            Answers::After(pause) => tokio::time::sleep(pause).await,
            // Whoever waits for it waits until it gives up.
            Answers::Never => std::future::pending().await,
        }
        if answered.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}

const AT_ONCE: Answers = Answers::After(Duration::ZERO);

/// It was given up, which is told in words.
#[track_caller]
fn silent(ran: Ran) {
    let Ran::Failed { failure, why } = ran else {
        panic!("{ran:?}")
    };
    assert_eq!(failure, Failure::Unreachable, "{why}");
    assert!(why.contains("no answer within 30 s"), "{why}");
}

#[tokio::test]
async fn one_that_never_answers_is_given_up_told_and_asked_later() {
    let world = World::new().await;
    let line = Line::to(&world, Answers::Never).await;
    let wanted = line.wanted(&world);
    silent(world.run(&wanted).await);
    assert_eq!(world.pebble.orders(), 0);

    let known = world.orderer().ledger.known(&wanted).await.unwrap();
    let now = Timestamp::now();
    let next = due(&wanted, &known, now).unwrap();
    assert!(next.put_off && next.at > now, "{next:?}");

    line.becomes(AT_ONCE);
    World::issued(world.run(&wanted).await);
    assert_eq!(world.count("acme_order").await, 1, "resumed, not repeated");
}

/// Comes to this step, finds silence, and goes on when it is over.
async fn silent_at(step: Step) {
    let world = World::new().await;
    let line = Line::to(&world, AT_ONCE).await;
    let wanted = line.wanted(&world);
    let orderer = world.orderer();
    let mut open = orderer.ledger.begin(begun(&wanted)).await.unwrap();
    let mut session = None;
    while open.order.next() != step {
        let ran = orderer
            .advance(&mut open, &mut session, &wanted, &world.access())
            .await;
        assert_eq!(ran.unwrap(), None, "before {step:?}");
    }
    line.becomes(Answers::Never);
    let ran = orderer
        .advance(&mut open, &mut session, &wanted, &world.access())
        .await;
    silent(ran.unwrap().unwrap());
    line.becomes(AT_ONCE);
    World::issued(world.run(&wanted).await);
    assert_eq!(world.count("acme_order").await, 1, "{step:?}");
    assert_eq!(world.pebble.orders(), 1, "{step:?}");
}

#[tokio::test]
async fn one_that_falls_silent_in_the_middle_finds_the_same_order_again() {
    tokio::join!(
        silent_at(Step::Publish),
        silent_at(Step::Prove),
        silent_at(Step::Finalize),
        silent_at(Step::Download),
    );
}

#[tokio::test]
async fn one_that_takes_its_time_is_waited_for() {
    let world = World::new().await;
    let line = Line::to(&world, Answers::After(Duration::from_millis(700))).await;
    World::issued(world.run(&line.wanted(&world)).await);
    assert_eq!(world.pebble.orders(), 1);
}
