use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;
use weir_api::FailureClass;
use weir_api::agent::{self, Hints, TerminationMessage, Usage};
use weir_plan::{Incarnation, Timestamp};

use super::*;
use crate::build::pod::tests::{built_for_tests, settings};

/// Pods of the test cluster, and some that it could not be brought to.
fn pods() -> BTreeMap<String, Pod> {
    let mut pods: BTreeMap<String, Pod> = serde_saphyr::from_str(include_str!("tests/seen.yaml")).unwrap();
    let foretold: BTreeMap<String, Pod> = serde_saphyr::from_str(include_str!("tests/foretold.yaml")).unwrap();
    pods.extend(foretold);
    pods
}

fn pod(name: &str) -> Pod {
    pods().remove(name).unwrap_or_else(|| panic!("no pod `{name}`"))
}

/// So many seconds after the pod was created.
fn at(pod: &Pod, seconds: u64) -> Timestamp {
    Timestamp(sight::timestamp(pod.metadata.creation_timestamp.as_ref().unwrap()).0 + seconds * 1000)
}

fn with_about<T>(claimed: bool, then: impl FnOnce(&About<'_>) -> T) -> T {
    let settings = settings().pods;
    then(&About {
        claimed,
        silent_since: None,
        success_codes: &[0],
        temporary_fail_codes: &[75],
        settings: &settings,
        before: None,
    })
}

/// The judgement so many seconds after the pod was created, on one line.
fn verdict(pod: &Pod, claimed: bool, seconds: u64) -> String {
    said(pod, with_about(claimed, |about| judge(pod, about, at(pod, seconds))))
}

fn said(pod: &Pod, judgement: Judgement) -> String {
    match judgement {
        Judgement::Fine => "fine".to_owned(),
        Judgement::Waiting(Waiting { want, class, message, since, deadline }) => {
            let after = |time: Timestamp| (time.0 - at(pod, 0).0) / 1000;
            format!("waiting {want:?} {class} {} s..{} s: {message}", after(since), after(deadline))
        }
        Judgement::Over(ending) => format!("over {}", shown(&ending)),
    }
}

fn shown(Ending { class, message, exit_code, .. }: &Ending) -> String {
    match exit_code {
        Some(code) => format!("{class} ({code}): {message}"),
        None => format!("{class}: {message}"),
    }
}

fn table(rows: &[(&str, bool, u64)]) -> String {
    let pods = pods();
    let row = |(name, claimed, seconds): &(&str, bool, u64)| {
        let who = if *claimed { "claimed" } else { "not claimed" };
        format!("{name}, {who}, {seconds} s\n  {}\n", verdict(&pods[*name], *claimed, *seconds))
    };
    rows.iter().map(row).collect()
}

#[test]
fn what_may_heal_is_waited_for_and_then_over() {
    insta::assert_snapshot!(table(&[
        ("image missing, pull policy Never", true, 5),
        ("image pull failed", true, 60),
        ("image pull backing off", false, 60),
        ("init image missing", false, 60),
        ("secret missing", true, 60),
        ("volume not mounted", false, 10),
        ("volume not mounted", false, 60),
        ("volume not mounted", false, 1801),
        ("too big", false, 5),
        ("no such node", false, 60),
        ("no such node", false, 1799),
        ("no such node", false, 1801),
        ("held by a gate", false, 60),
        ("no scheduler", false, 5),
        ("no scheduler", false, 60),
    ]), @r#"
    image missing, pull policy Never, claimed, 5 s
      waiting Image ImageUnavailable 5 s..305 s: the image `localhost/none:1` of the tool cannot be had (ErrImageNeverPull): Container image "localhost/none:1" is not present with pull policy of Never; check `dockerPull`, and whether the cluster may pull it (imagePullSecrets)
    image pull failed, claimed, 60 s
      waiting Image ImageUnavailable 60 s..360 s: the image `registry.invalid/none:1` of the tool cannot be had (ErrImagePull): failed to pull and unpack image "registry.invalid/none:1": failed to resolve reference "registry.invalid/none:1": failed to do request: Head "https://registry.invalid/v2/none/manifests/1": dial tcp: lookup registry.invalid on 10.255.255.53:53: read udp 172.31.0.13:40806->10.255.255.53:53: i/o timeout; check `dockerPull`, and whether the cluster may pull it (imagePullSecrets)
    image pull backing off, not claimed, 60 s
      waiting Image ImageUnavailable 60 s..360 s: the image `registry.invalid/none:1` of the tool cannot be had (ImagePullBackOff): Back-off pulling image "registry.invalid/none:1": ErrImagePull: failed to pull and unpack image "registry.invalid/none:1": failed to resolve reference "registry.invalid/none:1": failed to do request: Head "https://registry.invalid/v2/none/manifests/1": dial tcp: lookup registry.invalid on 10.255.255.53:53: read udp 172.31.0.12:36194->10.255.255.53:53: i/o timeout; check `dockerPull`, and whether the cluster may pull it (imagePullSecrets)
    init image missing, not claimed, 60 s
      waiting Image Platform 60 s..360 s: the image `localhost/none:1` of weir's agent cannot be had (ErrImageNeverPull): Container image "localhost/none:1" is not present with pull policy of Never; check the operator's setting, and whether the cluster may pull it
    secret missing, claimed, 60 s
      waiting Container Platform 60 s..360 s: the container `tool` cannot be started (CreateContainerConfigError): secret "none" not found
    volume not mounted, not claimed, 10 s
      fine
    volume not mounted, not claimed, 60 s
      waiting Preparation Platform 0 s..1800 s: the node `n2` is still preparing the pod (pulling images, mounting volumes); `kubectl describe pod` shows its events
    volume not mounted, not claimed, 1801 s
      over Platform: the node `n2` is still preparing the pod (pulling images, mounting volumes); `kubectl describe pod` shows its events (waited 1800 s)
    too big, not claimed, 5 s
      waiting Node Unschedulable 0 s..1800 s: no node has room for the step: 0/3 nodes are available: 3 Insufficient cpu.
    no such node, not claimed, 60 s
      waiting Node Unschedulable 0 s..1800 s: no node has room for the step: 0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector.
    no such node, not claimed, 1799 s
      waiting Node Unschedulable 0 s..1800 s: no node has room for the step: 0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector.
    no such node, not claimed, 1801 s
      over Unschedulable: no node has room for the step: 0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector. (waited 1800 s)
    held by a gate, not claimed, 60 s
      waiting Node Unschedulable 0 s..1800 s: the pod is held back by a scheduling gate: Scheduling is blocked due to non-empty scheduling gates
    no scheduler, not claimed, 5 s
      fine
    no scheduler, not claimed, 60 s
      waiting Node Unschedulable 0 s..1800 s: no scheduler has looked at the pod yet; is the cluster's scheduler running?
    "#);
}

#[test]
fn what_cannot_heal_is_over_at_once() {
    insta::assert_snapshot!(table(&[
        ("image name invalid", true, 5),
        ("runs as root", true, 5),
        ("agent image missing", false, 5),
        ("init container failed", false, 5),
        ("hook failed", false, 5),
        ("hook failed", true, 5),
        ("refused by the node", false, 5),
        ("node in distress refuses", false, 5),
        ("shim without agent", false, 40),
        ("agent ended, tool lives", false, 40),
        ("agent ended, tool lives", true, 40),
        ("both ended well", false, 40),
    ]), @r#"
    image name invalid, claimed, 5 s
      over ImageUnavailable: `UPPER/Bad:1`, the image of the tool, is no image name (Failed to apply default image tag "UPPER/Bad:1": couldn't parse image name "UPPER/Bad:1": invalid reference format: repository name (Bad) must be lowercase); check `dockerPull`, and whether the cluster may pull it (imagePullSecrets)
    runs as root, claimed, 5 s
      over Rejected: the image `localhost/busybox:1` of the tool would run as root, which is not allowed: container has runAsNonRoot and image will run as root (pod: "nonroot_fix(b7d338c6-dc7c-41e6-901f-eb5bb749b333)", container: tool); give pods a numeric user (setting runAsUser)
    agent image missing, not claimed, 5 s
      over Platform: the tool's container could not be started: the agent's image `localhost/none:1` could not be used (ErrImageNeverPull): Container image "localhost/none:1" is not present with pull policy of Never
    init container failed, not claimed, 5 s
      over Platform: the container that delivers the shim failed: Error, exit code 1
    hook failed, not claimed, 5 s
      over Platform: the tool's container could not be started: the agent was ended before the shim was delivered (did its postStart hook fail?): StartError, exit code 128: failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: exec: "/weir/shim": stat /weir/shim: no such file or directory: unknown
    hook failed, claimed, 5 s
      over Platform: the tool's container could not be started: the agent was ended before the shim was delivered (did its postStart hook fail?): StartError, exit code 128: failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: exec: "/weir/shim": stat /weir/shim: no such file or directory: unknown
    refused by the node, not claimed, 5 s
      over Platform: the node `n1` refused the pod (OutOfcpu): Pod was rejected: Node didn't have enough resource: cpu, requested: 100010, used: 200, capacity: 2000
    node in distress refuses, not claimed, 5 s
      over Platform: the node `n1` refused the pod (Evicted): Pod was rejected: The node had condition: [DiskPressure].
    shim without agent, not claimed, 40 s
      over Platform: the tool's container found no agent, or lost it
    agent ended, tool lives, not claimed, 40 s
      over Platform: the pod's agent ended: Error, exit code 1
    agent ended, tool lives, claimed, 40 s
      over Disrupted: the pod's agent ended: Error, exit code 1
    both ended well, not claimed, 40 s
      over Platform: the pod's agent ended: superseded
    "#);
}

#[test]
fn what_took_a_running_step_away_is_told_apart() {
    insta::assert_snapshot!(table(&[
        ("killed for memory, then deleted", true, 60),
        ("own disk limit", true, 60),
        ("own disk limit, then tainted", true, 60),
        ("own volume", true, 60),
        ("node pressure", true, 60),
        ("deadline", true, 60),
        ("deleted, still running", true, 22),
        ("deleted, still running", false, 22),
        ("deleted, still running", true, 60),
        ("deleted", true, 60),
        ("drained, still running", true, 22),
        ("preempted", true, 60),
        ("tainted", true, 60),
        ("node lost", true, 107),
        ("node shut down", true, 60),
        ("node removed", true, 60),
        ("node silent, old manner", true, 60),
        ("node rebooted", true, 60),
        ("node rebooted", false, 60),
        ("node rebooted, containerd knows", true, 60),
    ]), @r#"
    killed for memory, then deleted, claimed, 60 s
      over OutOfMemory: the kernel killed the tool for want of memory (its limit was 32Mi); state more in `ramMin` of ResourceRequirement
    own disk limit, claimed, 60 s
      over OutOfDisk: the step filled its disk: Pod ephemeral local storage usage exceeds the total limit of containers 5Mi.; state more in `outdirMin` or `tmpdirMin` of ResourceRequirement, which must hold its inputs, outputs and temporary files
    own disk limit, then tainted, claimed, 60 s
      over OutOfDisk: the step filled its disk: Pod ephemeral local storage usage exceeds the total limit of containers 5Mi.; state more in `outdirMin` or `tmpdirMin` of ResourceRequirement, which must hold its inputs, outputs and temporary files
    own volume, claimed, 60 s
      over OutOfDisk: the step filled its disk: Usage of EmptyDir volume "weir" exceeds the limit "20Mi".; state more in `outdirMin` or `tmpdirMin` of ResourceRequirement, which must hold its inputs, outputs and temporary files
    node pressure, claimed, 60 s
      over Disrupted: the node `n1` ended the pod (Evicted): The node was low on resource: memory. Threshold quantity: 100Mi, available: 51200Ki. Container tool was using 812Mi, request is 256Mi, has larger consumption of memory.
    deadline, claimed, 60 s
      over TimeLimit: the pod lived longer than the 4 s that a step may take in any case
    deleted, still running, claimed, 22 s
      waiting Report Disrupted 22 s..51 s: the pod was deleted from outside while it was on node `n1`
    deleted, still running, not claimed, 22 s
      over Disrupted: the pod was deleted from outside while it was on node `n1`
    deleted, still running, claimed, 60 s
      over Disrupted: the pod was deleted from outside while it was on node `n1`
    deleted, claimed, 60 s
      over Disrupted: the pod was deleted from outside while it was on node `n1`
    drained, still running, claimed, 22 s
      waiting Report Disrupted 22 s..41 s: the pod was taken away from node `n1` (EvictionByEvictionAPI): Eviction API: evicting
    preempted, claimed, 60 s
      over Disrupted: the pod was taken away from node `n1` (PreemptionByScheduler): default-scheduler: preempting to accommodate a higher priority pod
    tainted, claimed, 60 s
      over Disrupted: the pod was taken away from node `n2` (DeletionByTaintManager): Taint manager: deleting due to NoExecute taint
    node lost, claimed, 107 s
      over Disrupted: the pod was taken away from node `n3` (DeletionByTaintManager): Taint manager: deleting due to NoExecute taint
    node shut down, claimed, 60 s
      over Disrupted: the node `n1` ended the pod (Terminated): Pod was terminated in response to imminent node shutdown.
    node removed, claimed, 60 s
      over Disrupted: the pod was taken away from node `n1` (DeletionByPodGC): PodGC: node no longer exists
    node silent, old manner, claimed, 60 s
      over Disrupted: the node `n1` ended the pod (NodeLost): Node n1 which was running pod a is unresponsive
    node rebooted, claimed, 60 s
      over Disrupted: the pod's agent ended: ContainerStatusUnknown, exit code 137: The container could not be located when the pod was terminated
    node rebooted, not claimed, 60 s
      over Platform: the pod's agent ended: ContainerStatusUnknown, exit code 137: The container could not be located when the pod was terminated
    node rebooted, containerd knows, claimed, 60 s
      over Disrupted: the pod's agent ended: Unknown, exit code 255
    "#);
}

#[test]
fn while_a_claimed_pods_agent_lives_its_report_is_awaited() {
    for name in ["running", "tool ended, agent lives", "child killed for memory", "killed for memory"] {
        assert_eq!(verdict(&pod(name), true, 60), "fine", "{name}");
    }
    assert_eq!(verdict(&pod("running"), false, 60), "fine");
}

/// An agent whose way to the operator is closed, by a NetworkPolicy say (invariant I6).
#[test]
fn a_pod_whose_agent_is_never_heard_of_is_given_up() {
    let pod = pod("running");
    let since = at(&pod, 10);
    let after = |seconds: u64, claimed: bool| {
        with_about(claimed, |about| {
            let about = About { silent_since: Some(since), ..*about };
            said(&pod, judge(&pod, &about, at(&pod, 10 + seconds)))
        })
    };
    assert_eq!(after(19, false), "fine");
    assert!(after(20, false).starts_with("waiting Agent Platform"), "{}", after(20, false));
    assert!(after(300, false).starts_with("over Platform"), "{}", after(300, false));
    assert_eq!(after(300, true), "fine");
}

/// Every pod without a claim comes to a judgement sooner or later, but one whose tool waits for its order.
#[test]
fn nothing_stays_as_it_is_for_ever() {
    for (name, pod) in pods() {
        let verdict = verdict(&pod, false, 10_000_000);
        assert_eq!(verdict == "fine", name == "running", "{name}: {verdict}");
    }
}

#[test]
fn a_wait_that_goes_on_keeps_its_beginning_and_another_one_begins_anew() {
    let pod = pod("image pull backing off");
    let settings = settings().pods;
    let about = About {
        claimed: false,
        silent_since: None,
        success_codes: &[],
        temporary_fail_codes: &[],
        settings: &settings,
        before: None,
    };
    let Judgement::Waiting(first) = judge(&pod, &about, at(&pod, 100)) else { panic!() };
    let again = About { before: Some(&first), ..about };
    let Judgement::Waiting(second) = judge(&pod, &again, at(&pod, 399)) else { panic!() };
    assert_eq!(first, second);
    let Judgement::Over(ending) = judge(&pod, &again, at(&pod, 400)) else { panic!() };
    assert_eq!(ending.class, FailureClass::ImageUnavailable);
    let other = Waiting { want: Want::Container, ..first };
    let Judgement::Waiting(third) = judge(&pod, &About { before: Some(&other), ..about }, at(&pod, 400)) else {
        panic!()
    };
    assert_eq!(third.since, at(&pod, 400));
}

#[test]
fn a_pod_that_its_restarted_node_forgot_is_given_up_soon_i6() {
    let pod = pod("abandoned by a restarted node");
    let first = with_about(false, |about| judge(&pod, about, at(&pod, 90)));
    let Judgement::Waiting(waiting) = first.clone() else { panic!("{first:?}") };
    insta::assert_snapshot!(said(&pod, first), @"waiting Restart Disrupted 90 s..150 s: the node `n2` restarted while it prepared the pod, and does not go on with it");
    let later = with_about(false, |about| judge(&pod, &About { before: Some(&waiting), ..*about }, at(&pod, 150)));
    insta::assert_snapshot!(said(&pod, later), @"over Disrupted: the node `n2` restarted while it prepared the pod, and does not go on with it (waited 60 s)");
    // A sandbox that is there, and a container that is not made yet, are every start's.
    for (condition, id) in [("True", Some("containerd://a")), ("False", None)] {
        let mut pod = pod.clone();
        let status = pod.status.as_mut().unwrap();
        status.conditions.as_mut().unwrap()[0].status = condition.to_owned();
        status.container_statuses.as_mut().unwrap()[0].container_id = id.map(str::to_owned);
        assert_eq!(with_about(false, |about| judge(&pod, about, at(&pod, 10))), Judgement::Fine);
    }
}

/// What an agent that lost the tool's container is told by the pod's status (invariant I3).
#[test]
fn the_kernels_kill_explains_a_lost_tool() {
    let end = |name: &str, claimed| with_about(claimed, |about| shown(&ended(&pod(name), about)));
    insta::assert_snapshot!(end("killed for memory", true), @"OutOfMemory: the kernel killed the tool for want of memory (its limit was 32Mi); state more in `ramMin` of ResourceRequirement");
    insta::assert_snapshot!(end("tool ended, agent lives", true), @"ToolFailed (3): the tool ended with exit code 3");
    insta::assert_snapshot!(end("child killed for memory", true), @"OutOfMemory: the kernel killed the tool for want of memory (its limit was 32Mi); state more in `ramMin` of ResourceRequirement");
    insta::assert_snapshot!(end("running", true), @"Disrupted: the pod is gone, and nobody knows why");
}

fn with_last_words(name: &str, ending: Option<agent::Ending>, hints: Hints) -> Pod {
    let mut pod = pod(name);
    let words = TerminationMessage {
        agent: "the operator refused for a minute".to_owned(),
        ending,
        hints,
        usage: Usage::default(),
        stderr_tail: Some("last line\n".to_owned()),
    };
    let statuses = pod.status.as_mut().unwrap().container_statuses.as_mut().unwrap();
    let agent = statuses.iter_mut().find(|status| status.name == "agent").unwrap();
    let terminated = agent.state.as_mut().unwrap().terminated.as_mut().unwrap();
    terminated.message = Some(serde_json::to_string(&words).unwrap());
    pod
}

#[test]
fn last_words_stand_for_a_lost_report() {
    let end = |name, ending, hints| {
        let ending = with_about(true, |about| ended(&with_last_words(name, Some(ending), hints), about));
        assert_eq!(ending.stderr_tail.as_deref(), Some("last line\n"));
        shown(&ending)
    };
    let (none, code, signal) = (Hints::default(), agent::Ending::Code, agent::Ending::Signal);
    let failed = |class| agent::Ending::Failed { class, message: "as it was".to_owned() };
    let rows = [
        end("both ended well", code(0), none),
        end("both ended well", code(3), none),
        end("both ended well", code(75), none),
        end("both ended well", signal(9), none),
        end("both ended well", signal(9), Hints { oom_kills: 1, ..none }),
        end("both ended well", code(1), Hints { disk_full: true, ..none }),
        end("both ended well", signal(15), Hints { time_limit: true, ..none }),
        end("both ended well", failed(FailureClass::StageIn), none),
        end("both ended well", failed(FailureClass::Disrupted), none),
        // It was stopped because the pod was taken away, and the status says by whom.
        end("preempted", signal(15), Hints { terminated: true, ..none }),
        end("deleted", code(3), none),
        // The agent saw nothing but a closed connection; the kernel had killed everything.
        end("killed for memory, then deleted", failed(FailureClass::Disrupted), none),
    ];
    insta::assert_snapshot!(rows.join("\n"), @r#"
    Disrupted: the tool ended well (exit code 0), but its agent ended before its outputs were stored: the operator refused for a minute
    ToolFailed (3): the tool ended with exit code 3
    ToolFailedTemporarily (75): the tool ended with exit code 75, one of its temporaryFailCodes
    ToolFailed: the tool was killed by signal 9
    OutOfMemory: the kernel killed the tool for want of memory (its limit was unknown); state more in `ramMin` of ResourceRequirement
    OutOfDisk (1): the step filled its disk: no space is left in its working folder; state more in `outdirMin` or `tmpdirMin` of ResourceRequirement, which must hold its inputs, outputs and temporary files
    TimeLimit: the tool ran longer than its ToolTimeLimit
    StageIn: as it was
    Disrupted: the pod's agent ended: the operator refused for a minute
    Disrupted: the pod was taken away from node `n1` (PreemptionByScheduler): default-scheduler: preempting to accommodate a higher priority pod
    ToolFailed (3): the tool ended with exit code 3
    OutOfMemory: the kernel killed the tool for want of memory (its limit was 32Mi); state more in `ramMin` of ResourceRequirement
    "#);
}

#[test]
fn words_of_others_are_quoted_on_one_short_line() {
    assert_eq!(quote::quote(" a\n  b "), "a b");
    assert_eq!(quote::quote(&"ü".repeat(1000)).chars().count(), 401);
}

#[test]
fn a_pod_of_ours_says_what_it_is() {
    let pod = built_for_tests();
    assert_eq!(sight::incarnation(&pod), Some(Incarnation(3)));
    assert_eq!(sight::run_id(&pod), Some("5b1c0a52-7c2e-4a53-9d0e-1f1d6f0f2a11"));
    assert_eq!(sight::owner_uid(&pod), Some("5b1c0a52-7c2e-4a53-9d0e-1f1d6f0f2a11"));
    assert_eq!(sight::spec_hash(&pod).map(str::len), Some(64));
    assert!(!sight::is_terminating(&pod) && !sight::started(&pod) && !sight::is_finished(&pod));
    assert_eq!(sight::place(&pod), (Some("olinda-node-crop-3-e9008268e7".to_owned()), None));
}

#[test]
fn a_tool_has_started_once_its_container_ran() {
    for name in ["running", "tool ended, agent lives", "killed for memory", "both ended well"] {
        assert!(sight::started(&pod(name)), "{name}");
    }
    for name in ["hook failed", "agent image missing", "image pull failed", "volume not mounted", "too big"] {
        assert!(!sight::started(&pod(name)), "{name}");
    }
}

#[test]
fn only_the_pod_that_we_would_have_made_is_adopted() {
    let mut pod = built_for_tests();
    pod.metadata.uid = Some("u".to_owned());
    let (owner, hash) = (sight::owner_uid(&pod).unwrap().to_owned(), sight::spec_hash(&pod).unwrap().to_owned());
    let expected = Expected { owner_uid: &owner, spec_hash: &hash, uid: None };
    assert_eq!(adopt(&pod, &expected), Adoption::Ours);
    assert_eq!(adopt(&pod, &Expected { uid: Some("u"), ..expected }), Adoption::Ours);
    let foreign = |pod: &Pod, expected: &Expected<'_>| match adopt(pod, expected) {
        Adoption::Foreign(why) => why.rsplit(", and ").next().unwrap().to_owned(),
        Adoption::Ours => "ours".to_owned(),
    };
    assert_eq!(foreign(&pod, &Expected { owner_uid: "o", ..expected }), "it does not belong to this job");
    assert_eq!(foreign(&pod, &Expected { spec_hash: "h", ..expected }), "it was built from something else");
    assert_eq!(
        foreign(&pod, &Expected { uid: Some("v"), ..expected }),
        "it is not the one that was made for this incarnation"
    );
    pod.metadata.deletion_timestamp = super::tests::pod("deleted").metadata.deletion_timestamp;
    assert_eq!(foreign(&pod, &expected), "it is being deleted");
}
