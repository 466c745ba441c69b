use weir_cwl::requirement::{Docker, Requirements, Resource as CwlResource};
use weir_store::S3Settings;

use super::*;
use crate::settings::FetchSettings;

/// Settings as a chart would give them.
pub(crate) fn settings() -> Settings {
    let pods = PodSettings {
        agent_image: "ghcr.io/weir/weir:1".to_owned(),
        eo_image: "ghcr.io/weir/weir-eo:1".to_owned(),
        own_images: ["weir-eo".to_owned()].into(),
        default_image: "docker.io/library/debian:12-slim".to_owned(),
        image_pull_policy: "IfNotPresent".to_owned(),
        allowed_images: Vec::new(),
        run_as_user: Some(10001),
        service_account: "weir-step".to_owned(),
        pod_start: PodStart::Hook,
        memory_headroom: 2.0,
        cores_max: 16.0,
        ram_mib_max: 65_536,
        unschedulable_seconds: 1800,
        image_seconds: 300,
        enforce_network_access: false,
        node_selector_keys: Vec::new(),
        allow_tolerations: false,
        allow_priority_class: false,
        image_pull_secrets: vec!["registry".to_owned()],
    };
    let store = S3Settings {
        endpoint: "https://store".to_owned(),
        region: "us-east-1".to_owned(),
        bucket: "weir".to_owned(),
        access_key: "key".to_owned(),
        secret_key: "hidden-in-the-operator".to_owned(),
        allow_http: false,
        trusted: None,
    };
    Settings {
        namespace: "weir-system".to_owned(),
        pod_name: None,
        lease: "weir-operator".to_owned(),
        lease_timing: crate::lease::Timing::default(),
        single_replica: false,
        namespaces: Vec::new(),
        agents_listen: ([0, 0, 0, 0], 8443).into(),
        agents_url: "https://weir-agents.weir-system.svc:8443".to_owned(),
        health_listen: ([0, 0, 0, 0], 8080).into(),
        facade: crate::intake::fixture::settings().facade,
        store,
        results_bucket: "results".to_owned(),
        pods,
        fetch: FetchSettings::default(),
        parallelism: 16,
        tenant_parallelism: 64,
        lookahead: true,
        hinted_gpus: false,
        ttl_seconds: 2_592_000,
    }
}

fn job() -> ClusterJob {
    let mut pod_template = weir_api::kubernetes::process_job::PodTemplate::default();
    pod_template.labels.insert("team".to_owned(), "water".to_owned());
    pod_template.annotations.insert("cost-centre".to_owned(), "7".to_owned());
    serde_json::from_value(serde_json::json!({
        "format": 1, "namespace": "eo", "name": "olinda", "uid": "5b1c", "resultId": "5b1c", "resultsBucket": "results",
        "digest": "00", "podTemplate": pod_template,
        "job": {
            "entry": "weir:a.cwl",
            "documents": {"weir:a.cwl": "cwlVersion: v1.2\nclass: Workflow\ninputs: {}\noutputs: {}\nsteps: {}\n"},
            "inputs": {}, "attemptsMax": 2, "continueOnFailure": false
        },
    }))
    .unwrap()
}

fn requirements() -> Effective {
    let docker = Docker { pull: Some("weir-eo".to_owned()), ..Docker::default() };
    let resource = CwlResource { outdir_min: Some(Computed::Literal(512.0)), ..CwlResource::default() };
    let requirements = Requirements { docker: Some(docker), resource: Some(resource), ..Requirements::default() };
    Effective { requirements, hints: Requirements::default() }
}

fn request<'a>(job: &'a ClusterJob, requirements: &'a Effective) -> PodRequest<'a> {
    PodRequest {
        run_id: "5b1c0a52-7c2e-4a53-9d0e-1f1d6f0f2a11",
        job,
        owner_uid: "5b1c0a52-7c2e-4a53-9d0e-1f1d6f0f2a11",
        incarnation: Incarnation(3),
        step: "node_crop",
        instance: None,
        requirements,
        resources: Resources { cores: 0.5, ram_mib: 512, tmpdir_mib: 1024, outdir_mib: 512, gpus: 0 },
        start: PodStart::Hook,
        agents_ca: "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
    }
}

fn built(change: impl FnOnce(&mut PodRequest<'_>)) -> Pod {
    let (job, requirements) = (job(), requirements());
    let mut request = request(&job, &requirements);
    change(&mut request);
    build(&request, &settings()).unwrap()
}

fn annotation<'a>(pod: &'a Pod, key: &str) -> Option<&'a str> {
    pod.metadata.annotations.as_ref()?.get(key).map(String::as_str)
}

fn container<'a>(pod: &'a Pod, name: &str) -> &'a Container {
    pod.spec.as_ref().unwrap().containers.iter().find(|container| container.name == name).unwrap()
}

#[test]
#[expect(clippy::too_many_lines, reason = "it is a whole pod")]
fn a_whole_pod() {
    insta::assert_snapshot!(serde_saphyr::to_string(&built(|_| {})).unwrap(), @r#"
    apiVersion: v1
    kind: Pod
    metadata:
      annotations:
        cluster-autoscaler.kubernetes.io/safe-to-evict: "false"
        cost-centre: "7"
        kubectl.kubernetes.io/default-container: tool
        linkerd.io/inject: disabled
        sidecar.istio.io/inject: "false"
        weir.dev/spec-hash: 5d58bd0dc696144e17e9c73968d438c078a7766793051d6a564aa411372e73c7
      labels:
        app.kubernetes.io/managed-by: weir
        sidecar.istio.io/inject: "false"
        team: water
        weir.dev/incarnation: "3"
        weir.dev/job: olinda
        weir.dev/run: 5b1c0a52-7c2e-4a53-9d0e-1f1d6f0f2a11
        weir.dev/step: node_crop
      name: olinda-node-crop-3-e9008268e7
      namespace: eo
      ownerReferences:
      - apiVersion: weir.dev/v1alpha1
        blockOwnerDeletion: false
        controller: true
        kind: ProcessJob
        name: olinda
        uid: 5b1c0a52-7c2e-4a53-9d0e-1f1d6f0f2a11
    spec:
      activeDeadlineSeconds: 604800
      automountServiceAccountToken: false
      containers:
      - command:
        - /weir-agent
        - run
        env:
        - name: WEIR_FOLDER
          value: /weir
        - name: WEIR_OPERATOR_URL
          value: https://weir-agents.weir-system.svc:8443
        - name: WEIR_TOKEN_FILE
          value: /var/run/secrets/weir/token
        - name: WEIR_CA
          value: |
            -----BEGIN CERTIFICATE-----
            MIIB
            -----END CERTIFICATE-----
        - name: WEIR_RUN_ID
          value: 5b1c0a52-7c2e-4a53-9d0e-1f1d6f0f2a11
        - name: WEIR_INCARNATION
          value: "3"
        - name: WEIR_POD_UID
          valueFrom:
            fieldRef:
              apiVersion: v1
              fieldPath: metadata.uid
        image: ghcr.io/weir/weir:1
        imagePullPolicy: IfNotPresent
        lifecycle:
          postStart:
            exec:
              command:
              - /weir-agent
              - install
              - /weir
        name: agent
        resources:
          limits:
            memory: 512Mi
          requests:
            cpu: 20m
            memory: 32Mi
        securityContext:
          allowPrivilegeEscalation: false
          capabilities:
            drop:
            - ALL
          readOnlyRootFilesystem: true
        volumeMounts:
        - mountPath: /weir
          name: weir
        - mountPath: /var/run/secrets/weir
          name: token
          readOnly: true
      - command:
        - /weir/shim
        image: ghcr.io/weir/weir-eo:1
        imagePullPolicy: IfNotPresent
        name: tool
        resources:
          limits:
            memory: 1024Mi
          requests:
            cpu: 500m
            ephemeral-storage: 1536Mi
            memory: 512Mi
        securityContext:
          allowPrivilegeEscalation: false
          capabilities:
            drop:
            - ALL
          readOnlyRootFilesystem: false
        volumeMounts:
        - mountPath: /weir
          name: weir
        - mountPath: /tmp
          name: tmp
        workingDir: /
      enableServiceLinks: false
      imagePullSecrets:
      - name: registry
      restartPolicy: Never
      securityContext:
        fsGroup: 10001
        runAsNonRoot: true
        runAsUser: 10001
        seccompProfile:
          type: RuntimeDefault
      serviceAccountName: weir-step
      terminationGracePeriodSeconds: 30
      tolerations:
      - effect: NoExecute
        key: node.kubernetes.io/not-ready
        operator: Exists
        tolerationSeconds: 30
      - effect: NoExecute
        key: node.kubernetes.io/unreachable
        operator: Exists
        tolerationSeconds: 30
      volumes:
      - emptyDir:
          sizeLimit: 1536Mi
        name: weir
      - emptyDir:
          sizeLimit: 1536Mi
        name: tmp
      - name: token
        projected:
          sources:
          - serviceAccountToken:
              audience: weir-agent
              expirationSeconds: 3600
              path: token
    "#);
}

#[test]
fn an_init_container_can_deliver_the_shim_instead_of_a_hook() {
    let pod = built(|request| request.start = PodStart::Init);
    assert_eq!(container(&pod, "agent").lifecycle, None);
    let installer = &pod.spec.unwrap().init_containers.unwrap()[0];
    assert_eq!(installer.command.as_deref().unwrap(), ["/weir-agent", "install", "/weir"]);
    assert_eq!(installer.volume_mounts.as_ref().unwrap().len(), 1, "it has no token");
}

/// Each rule of the Pod Security Standard "restricted" (Kubernetes 1.34), baseline included, as it applies to a field
/// that a pod of ours may have.
#[test]
fn every_rule_of_the_restricted_standard_holds() {
    for start in [PodStart::Hook, PodStart::Init] {
        let spec = built(|request| request.start = start).spec.unwrap();
        assert_eq!((spec.host_network, spec.host_pid, spec.host_ipc, spec.host_users), (None, None, None, None));
        for volume in spec.volumes.as_ref().unwrap() {
            let is_allowed = volume.empty_dir.is_some() || volume.projected.is_some();
            assert!(is_allowed, "{volume:?}");
        }
        let security = spec.security_context.as_ref().unwrap();
        assert_eq!(security.run_as_non_root, Some(true));
        assert!(security.run_as_user.is_some_and(|user| user != 0));
        assert_eq!(security.seccomp_profile.as_ref().unwrap().type_, "RuntimeDefault");
        assert_eq!((&security.sysctls, &security.windows_options), (&None, &None));
        assert_eq!((&security.se_linux_options, &security.app_armor_profile), (&None, &None));
        for container in spec.containers.iter().chain(spec.init_containers.iter().flatten()) {
            let security = container.security_context.as_ref().unwrap();
            assert_eq!(security.allow_privilege_escalation, Some(false));
            let capabilities = security.capabilities.as_ref().unwrap();
            assert_eq!((capabilities.drop.as_deref(), &capabilities.add), (Some(&["ALL".to_owned()][..]), &None));
            assert_eq!((security.privileged, security.proc_mount.as_ref()), (None, None));
            assert_eq!((security.run_as_non_root, security.run_as_user), (None, None), "the pod's hold");
            assert_eq!(security.seccomp_profile, None, "the pod's holds");
            assert_eq!((&security.se_linux_options, &security.app_armor_profile), (&None, &None));
            assert_eq!(security.windows_options, None);
            assert!(container.ports.is_none());
        }
    }
}

#[test]
fn the_tool_has_no_authority_at_all_and_the_agent_only_its_token() {
    let pod = built(|_| {});
    let mounts = |name: &str| -> Vec<String> {
        let mounts = container(&pod, name).volume_mounts.iter().flatten();
        mounts.map(|mount| mount.mount_path.clone()).collect()
    };
    assert_eq!(mounts("tool"), ["/weir", "/tmp"]);
    assert_eq!(mounts("agent"), ["/weir", "/var/run/secrets/weir"]);
    let tool = container(&pod, "tool");
    assert_eq!((&tool.env, &tool.env_from), (&None, &None));
    assert_eq!(pod.spec.as_ref().unwrap().automount_service_account_token, Some(false));
    assert!(!serde_json::to_string(&pod).unwrap().contains("hidden-in-the-operator"));
}

#[test]
fn the_agent_trusts_the_stores_own_authority_where_there_is_one() {
    let (job, requirements, mut settings) = (job(), requirements(), settings());
    settings.store.trusted = Some(b"PEM".to_vec());
    let pod = build(&request(&job, &requirements), &settings).unwrap();
    let variable = |name: &str| container(&pod, name).env.iter().flatten().find(|env| env.name == "WEIR_STORE_CA");
    assert_eq!(variable("agent").unwrap().value.as_deref(), Some("PEM"));
    assert_eq!(variable("tool"), None);
}

#[test]
fn nothing_depends_on_the_instance_but_one_annotation() {
    let instance = InstancePath::try_from("a[1]/node_crop[0]".to_owned()).unwrap();
    let (job, requirements) = (job(), requirements());
    let ahead = request(&job, &requirements);
    let known = PodRequest { instance: Some(&instance), ..ahead.clone() };
    let (ahead, mut known) = (build(&ahead, &settings()).unwrap(), build(&known, &settings()).unwrap());
    let removed = known.metadata.annotations.as_mut().unwrap().remove(names::INSTANCE);
    assert_eq!(removed.as_deref(), Some("a[1]/node_crop[0]"));
    assert_eq!(ahead, known);
}

#[test]
fn the_hash_tells_pods_apart_that_were_built_from_different_things() {
    let hash = |pod: &Pod| annotation(pod, names::SPEC_HASH).unwrap().to_owned();
    let plain = hash(&built(|_| {}));
    assert_eq!(plain, hash(&built(|_| {})));
    assert_eq!(plain.len(), 64);
    assert_ne!(plain, hash(&built(|request| request.resources.ram_mib *= 2)));
    assert_ne!(plain, hash(&built(|request| request.start = PodStart::Init)));
    assert_ne!(plain, hash(&built(|request| request.incarnation = Incarnation(4))));
    assert_ne!(plain, hash(&built(|request| request.agents_ca = "other")));
}

#[test]
fn a_job_cannot_take_our_labels_and_annotations_away() {
    let (mut job, requirements) = (job(), requirements());
    job.pod_template.labels.insert(names::RUN.to_owned(), "another".to_owned());
    job.pod_template.annotations.insert(names::SPEC_HASH.to_owned(), "another".to_owned());
    let pod = build(&request(&job, &requirements), &settings()).unwrap();
    assert!(pod.metadata.labels.as_ref().unwrap()[names::RUN].starts_with("5b1c0a52"));
    assert_eq!(annotation(&pod, names::SPEC_HASH).unwrap().len(), 64);
}

#[test]
fn what_the_job_may_ask_for_is_in_the_pod() {
    let (mut job, requirements) = (job(), requirements());
    let template = &mut job.pod_template;
    template.node_selector.insert("pool".to_owned(), "large".to_owned());
    template.image_pull_secrets.push("mine".to_owned());
    template.priority_class_name = Some("low".to_owned());
    template
        .tolerations
        .push(weir_api::kubernetes::process_job::Toleration { key: Some("gpu".to_owned()), ..Default::default() });
    let spec = build(&request(&job, &requirements), &settings()).unwrap().spec.unwrap();
    assert_eq!(spec.node_selector.unwrap()["pool"], "large");
    let secrets: Vec<_> = spec.image_pull_secrets.unwrap().into_iter().map(|secret| secret.name).collect();
    assert_eq!(secrets, ["registry", "mine"]);
    assert_eq!(spec.priority_class_name.as_deref(), Some("low"));
    assert_eq!(spec.tolerations.unwrap()[2].key.as_deref(), Some("gpu"));
}

#[test]
fn a_step_with_a_gpu_may_go_where_nodes_are_kept_for_such_steps_and_its_agent_has_none() {
    let limits = |pod: &Pod, name: &str| container(pod, name).resources.clone().unwrap().limits.unwrap();
    let kept = |pod: &Pod| {
        let tolerations = pod.spec.as_ref().unwrap().tolerations.iter().flatten();
        let mut keys = tolerations.filter(|toleration| toleration.effect.as_deref() == Some("NoSchedule"));
        keys.next().and_then(|toleration| toleration.key.clone())
    };
    let (plain, with_gpu) = (built(|_| {}), built(|request| request.resources.gpus = 1));
    assert_eq!(limits(&with_gpu, "tool")["nvidia.com/gpu"].0, "1");
    assert_eq!(kept(&with_gpu).as_deref(), Some("nvidia.com/gpu"));
    assert!(!limits(&with_gpu, "agent").contains_key("nvidia.com/gpu"));
    assert!(!limits(&plain, "tool").contains_key("nvidia.com/gpu"));
    assert_eq!(kept(&plain), None);
}

#[test]
fn the_backstop_leaves_time_beside_the_tools_own_limit() {
    let mut requirements = requirements();
    assert_eq!(seconds_max(&requirements), 7 * 24 * 3600);
    requirements.requirements.time_limit = Some(Computed::Literal(60));
    assert_eq!(seconds_max(&requirements), 60 + 24 * 3600);
    requirements.requirements.time_limit = Some(Computed::Literal(0));
    assert_eq!(seconds_max(&requirements), 7 * 24 * 3600, "0 means no limit in CWL");
}

#[test]
fn what_can_never_have_a_pod_is_refused_with_its_class() {
    let (job, requirements) = (job(), requirements());
    let mut request = request(&job, &requirements);
    request.resources.cores = 17.0;
    let error = build(&request, &settings()).unwrap_err();
    assert_eq!(error.class(), weir_api::FailureClass::Unschedulable);
    let foreign = Docker { pull: Some("evil/image".to_owned()), ..Docker::default() };
    let effective = Effective {
        requirements: Requirements { docker: Some(foreign), ..Requirements::default() },
        hints: Requirements::default(),
    };
    let mut settings = settings();
    settings.pods.allowed_images = vec!["ghcr.io/".to_owned()];
    let request = PodRequest { requirements: &effective, ..super::tests::request(&job, &requirements) };
    assert_eq!(build(&request, &settings).unwrap_err().class(), weir_api::FailureClass::Rejected);
}

/// A pod as it is created.
pub(crate) fn built_for_tests() -> Pod {
    built(|_| {})
}
