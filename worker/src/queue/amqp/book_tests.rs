use windlass_core::ids::ClusterName;

use super::*;
use crate::queue::EventKind;

fn event(id: &str) -> Event {
    let cluster: ClusterName = "example".parse().unwrap();
    Event::new(EventKind::Moved, "/test", &cluster, id)
}

#[tokio::test]
async fn many_at_once_are_entered_each_once() {
    let dir = tempfile::tempdir().unwrap();
    let book = Book::new(Store::open(&dir.path().join("w.db")).unwrap());
    let mut entering = tokio::task::JoinSet::new();
    for n in 0..60 {
        let book = book.clone();
        // Every id three times.
        entering.spawn(async move { book.enter(&event(&(n % 20).to_string())).await.unwrap() });
    }
    let answers = entering.join_all().await;
    let new = answers.iter().filter(|each| **each == Published::New);
    assert_eq!((new.count(), answers.len()), (20, 60));
    assert_eq!(book.waiting(100, Vec::new()).await.unwrap().len(), 20);
}

#[tokio::test]
async fn what_waits_is_listed_before_what_was_sent_since_and_full_places_are_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let book = Book::new(Store::open(&dir.path().join("w.db")).unwrap());
    let mut other = event("other");
    other.subject = "other".parse().unwrap();
    book.enter(&other).await.unwrap();
    for n in 0..10 {
        book.enter(&event(&n.to_string())).await.unwrap();
    }
    let waiting = book.waiting(100, Vec::new()).await.unwrap();
    let full = waiting[1].place.clone();
    let free = book.waiting(1, vec![full.clone()]).await.unwrap();
    assert_eq!((free.len(), free[0].id.as_str()), (1, "other"));
    assert_eq!(book.oldest_of(&full).await.unwrap().unwrap().id, "0");
    let sent = waiting[2..].iter().map(|row| row.seq).collect();
    book.sent(sent).await.unwrap();
    book.done(&event("9"), &[]).await.unwrap();
    let listed = book.list(3).await.unwrap();
    let ids: Vec<&str> = listed.iter().map(Queued::id).collect();
    assert_eq!(ids, ["0", "other", "8"]);
}

#[tokio::test]
async fn what_cannot_be_written_is_told_to_all_who_wait() {
    let dir = tempfile::tempdir().unwrap();
    let book = Book::new(Store::open(&dir.path().join("w.db")).unwrap());
    let full = book.call(|connection| connection.execute_batch("PRAGMA query_only = on"));
    full.await.unwrap();
    let (one, two) = (event("1"), event("2"));
    let (one, two) = tokio::join!(book.enter(&one), book.enter(&two));
    assert!(one.is_err() && two.is_err(), "{one:?} {two:?}");
}
