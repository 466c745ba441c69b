//! Whose a run is: copies, other namespaces and other tenants do it no harm.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::ResourceExt as _;
use serde_json::json;
use tokio::sync::{Semaphore, oneshot};
use weir_api::Phase;
use weir_api::agent::{Claim, ClaimAnswer, Claimant};
use weir_api::kubernetes::ProcessJob;
use weir_api::kubernetes::names::{INCARNATION, RUN};

use super::world::{NAME, NAMESPACE, Script, World};
use crate::controller::tidy;
use crate::registry::{AgentCall, Message};
use crate::testing::FakeApi;

#[tokio::test]
async fn a_copy_of_an_object_with_its_annotation_harms_neither_the_run_nor_its_journal_i11() {
    let (world, leader) = World::with_a_tool_that_runs().await;
    leader.abort();
    let _ = leader.await;
    // Listed before the original.
    let mut copy: ProcessJob = world.api.get(NAMESPACE, NAME).unwrap();
    (copy.metadata.name, copy.metadata.uid, copy.status) = (Some("a-copy".to_owned()), None, None);
    world.api.insert(&copy);
    let _leader = world.lead();
    let copied = |api: &FakeApi| api.get::<ProcessJob>(NAMESPACE, "a-copy")?.status;
    let status = world.api.until(|api| copied(api).filter(|status| status.phase.is_some())).await;
    assert_eq!(World::condition(&status, "Accepted"), Some(("False".into(), "SpecInvalid".into())));
    world.api.remove::<ProcessJob>(NAMESPACE, "a-copy");
    world.script.send_replace(Script::Ends(0));
    assert_eq!(world.over().await.phase, Some(Phase::Successful));
    world.check_claims().await;
    assert_eq!(world.orders.lock().unwrap().len(), 2, "no step ran twice");
}

#[tokio::test]
async fn a_pod_of_another_namespace_gets_no_order_i9() {
    let world = World::new();
    world.agents.abort();
    world.submit(&json!({}));
    let leader = world.lead();
    let mut pod = world.api.until(|api| api.list::<Pod>("").pop()).await;
    leader.abort();
    let _ = leader.await;
    world.api.kubelet().remove(NAMESPACE, &pod.name_any());
    let own = pod.uid();
    (pod.metadata.namespace, pod.metadata.uid) = (Some("evil".to_owned()), None);
    world.api.insert(&pod);
    let evil = world.api.get::<Pod>("evil", &pod.name_any()).unwrap().uid().unwrap();
    assert_ne!(own.as_ref(), Some(&evil));
    let _leader = world.lead();
    let run = pod.labels()[RUN].clone();
    let claim = Claim {
        claimant: Claimant {
            run_id: run.clone(),
            incarnation: pod.labels()[INCARNATION].parse().unwrap(),
            pod_uid: evil,
        },
    };
    // Whatever its namespace, it asks the right actor.
    let answer = loop {
        if let Some(mailbox) = world.registry.find(NAMESPACE, &run) {
            let (reply, answer) = oneshot::channel();
            // Of the first leader's actor only the address is left.
            if mailbox.send(Message::Agent(AgentCall::Claim(claim.clone(), reply))).await.is_ok()
                && let Ok(answer) = answer.await
            {
                break answer;
            }
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    assert_eq!(answer, ClaimAnswer::Superseded {});
}

#[tokio::test]
async fn jobs_of_the_younger_of_two_namespaces_with_one_tenant_are_refused_i9() {
    let world = World::new();
    let metadata = json!({"name": "young", "labels": {"weir.dev/tenant": "acme"}});
    world.api.insert(&serde_json::from_value::<Namespace>(json!({"metadata": metadata})).unwrap());
    world.submit(&json!({}));
    let mut other: ProcessJob = world.api.get(NAMESPACE, NAME).unwrap();
    (other.metadata.namespace, other.metadata.uid) = (Some("young".to_owned()), None);
    world.api.insert(&other);
    let _leader = world.lead();
    let refused = |api: &FakeApi| api.get::<ProcessJob>("young", NAME)?.status.filter(|status| status.phase.is_some());
    let status = world.api.until(refused).await;
    assert_eq!(World::condition(&status, "Accepted"), Some(("False".into(), "TenantTaken".into())));
    insta::assert_snapshot!(status.message.unwrap(), @"the older namespace `eo` is the tenant `acme`: what belongs to two namespaces must not stand in one place; label one of them with another weir.dev/tenant");
    assert_eq!(world.over().await.phase, Some(Phase::Successful));
}

#[tokio::test]
async fn a_job_keeps_the_tenant_with_which_it_was_accepted() {
    let (world, leader) = World::with_a_tool_that_runs().await;
    world.api.edit("", NAMESPACE, |namespace: &mut Namespace| {
        namespace.metadata.labels = Some([("weir.dev/tenant".to_owned(), "renamed".to_owned())].into());
    });
    leader.abort();
    let _ = leader.await;
    let _leader = world.lead();
    world.script.send_replace(Script::Ends(0));
    assert_eq!(world.over().await.phase, Some(Phase::Successful));
    world.check_claims().await;
    world.api.remove::<ProcessJob>(NAMESPACE, NAME);
    while world.segments().await > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn the_end_of_an_object_that_names_anothers_run_leaves_that_run_alone_i9() {
    let world = World::new();
    world.submit(&json!({}));
    let _leader = world.lead();
    assert_eq!(world.over().await.phase, Some(Phase::Successful));
    let (services, keys, segments) = (world.services(), world.keys(), world.segments().await);
    let cleaned = async |namespace: &str| {
        let doubted = Some((namespace.to_owned(), NAME.to_owned()));
        tidy::clean(Arc::clone(&services), keys.clone(), doubted, Arc::new(Semaphore::new(1))).await;
    };
    cleaned("evil").await;
    assert_eq!(world.segments().await, segments);
    cleaned(NAMESPACE).await;
    assert_eq!(world.segments().await, 0);
}
