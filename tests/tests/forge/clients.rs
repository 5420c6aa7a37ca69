//! The worker's clients against each fake.

use std::time::Duration;

use serde_json::{Value, json};
use windlass::forge::{AnyForge, Kind, Place};
use windlass::ports::forge::{Account, ForgeError, ForgeReader as _, ForgeWriter as _, Stage};
use windlass_core::preview::{State, Status};
use windlass_tests::forge::{Fake, Flavour, Weather};

fn client(fake: &Fake) -> AnyForge {
    let kind = match fake.flavour {
        Flavour::GitHub => Kind::GitHub,
        Flavour::Gitea => Kind::Gitea,
        Flavour::Forgejo => Kind::Forgejo,
        Flavour::GitLab => Kind::GitLab,
    };
    AnyForge::new(&Place {
        kind,
        address: fake.address(),
        project: "ops/cluster".to_owned(),
        token: fake.token_file(),
        authorities: Some(std::fs::read(fake.ca_file()).unwrap()),
    })
    .unwrap()
}

/// With a repository of one commit, and a request of alice's.
fn with_request(flavour: Flavour) -> (Fake, AnyForge, String) {
    let fake = Fake::start(flavour);
    fake.push_main(&[("a", "1")]);
    let head = fake.open(12, "alice", &[("a", "2")]);
    let client = client(&fake);
    (fake, client, head)
}

fn status(state: State) -> Status {
    Status {
        state,
        description: "merging would change 2 of 3 nodes".to_owned(),
        context: "windlass/example".to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_read_alike_from_every_forge() {
    for flavour in Flavour::ALL {
        let (fake, client, head) = with_request(flavour);
        assert_eq!(client.whoami().await.unwrap().login, "windlass-bot");
        let listed = client.open_requests("main").await.unwrap();
        assert_eq!((listed.len(), listed[0].number), (1, 12), "{flavour:?}");
        assert_eq!(listed[0].head, head);
        assert!(client.open_requests("dev").await.unwrap().is_empty());
        let request = client.request(12).await.unwrap().unwrap();
        assert_eq!(
            (request.branch.as_str(), request.stage),
            ("main", Stage::Open)
        );
        assert_eq!(
            (request.author.login.as_str(), request.foreign),
            ("alice", false)
        );
        assert_eq!(client.request(13).await.unwrap(), None);
        fake.open(13, "mallory", &[("a", "3")]);
        let strange = client.request(13).await.unwrap().unwrap();
        assert!(strange.foreign, "{flavour:?}");
        for (account, may) in [(request.author, true), (strange.author, false)] {
            assert_eq!(
                client.may_merge(&account, "main").await.unwrap(),
                may,
                "{flavour:?}"
            );
        }
        let nobody = Account {
            id: 404,
            login: "nobody".to_owned(),
        };
        assert!(!client.may_merge(&nobody, "main").await.unwrap());
        let commit = fake.merge(12);
        let merged = client.request(12).await.unwrap().unwrap();
        assert_eq!(merged.stage, Stage::Merged(Some(commit)), "{flavour:?}");
        fake.state().requests.get_mut(&13).unwrap().open = false;
        let listed = client.merged_requests("main").await.unwrap();
        assert_eq!(listed, [merged], "not the one that was closed: {flavour:?}");
        assert!(client.merged_requests("dev").await.unwrap().is_empty());
        fake.state().sees = false;
        assert!(matches!(
            client.open_requests("main").await,
            Err(ForgeError::Denied(_))
        ));
        assert_eq!(client.request(12).await.unwrap(), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn comments_are_written_edited_and_found_on_any_page() {
    for flavour in Flavour::ALL {
        let (fake, client, head) = with_request(flavour);
        for n in 0..150 {
            fake.state().comment(12, "mallory", &format!("comment {n}"));
        }
        let id = client.write_comment(12, "first").await.unwrap();
        for n in 150..300 {
            fake.state().comment(12, "mallory", &format!("comment {n}"));
        }
        let all = client.comments(12).await.unwrap();
        assert_eq!(all.len(), 301, "{flavour:?}");
        assert_eq!(
            (all[150].id, all[150].author.login.as_str()),
            (id, "windlass-bot")
        );
        assert_eq!(
            client.edit_comment(12, id, "second").await.unwrap(),
            Some(())
        );
        let read = client.comment(12, id).await.unwrap().unwrap();
        assert_eq!(read.body, "second");
        fake.open(13, "alice", &[("b", "1")]);
        assert_eq!(
            client.comment(13, id).await.unwrap(),
            None,
            "another request's: {flavour:?}"
        );
        assert_eq!(client.delete_comment(12, id).await.unwrap(), Some(()));
        assert_eq!(client.delete_comment(12, id).await.unwrap(), None);
        let theirs = fake.state().comments[0].id;
        let denied = client.delete_comment(12, theirs).await;
        assert!(denied.is_err(), "{flavour:?}");
        assert_eq!(client.edit_comment(12, id, "third").await.unwrap(), None);
        assert_eq!(client.comment(12, id).await.unwrap(), None);
        let set = async |state, words: &str| {
            let status = Status {
                description: words.to_owned(),
                ..status(state)
            };
            client.set_status(&head, &status, None).await.unwrap();
            let told = fake.state().status(&head).unwrap().clone();
            (told.state, told.description)
        };
        for (state, word) in [
            (State::Pending, "pending"),
            (State::Success, "success"),
            (State::Failure, "failure"),
        ] {
            for words in ["checking", "held by alice"] {
                // The new words are there although the state stays.
                let expected = (word.to_owned(), words.to_owned());
                assert_eq!(set(state, words).await, expected, "{flavour:?}");
            }
        }
    }
}

/// Gitea numbers them below zero, GitHub says nothing of who is gone.
#[tokio::test(flavor = "multi_thread")]
async fn accounts_that_are_nobodys_hold_up_nobody() {
    for flavour in [Flavour::GitHub, Flavour::Gitea, Flavour::Forgejo] {
        let (fake, client, _) = with_request(flavour);
        fake.open(13, "ghost", &[("b", "1")]);
        let request = client.request(13).await.unwrap().unwrap();
        assert!(!client.may_merge(&request.author, "main").await.unwrap());
        assert_eq!(client.open_requests("main").await.unwrap().len(), 2);
        for author in ["ghost", "gitea-actions", "alice"] {
            fake.state().comment(12, author, "windlass retry");
        }
        let all = client.comments(12).await.unwrap();
        assert_eq!(all.len(), 3, "{flavour:?}");
        for (comment, may) in all.iter().zip([false, false, true]) {
            let author = &comment.author;
            let answer = client.may_merge(author, "main").await.unwrap();
            assert_eq!(answer, may, "{flavour:?}: {author:?}");
            let read = client.comment(12, comment.id).await.unwrap();
            assert_eq!(read.as_ref(), Some(comment), "{flavour:?}");
        }
    }
}

/// Whether each of these may merge into `main`.
async fn may(client: &AnyForge, fake: &Fake) -> [bool; 3] {
    let mut may = [false; 3];
    for (may, login) in may.iter_mut().zip(["alice", "dora", "mallory"]) {
        let account = Account {
            id: fake.state().accounts[login].id,
            login: login.to_owned(),
        };
        *may = client.may_merge(&account, "main").await.unwrap();
    }
    may
}

/// alice maintains, dora writes, mallory reads.
#[tokio::test(flavor = "multi_thread")]
async fn who_may_merge_is_what_the_branchs_protection_says_at_gitlab() {
    let (fake, client, _) = with_request(Flavour::GitLab);
    let role = |level: u64| json!({ "access_level": level, "user_id": null, "group_id": null });
    let rule =
        |name: &str, levels: &[Value]| json!({ "name": name, "merge_access_levels": levels });
    let user = json!({ "access_level": 40, "user_id": 33, "group_id": null });
    let group = json!({ "access_level": 40, "user_id": null, "group_id": 7 });
    fake.state()
        .teams
        .insert(7, ("ops".to_owned(), vec!["dora".to_owned()]));
    let cases = [
        (vec![rule("main", &[role(40)])], [true, false, false]),
        (vec![], [true, true, false]),
        (vec![rule("dev", &[role(40)])], [true, true, false]),
        (vec![rule("ma*", &[role(40)])], [true, false, false]),
        (vec![rule("main", &[role(0)])], [false, false, false]),
        (vec![rule("main", &[])], [false, false, false]),
        (vec![rule("main", &[role(0), user])], [false, true, false]),
        (vec![rule("main", &[group])], [false, true, false]),
        // Where several match, the one that lets more through counts.
        (
            vec![rule("main", &[role(0)]), rule("*", &[role(30)])],
            [true, true, false],
        ),
    ];
    for (protection, expected) in cases {
        fake.state().protection.clone_from(&protection);
        assert_eq!(may(&client, &fake).await, expected, "{protection:?}");
    }
    fake.state().shows = false;
    assert_eq!(may(&client, &fake).await, [true, false, false]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_merge_is_what_the_branchs_protection_says_at_github() {
    let (fake, client, _) = with_request(Flavour::GitHub);
    assert_eq!(may(&client, &fake).await, [true, true, false]);
    let team = ("ops".to_owned(), vec!["dora".to_owned()]);
    fake.state().teams.insert(7, team);
    let users = json!({ "users": [{ "login": "Alice", "id": 11 }], "teams": [], "apps": [] });
    let teams = json!({ "users": [], "teams": [{ "slug": "ops", "id": 7 }], "apps": [] });
    for (protection, expected) in [(users, [true, false, false]), (teams, [false, true, false])] {
        fake.state().protection = vec![protection];
        assert_eq!(may(&client, &fake).await, expected);
    }
    // Administrators may always push there.
    fake.state().accounts.get_mut("alice").unwrap().level = 50;
    assert_eq!(may(&client, &fake).await, [true, true, false]);
    fake.state().rules = vec![json!({ "type": "update", "ruleset_id": 1 })];
    assert_eq!(may(&client, &fake).await, [true, false, false]);
    // What the token may not read does not count.
    fake.state().rules.clear();
    fake.state().shows = false;
    assert_eq!(may(&client, &fake).await, [true, true, false]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_merge_is_what_the_branchs_protection_says_at_gitea_and_forgejo() {
    for flavour in [Flavour::Gitea, Flavour::Forgejo] {
        let (fake, client, _) = with_request(flavour);
        assert_eq!(may(&client, &fake).await, [true, true, false]);
        let team = ("ops".to_owned(), vec!["dora".to_owned()]);
        fake.state().teams.insert(7, team);
        let rule = |listed: bool, users: &[&str], teams: &[&str]| {
            json!({
                "rule_name": "ma*", "enable_merge_whitelist": listed,
                "merge_whitelist_usernames": users, "merge_whitelist_teams": teams,
            })
        };
        for (rule, expected) in [
            (rule(false, &[], &[]), [true, true, false]),
            (rule(true, &["alice", "mallory"], &[]), [true, false, false]),
            (rule(true, &[], &["ops"]), [false, true, false]),
            (rule(true, &[], &[]), [false, false, false]),
        ] {
            fake.state().protection = vec![rule.clone()];
            assert_eq!(may(&client, &fake).await, expected, "{flavour:?} {rule}");
        }
        fake.state().shows = false;
        assert_eq!(may(&client, &fake).await, [true, true, false]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_did_not_change_is_not_sent_again() {
    for flavour in Flavour::ALL {
        let (fake, client, _) = with_request(flavour);
        for _ in 0..3 {
            assert_eq!(client.open_requests("main").await.unwrap().len(), 1);
        }
        let asked = fake.state().asked.clone();
        let unchanged = asked.iter().filter(|it| it.ends_with(" 304")).count();
        assert_eq!((asked.len(), unchanged), (3, 2), "{flavour:?} {asked:?}");
        let head = fake.push(12, &[("a", "4")]);
        assert_eq!(client.open_requests("main").await.unwrap()[0].head, head);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_weather_is_waited_out_and_no_comment_is_written_twice() {
    for flavour in Flavour::ALL {
        let (fake, client, _) = with_request(flavour);
        let weather = [
            Weather::Broken,
            Weather::Busy(1),
            Weather::Slow(Duration::from_millis(50)),
        ];
        fake.state().weather = weather.into();
        assert!(client.request(12).await.unwrap().is_some(), "{flavour:?}");
        fake.state().weather = [Weather::CutOff].into();
        assert!(client.request(12).await.unwrap().is_some(), "{flavour:?}");
        let before = fake.state().asked("POST", "");
        fake.state().weather = [Weather::Broken].into();
        let written = client.write_comment(12, "once").await;
        assert!(
            matches!(written, Err(ForgeError::Away { .. })),
            "{flavour:?}"
        );
        assert_eq!(fake.state().asked("POST", "") - before, 1);
        // Whoever wants us back in an hour is not waited for here.
        fake.state().weather = [Weather::Busy(3600)].into();
        let busy = client.request(12).await.unwrap_err();
        let hour = Some(Duration::from_secs(3600));
        assert!(
            matches!(busy, ForgeError::Away { again, .. } if again == hour),
            "{busy}"
        );
    }
}

/// Taken for a word about rights, it would turn people away, or let in whom the branch's protection keeps out.
#[tokio::test(flavor = "multi_thread")]
async fn a_burst_at_github_is_no_word_about_rights() {
    let (fake, client, _) = with_request(Flavour::GitHub);
    let clear = Weather::Slow(Duration::ZERO);
    let dora = Account {
        id: 33,
        login: "dora".to_owned(),
    };
    fake.state().protection = vec![json!({ "users": [{ "login": "alice" }], "teams": [] })];
    assert!(!client.may_merge(&dora, "main").await.unwrap());
    for before in 0..3 {
        let mut weather = vec![clear.clone(); before];
        weather.push(Weather::Burst);
        fake.state().weather = weather.into();
        let asked = client.may_merge(&dora, "main").await;
        let minute = Some(Duration::from_secs(60));
        assert!(
            matches!(&asked, Err(ForgeError::Away { again, .. }) if *again == minute),
            "{before}: {asked:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_expires_is_told_without_it_and_its_successor_is_used() {
    for flavour in Flavour::ALL {
        let (fake, client, _) = with_request(flavour);
        fake.state().expired = true;
        let error = client.request(12).await.unwrap_err();
        assert!(matches!(error, ForgeError::Denied(_)), "{error}");
        let words = format!("{error} {error:?} {client:?}");
        assert!(
            words.contains("expired") && !words.contains("glpat"),
            "{words}"
        );
        std::fs::write(fake.token_file(), "the-next-one").unwrap();
        {
            let mut state = fake.state();
            (state.token, state.expired) = ("the-next-one".to_owned(), false);
        }
        assert!(client.request(12).await.unwrap().is_some());
        std::fs::remove_file(fake.token_file()).unwrap();
        let error = client.request(12).await.unwrap_err();
        assert!(error.to_string().contains("cannot read"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_made_once_and_brought_up_to_date() {
    for flavour in Flavour::ALL {
        let (fake, client, _) = with_request(flavour);
        let url = "https://windlass.example.org/hooks/x";
        client
            .set_hook(None, url, "a secret of theirs")
            .await
            .unwrap();
        let hooks = client.hooks().await.unwrap();
        assert_eq!(
            (hooks.len(), hooks[0].url.as_str()),
            (1, url),
            "{flavour:?}"
        );
        client
            .set_hook(Some(hooks[0].id), url, "another secret")
            .await
            .unwrap();
        let told = fake.state().hooks[0].to_string();
        assert!(told.contains("another secret"), "{told}");
        assert_eq!(client.hooks().await.unwrap().len(), 1);
    }
}
