//! A journal under writers that race, crash and meet damaged segments.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use futures_util::stream::{BoxStream, StreamExt};
use object_store::memory::InMemory;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, PutMultipartOptions, PutResult,
};

fn keys() -> JobKeys {
    JobKeys::new("t".parse().unwrap(), "r".parse().unwrap())
}

fn event(number: u64) -> Recorded {
    Recorded { at: Timestamp(number), event: Event::Epoch { epoch: number } }
}

fn numbers(events: &[Recorded]) -> Vec<u64> {
    events.iter().map(|recorded| recorded.at.0).collect()
}

/// A store that stops to work after a number of writes and deletions, as if the process were killed there. With
/// `arrives`, the call that fails has already taken effect: its answer is lost.
#[derive(Debug)]
struct Failing {
    inner: Arc<InMemory>,
    left: AtomicU64,
    arrives: bool,
}

impl Failing {
    fn after(inner: &Arc<InMemory>, calls: u64, arrives: bool) -> Arc<Self> {
        Arc::new(Self { inner: Arc::clone(inner), left: AtomicU64::new(calls), arrives })
    }

    fn dead(&self) -> bool {
        self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_err()
    }

    fn error() -> object_store::Error {
        object_store::Error::Generic { store: "test", source: "killed".into() }
    }
}

impl fmt::Display for Failing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("failing store")
    }
}

#[async_trait::async_trait]
impl ObjectStore for Failing {
    async fn put_opts(&self, key: &Path, body: PutPayload, options: PutOptions) -> object_store::Result<PutResult> {
        let dead = self.dead();
        if dead && !self.arrives {
            return Err(Self::error());
        }
        let result = self.inner.put_opts(key, body, options).await;
        if dead { Err(Self::error()) } else { result }
    }

    async fn put_multipart_opts(
        &self,
        _: &Path,
        _: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        Err(Self::error())
    }

    async fn get_opts(&self, key: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        self.inner.get_opts(key, options).await
    }

    fn delete_stream(
        &self,
        keys: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        if self.dead() {
            return futures_util::stream::once(async { Err(Self::error()) }).boxed();
        }
        self.inner.delete_stream(keys)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> object_store::Result<()> {
        Err(Self::error())
    }
}

#[tokio::test]
async fn what_was_appended_is_read_back_in_order_across_packs() {
    let store = Arc::new(InMemory::new());
    let (mut journal, events) = Journal::open(store.clone(), keys()).await.unwrap();
    assert!(events.is_empty());
    let count = PACK_SEGMENTS * 2 + 10;
    for number in 0..count {
        journal.append(&[event(2 * number), event(2 * number + 1)]).await.unwrap();
    }
    let (reopened, events) = Journal::open(store.clone(), keys()).await.unwrap();
    assert_eq!(numbers(&events), (0..2 * count).collect::<Vec<_>>());
    assert_eq!(reopened.next_segment(), count);
    assert_eq!(reopened.epoch(), 2 * count - 1);
    assert_eq!(read(store.as_ref(), &keys()).await.unwrap(), events);
    let (packs, segments) = list(store.as_ref(), &keys()).await.unwrap();
    assert_eq!((packs.len(), segments.len()), (2, 10));
}

#[tokio::test]
async fn of_two_writers_at_the_same_place_one_is_superseded() {
    let store = Arc::new(InMemory::new());
    let (mut first, _) = Journal::open(store.clone(), keys()).await.unwrap();
    let (mut second, _) = Journal::open(store.clone(), keys()).await.unwrap();
    second.append(&[event(7)]).await.unwrap();
    let error = first.append(&[event(1)]).await.unwrap_err();
    assert!(matches!(error, JournalError::Superseded { epoch: 7, .. }), "{error}");
    let (_, events) = Journal::open(store, keys()).await.unwrap();
    assert_eq!(numbers(&events), [7]);
}

#[tokio::test]
async fn a_new_leader_reads_again_what_an_earlier_one_wrote_at_the_same_time_and_gives_way_to_a_newer_one() {
    let store = Arc::new(InMemory::new());
    let (mut earlier, _) = Journal::open(store.clone(), keys()).await.unwrap();
    earlier.announce(Timestamp(1)).await.unwrap().unwrap();
    let (mut late, _) = Journal::open(store.clone(), keys()).await.unwrap();
    earlier.append(&[Recorded { at: Timestamp(2), event: Event::Suspended }]).await.unwrap();
    assert_eq!(late.announce(Timestamp(3)).await.unwrap(), None);
    let (mut other, _) = Journal::open(store.clone(), keys()).await.unwrap();
    let (mut again, _) = Journal::open(store.clone(), keys()).await.unwrap();
    let announced = again.announce(Timestamp(3)).await.unwrap();
    assert_eq!(announced, Some(Recorded { at: Timestamp(3), event: Event::Epoch { epoch: 2 } }));
    for error in [other.announce(Timestamp(4)).await.unwrap_err(), earlier.append(&[event(1)]).await.unwrap_err()] {
        assert!(matches!(error, JournalError::Superseded { epoch: 2, .. }), "{error}");
    }
    assert_eq!(numbers(&read(store.as_ref(), &keys()).await.unwrap()), [1, 2, 3]);
}

#[tokio::test]
async fn a_writer_that_slept_while_its_place_was_filled_and_packed_is_superseded() {
    let store = Arc::new(InMemory::new());
    let (mut asleep, _) = Journal::open(store.clone(), keys()).await.unwrap();
    asleep.append(&[event(1)]).await.unwrap();
    let (mut newer, _) = Journal::open(store.clone(), keys()).await.unwrap();
    for number in 2..=PACK_SEGMENTS {
        newer.append(&[event(number)]).await.unwrap();
    }
    let before = read(store.as_ref(), &keys()).await.unwrap();
    for _ in 0..2 {
        let error = asleep.append(&[event(1)]).await.unwrap_err();
        assert!(matches!(error, JournalError::Superseded { epoch: PACK_SEGMENTS, .. }), "{error}");
    }
    let (packs, segments) = list(store.as_ref(), &keys()).await.unwrap();
    assert_eq!((packs.len(), segments.len()), (1, 0), "what it wrote is gone again");
    newer.append(&[event(300)]).await.unwrap();
    assert_eq!(read(store.as_ref(), &keys()).await.unwrap().len(), before.len() + 1);
}

#[tokio::test]
async fn an_append_whose_answer_was_lost_counts_as_made() {
    let inner = Arc::new(InMemory::new());
    let (mut journal, _) = Journal::open(Failing::after(&inner, 0, true), keys()).await.unwrap();
    journal.append(&[event(1)]).await.unwrap();
    journal.append(&[event(2)]).await.unwrap();
    assert_eq!(numbers(&read(inner.as_ref(), &keys()).await.unwrap()), [1, 2]);
}

#[tokio::test]
async fn a_crash_at_any_point_of_append_and_merge_loses_no_acknowledged_event() {
    for arrives in [false, true] {
        // 256 puts, the pack, 256 deletions, and into the next round.
        for calls in (0..4).chain(250..262).chain(505..520) {
            let inner = Arc::new(InMemory::new());
            let (mut journal, _) = Journal::open(Failing::after(&inner, calls, arrives), keys()).await.unwrap();
            let mut acknowledged = 0;
            for number in 0..PACK_SEGMENTS + 5 {
                if journal.append(&[event(number)]).await.is_err() {
                    break;
                }
                acknowledged = number + 1;
            }
            drop(journal);
            let (mut journal, events) = Journal::open(inner.clone(), keys()).await.unwrap();
            let found = events.len() as u64;
            assert_eq!(numbers(&events), (0..found).collect::<Vec<_>>(), "after {calls} calls");
            // The append that failed may have arrived; nothing else may.
            assert!(found == acknowledged || found == acknowledged + 1, "{found} of {acknowledged}, {calls} calls");
            for number in found..found + 300 {
                journal.append(&[event(number)]).await.unwrap();
            }
            let (_, events) = Journal::open(inner.clone(), keys()).await.unwrap();
            assert_eq!(numbers(&events), (0..found + 300).collect::<Vec<_>>());
            let (packs, segments) = list(inner.as_ref(), &keys()).await.unwrap();
            let covered = packs.last().map_or(0, |(_, last)| last + 1);
            assert!(segments.iter().all(|seq| *seq >= covered), "leftovers after {calls} calls");
        }
    }
}

#[tokio::test]
async fn a_damaged_segment_is_named_with_its_line() {
    let store = Arc::new(InMemory::new());
    let (mut journal, _) = Journal::open(store.clone(), keys()).await.unwrap();
    journal.append(&[event(0)]).await.unwrap();
    journal.append(&[event(1), event(2)]).await.unwrap();
    let key = keys().journal_object(JournalObject::Segment(1));
    let whole = get(store.as_ref(), &key).await.unwrap();
    for cut in 0..whole.len() {
        store.put(&key, whole.slice(..cut).into()).await.unwrap();
        let error = Journal::open(store.clone(), keys()).await.unwrap_err().to_string();
        assert!(error.starts_with("`t/jobs/r/journal/0000000001` line "), "cut at {cut}: {error}");
    }
    let text = String::from_utf8(whole.to_vec()).unwrap().replacen("\"at\":2", "\"at\":x", 1);
    store.put(&key, text.into()).await.unwrap();
    let error = Journal::open(store.clone(), keys()).await.unwrap_err().to_string();
    assert!(error.starts_with("`t/jobs/r/journal/0000000001` line 3 is damaged: not an event"), "{error}");
}

#[tokio::test]
async fn a_missing_segment_is_an_error() {
    let store = Arc::new(InMemory::new());
    let (mut journal, _) = Journal::open(store.clone(), keys()).await.unwrap();
    for number in 0..3 {
        journal.append(&[event(number)]).await.unwrap();
    }
    store.delete(&keys().journal_object(JournalObject::Segment(1))).await.unwrap();
    let error = Journal::open(store.clone(), keys()).await.unwrap_err();
    assert!(matches!(error, JournalError::Gap { missing: 1, .. }), "{error}");
}

#[tokio::test]
async fn a_directory_serves_as_the_store_and_half_written_files_are_not_seen() {
    let directory = tempfile::tempdir().unwrap();
    let store = crate::directory(directory.path(), false).unwrap();
    let (mut journal, _) = Journal::open(store.clone(), keys()).await.unwrap();
    journal.append(&[event(0)]).await.unwrap();
    // What a kill in the middle of a put leaves behind.
    let folder = directory.path().join("t/jobs/r/journal");
    std::fs::write(folder.join("0000000001#1"), "{\"segm").unwrap();
    let (mut journal, events) = Journal::open(store.clone(), keys()).await.unwrap();
    assert_eq!(numbers(&events), [0]);
    journal.append(&[event(1)]).await.unwrap();
    let (_, events) = Journal::open(store, keys()).await.unwrap();
    assert_eq!(numbers(&events), [0, 1]);
}

#[tokio::test]
async fn events_are_read_again_however_deep_they_are() {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let spec = (0..300).fold(serde_json::Value::Null, |inner, _| serde_json::json!([inner]));
    let deep = Recorded { at: Timestamp(0), event: Event::Accepted { spec } };
    let (mut journal, _) = Journal::open(Arc::clone(&store), keys()).await.unwrap();
    journal.append(std::slice::from_ref(&deep)).await.unwrap();
    let (_, events) = Journal::open(store, keys()).await.unwrap();
    assert_eq!(events, [deep]);
}

#[tokio::test]
async fn a_merge_whose_answer_is_lost_neither_repeats_events_nor_damages_the_journal() {
    for arrives in [true, false] {
        let inner = Arc::new(InMemory::new());
        // Every segment is written, and then the pack fails.
        let store = Failing::after(&inner, PACK_SEGMENTS, arrives);
        let (mut journal, _) = Journal::open(store.clone(), keys()).await.unwrap();
        for number in 0..PACK_SEGMENTS {
            journal.append(&[event(number)]).await.unwrap();
        }
        store.left.store(u64::MAX, Ordering::SeqCst);
        let count = 2 * PACK_SEGMENTS + 1;
        for number in PACK_SEGMENTS..count {
            journal.append(&[event(number)]).await.unwrap();
        }
        let (_, events) = Journal::open(inner.clone(), keys()).await.unwrap();
        assert_eq!(numbers(&events), (0..count).collect::<Vec<_>>(), "{arrives}");
        let (packs, segments) = list(inner.as_ref(), &keys()).await.unwrap();
        assert_eq!((packs.len(), segments.len()), (2, 1), "{arrives}");
    }
}
