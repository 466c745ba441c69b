//! With the clock stopped: every second below is exact.

use k8s_openapi::api::coordination::v1::Lease;
use tokio::task::JoinHandle;

use super::*;
use crate::testing::{FakeApi, Fault, Link, Network};

fn candidate(link: &Link, identity: &str) -> Candidate {
    Candidate::new(link.client(), "weir", "weir-operator", identity, Timing::default())
}

fn holder(api: &FakeApi) -> Option<String> {
    api.get::<Lease>("weir", "weir-operator")?.spec?.holder_identity
}

/// Leads until it loses the lease; says when it began and when it ended, in seconds since `start`.
fn lead(candidate: Candidate, start: Instant) -> JoinHandle<(f32, f32, Lost)> {
    tokio::spawn(async move {
        let mut held = candidate.acquire().await;
        let began = start.elapsed();
        let lost = held.keep().await;
        (began.as_secs_f32(), start.elapsed().as_secs_f32(), lost)
    })
}

#[tokio::test(start_paused = true)]
async fn one_leads_and_renews_every_two_seconds() {
    let api = FakeApi::new();
    let start = Instant::now();
    let first = lead(candidate(&api.link(), "a"), start);
    let second = lead(candidate(&api.link(), "b"), start);
    sleep(Duration::from_mins(10)).await;
    assert!(!first.is_finished() && !second.is_finished());
    assert_eq!(holder(&api).as_deref(), Some("a"));
    assert_eq!(api.count("update", "leases"), 299);
    first.abort();
    second.abort();
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_dies_is_followed_after_the_duration() {
    let api = FakeApi::new();
    let held = candidate(&api.link(), "a").acquire().await;
    let start = Instant::now();
    drop(held);
    candidate(&api.link(), "b").acquire().await;
    let waited = start.elapsed().as_secs_f32();
    assert!((15.0..=17.1).contains(&waited), "{waited}");
    let spec = api.get::<Lease>("weir", "weir-operator").unwrap().spec.unwrap();
    assert_eq!((spec.holder_identity.as_deref(), spec.lease_transitions), (Some("b"), Some(1)));
}

#[tokio::test(start_paused = true)]
async fn a_released_lease_is_taken_at_the_next_look() {
    let api = FakeApi::new();
    let held = candidate(&api.link(), "a").acquire().await;
    let second = tokio::spawn(async move {
        let candidate = candidate(&api.link(), "b");
        candidate.acquire().await;
        Instant::now()
    });
    sleep(Duration::from_secs(5)).await;
    held.release().await;
    let released = Instant::now();
    let took = second.await.unwrap() - released;
    assert!(took <= Timing::default().retry, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_partitioned_leader_stops_before_another_one_starts() {
    for network in [Network::Silent, Network::Refused] {
        let api = FakeApi::new();
        let start = Instant::now();
        let link = api.link();
        let first = lead(candidate(&link, "a"), start);
        api.until(holder).await;
        let second = lead(candidate(&api.link(), "b"), start);
        sleep(Duration::from_millis(31_100)).await;
        link.cut(network);
        let (_, stopped, lost) = first.await.unwrap();
        assert!(matches!(lost, Lost::Expired { .. }), "{lost}");
        assert!((38.0..=41.0).contains(&stopped), "{stopped}");
        api.until(|api| holder(api).filter(|holder| holder == "b")).await;
        let followed = start.elapsed().as_secs_f32();
        assert!(followed - stopped >= 4.0 && followed < 50.0, "{stopped} {followed}");
        // What the old leader sent and nobody heard arrives now: too late.
        link.mend();
        sleep(Duration::from_mins(1)).await;
        assert!(!second.is_finished());
        assert_eq!(holder(&api).as_deref(), Some("b"));
        second.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn wall_clocks_do_not_matter() {
    for far in [-100_000_i64, 100_000] {
        let api = FakeApi::new();
        let mut held = candidate(&api.link(), "a").acquire().await;
        let second = lead(candidate(&api.link(), "b"), Instant::now());
        for _ in 0..30 {
            // The leader's clock is far off.
            api.edit::<Lease>("weir", "weir-operator", |lease| {
                let time = Timestamp::now() + jiff::SignedDuration::from_secs(far);
                lease.spec.as_mut().unwrap().renew_time = Some(MicroTime(time));
            });
            let kept = timeout(Duration::from_secs(2), held.keep()).await;
            assert!(kept.is_err(), "{kept:?}");
        }
        assert_eq!(holder(&api).as_deref(), Some("a"));
        second.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn troubles_shorter_than_the_deadline_are_survived() {
    let api = FakeApi::new();
    let link = api.link();
    let leader = lead(candidate(&link, "a"), Instant::now());
    api.until(holder).await;
    for network in [Network::Refused, Network::Silent] {
        link.cut(network);
        sleep(Duration::from_secs(7)).await;
        link.mend();
        sleep(Duration::from_secs(10)).await;
    }
    api.fail(Fault::on("update", "leases").with(500, "InternalError", "etcd is away").times(3));
    sleep(Duration::from_secs(20)).await;
    // Done, but the leader does not know: it meets its own write.
    api.fail(Fault::on("update", "leases").losing_the_answer());
    sleep(Duration::from_secs(20)).await;
    assert!(!leader.is_finished());
    leader.abort();
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_was_taken_or_deleted_is_lost() {
    let api = FakeApi::new();
    let mut held = candidate(&api.link(), "a").acquire().await;
    api.edit::<Lease>("weir", "weir-operator", |lease| {
        lease.spec.as_mut().unwrap().holder_identity = Some("somebody".to_owned());
    });
    assert_eq!(held.keep().await.to_string(), "the lease `weir-operator` was taken by somebody");
    api.remove::<Lease>("weir", "weir-operator");
    let mut held = candidate(&api.link(), "a").acquire().await;
    api.remove::<Lease>("weir", "weir-operator");
    assert!(matches!(held.keep().await, Lost::Deleted { .. }));
}

#[tokio::test(start_paused = true)]
async fn only_one_of_many_that_start_together_leads() {
    let api = FakeApi::new();
    let start = Instant::now();
    let all: Vec<_> = (0..5).map(|n| lead(candidate(&api.link(), &n.to_string()), start)).collect();
    api.until(holder).await;
    let leader = holder(&api);
    sleep(Duration::from_mins(2)).await;
    assert_eq!(holder(&api), leader);
    assert_eq!(api.get::<Lease>("weir", "weir-operator").unwrap().spec.unwrap().lease_transitions, Some(0));
    all.iter().for_each(JoinHandle::abort);
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_to_the_first_claim_does_not_lock_its_author_out() {
    let api = FakeApi::new();
    api.fail(Fault::on("create", "leases").losing_the_answer());
    let start = Instant::now();
    candidate(&api.link(), "a").acquire().await;
    assert!(start.elapsed() <= Duration::from_secs(2));
}
