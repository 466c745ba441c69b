//! Settings and objects for tests.

use std::collections::BTreeSet;

use weir_store::S3Settings;

use crate::settings::{FacadeSettings, FetchSettings, PodSettings, PodStart, Settings};

/// Settings of an operator that allows little.
pub(crate) fn settings() -> Settings {
    Settings {
        namespace: "weir".to_owned(),
        pod_name: None,
        lease: "weir-operator".to_owned(),
        lease_timing: crate::lease::Timing::default(),
        single_replica: false,
        namespaces: Vec::new(),
        agents_listen: ([127, 0, 0, 1], 0).into(),
        agents_url: "https://weir-agents.weir.svc:8443".to_owned(),
        health_listen: ([127, 0, 0, 1], 0).into(),
        facade: FacadeSettings {
            listen: ([127, 0, 0, 1], 0).into(),
            unfinished_jobs_max: 3,
            results_endpoint: None,
            http: weir_http::Settings::default(),
            oidc: None,
        },
        store: S3Settings {
            endpoint: "http://127.0.0.1:9000".to_owned(),
            region: "us-east-1".to_owned(),
            bucket: "weir".to_owned(),
            access_key: "a".to_owned(),
            secret_key: "b".to_owned(),
            allow_http: true,
            trusted: None,
        },
        results_bucket: "results-{tenant}".to_owned(),
        pods: PodSettings {
            agent_image: "weir".to_owned(),
            eo_image: "weir-eo:1".to_owned(),
            own_images: BTreeSet::from(["weir-eo".to_owned()]),
            default_image: "weir-eo:1".to_owned(),
            image_pull_policy: "IfNotPresent".to_owned(),
            allowed_images: Vec::new(),
            run_as_user: Some(10_001),
            service_account: "weir-step".to_owned(),
            pod_start: PodStart::Hook,
            memory_headroom: 2.0,
            cores_max: 8.0,
            ram_mib_max: 16_384,
            unschedulable_seconds: 1800,
            image_seconds: 300,
            enforce_network_access: false,
            node_selector_keys: vec!["example.org/pool".to_owned()],
            allow_tolerations: false,
            allow_priority_class: false,
            image_pull_secrets: Vec::new(),
        },
        fetch: FetchSettings::default(),
        parallelism: 16,
        tenant_parallelism: 64,
        lookahead: true,
        hinted_gpus: false,
        ttl_seconds: 2_592_000,
    }
}
