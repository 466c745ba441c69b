//! The pod of one incarnation: an agent of ours and the tool's own image, joined by one volume.

use k8s_openapi::api::core::v1::{
    Container, EmptyDirVolumeSource, EnvVar, EnvVarSource, ExecAction, Lifecycle, LifecycleHandler,
    LocalObjectReference, ObjectFieldSelector, Pod, PodSpec, ProjectedVolumeSource, ServiceAccountTokenProjection,
    Toleration, Volume, VolumeMount, VolumeProjection,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Resource;
use kube::api::ObjectMeta;
use sha2::{Digest, Sha256};
use weir_api::kubernetes::{ProcessJob, names};
use weir_cwl::Computed;
use weir_cwl::requirement::Effective;
use weir_plan::event::Resources;
use weir_plan::{Incarnation, InstancePath};

use super::{BuildError, image, name, resources, security};
use crate::limits::{AGENT_TOKEN_SECONDS, NODE_LOST_SECONDS, POD_GRACE_SECONDS, POD_MARGIN_SECONDS, POD_SECONDS_MAX};
use crate::settings::{PodSettings, PodStart, Settings};
use crate::spec::ClusterJob;

/// Name of the container that installs the shim, where there is one.
pub const INSTALL_CONTAINER: &str = "install";
/// Name of the volume that agent and tool share, and where both see it.
const SHARED: (&str, &str) = ("weir", "/weir");
/// The volume of temporary files, for the tool alone.
const TEMPORARY: (&str, &str) = ("tmp", "/tmp");
/// The volume of the token, for the agent alone.
const TOKEN: (&str, &str) = ("token", "/var/run/secrets/weir");
/// The token's file in it.
const TOKEN_FILE: &str = "token";
/// The agent's program, in its image.
const AGENT: &str = "/weir-agent";
/// The shim's program, in the shared volume.
const SHIM: &str = "/weir/shim";

/// An incarnation that needs a pod.
#[derive(Debug, Clone)]
pub struct PodRequest<'a> {
    /// The run.
    pub run_id: &'a str,
    /// Whose step it is.
    pub job: &'a ClusterJob,
    /// The ProcessJob's uid as it is now: another than at acceptance if the object was restored from a backup. Kubernetes
    /// removes a pod whose owner's uid does not exist.
    pub owner_uid: &'a str,
    /// The incarnation's number.
    pub incarnation: Incarnation,
    /// The step's id.
    pub step: &'a str,
    /// The step instance, if it is known already.
    pub instance: Option<&'a InstancePath>,
    /// The tool's requirements and hints after inheritance.
    pub requirements: &'a Effective,
    /// What it may use.
    pub resources: Resources,
    /// How the shim gets into the tool's container.
    pub start: PodStart,
    /// Certificates (PEM) by which agents know the operator.
    pub agents_ca: &'a str,
}

impl PodRequest<'_> {
    /// The pod's name.
    pub fn name(&self) -> String {
        name::pod_name(&self.job.name, self.run_id, self.step, self.incarnation)
    }
}

/// The pod of an incarnation. The same request and settings make the same pod.
pub fn build(request: &PodRequest<'_>, settings: &Settings) -> Result<Pod, BuildError> {
    resources::check(&request.resources, &settings.pods)?;
    let image = image::tool_image(request.requirements, &settings.pods)?;
    let spec = spec(request, settings, image);
    Ok(Pod { metadata: metadata(request, &digest(&spec)), spec: Some(spec), status: None })
}

/// Digest of what a pod was built from.
fn digest(spec: &PodSpec) -> String {
    // A PodSpec of ours has no maps with other keys than texts, so it can always be written.
    let text = serde_json::to_vec(spec).unwrap_or_default();
    hex::encode(Sha256::digest(text))
}

fn metadata(request: &PodRequest<'_>, digest: &str) -> ObjectMeta {
    let template = &request.job.pod_template;
    let text = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
    let mut labels = template.labels.clone();
    // Ours come last: nobody takes them away. Meshes read the label or the annotation, according to their age.
    labels.extend([("sidecar.istio.io/inject", "false"), (names::MANAGED_BY, names::WEIR)].map(text));
    let of_texts = [(names::RUN, request.run_id), (names::JOB, &request.job.name), (names::STEP, request.step)];
    labels.extend(of_texts.map(|(key, value)| (key.to_owned(), name::label_value(value))));
    labels.insert(names::INCARNATION.to_owned(), request.incarnation.0.to_string());
    let mut annotations = template.annotations.clone();
    annotations.extend(
        [
            (names::SPEC_HASH, digest),
            ("cluster-autoscaler.kubernetes.io/safe-to-evict", "false"),
            ("kubectl.kubernetes.io/default-container", names::TOOL_CONTAINER),
            ("linkerd.io/inject", "disabled"),
            ("sidecar.istio.io/inject", "false"),
        ]
        .map(text),
    );
    if let Some(instance) = request.instance {
        annotations.insert(names::INSTANCE.to_owned(), instance.to_string());
    }
    ObjectMeta {
        name: Some(request.name()),
        namespace: Some(request.job.namespace.clone()),
        labels: Some(labels),
        annotations: Some(annotations),
        owner_references: Some(vec![owner(request)]),
        ..ObjectMeta::default()
    }
}

fn owner(request: &PodRequest<'_>) -> OwnerReference {
    OwnerReference {
        api_version: ProcessJob::api_version(&()).into_owned(),
        kind: ProcessJob::kind(&()).into_owned(),
        name: request.job.name.clone(),
        uid: request.owner_uid.to_owned(),
        controller: Some(true),
        // Nobody who deletes a job is to wait for its pods.
        block_owner_deletion: Some(false),
    }
}

fn spec(request: &PodRequest<'_>, settings: &Settings, image: String) -> PodSpec {
    let (template, pods) = (&request.job.pod_template, &settings.pods);
    let mut agent = agent(request, settings);
    let mut installers = None;
    match request.start {
        PodStart::Hook => {
            let exec = LifecycleHandler { exec: Some(ExecAction { command: Some(install()) }), ..Default::default() };
            agent.lifecycle = Some(Lifecycle { post_start: Some(exec), ..Lifecycle::default() });
        }
        PodStart::Init => installers = Some(vec![installer(pods)]),
    }
    let secrets = pods.image_pull_secrets.iter().chain(&template.image_pull_secrets);
    let secrets: Vec<_> = secrets.map(|name| LocalObjectReference { name: name.clone() }).collect();
    PodSpec {
        restart_policy: Some("Never".to_owned()),
        service_account_name: Some(pods.service_account.clone()),
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        security_context: Some(security::of_pod(pods)),
        init_containers: installers,
        // The kubelet starts containers in this order, and a hook ends before the next container starts.
        containers: vec![agent, tool(request, pods, image)],
        volumes: Some(volumes(request)),
        image_pull_secrets: (!secrets.is_empty()).then_some(secrets),
        node_selector: (!template.node_selector.is_empty()).then(|| template.node_selector.clone()),
        tolerations: Some(tolerations(request)),
        priority_class_name: template.priority_class_name.clone(),
        termination_grace_period_seconds: Some(POD_GRACE_SECONDS),
        active_deadline_seconds: Some(seconds_max(request.requirements)),
        ..PodSpec::default()
    }
}

fn agent(request: &PodRequest<'_>, settings: &Settings) -> Container {
    let text = |name: &str, value: String| EnvVar { name: name.to_owned(), value: Some(value), value_from: None };
    let uid = ObjectFieldSelector { field_path: "metadata.uid".to_owned(), api_version: Some("v1".to_owned()) };
    let mut env = vec![
        text("WEIR_FOLDER", SHARED.1.to_owned()),
        text("WEIR_OPERATOR_URL", settings.agents_url.clone()),
        text("WEIR_TOKEN_FILE", format!("{}/{TOKEN_FILE}", TOKEN.1)),
        text("WEIR_CA", request.agents_ca.to_owned()),
        text("WEIR_RUN_ID", request.run_id.to_owned()),
        text("WEIR_INCARNATION", request.incarnation.0.to_string()),
        EnvVar {
            name: "WEIR_POD_UID".to_owned(),
            value: None,
            value_from: Some(EnvVarSource { field_ref: Some(uid), ..EnvVarSource::default() }),
        },
    ];
    if let Some(trusted) = &settings.store.trusted {
        env.push(text("WEIR_STORE_CA", String::from_utf8_lossy(trusted).into_owned()));
    }
    let token = VolumeMount { read_only: Some(true), ..mount(TOKEN) };
    Container {
        name: names::AGENT_CONTAINER.to_owned(),
        command: Some([AGENT, "run"].map(str::to_owned).into()),
        env: Some(env),
        volume_mounts: Some(vec![mount(SHARED), token]),
        ..of_our_image(&settings.pods)
    }
}

/// Does what the agent's hook does, before any other container starts.
fn installer(pods: &PodSettings) -> Container {
    Container {
        name: INSTALL_CONTAINER.to_owned(),
        command: Some(install()),
        volume_mounts: Some(vec![mount(SHARED)]),
        ..of_our_image(pods)
    }
}

fn install() -> Vec<String> {
    [AGENT, "install", SHARED.1].map(str::to_owned).into()
}

fn of_our_image(pods: &PodSettings) -> Container {
    Container {
        image: Some(pods.agent_image.clone()),
        image_pull_policy: Some(pods.image_pull_policy.clone()),
        resources: Some(resources::of_agent()),
        security_context: Some(security::of_agent()),
        ..Container::default()
    }
}

/// The tool's container: its image's environment, our shim in place of its entry point.
fn tool(request: &PodRequest<'_>, pods: &PodSettings, image: String) -> Container {
    Container {
        name: names::TOOL_CONTAINER.to_owned(),
        image: Some(image),
        image_pull_policy: Some(pods.image_pull_policy.clone()),
        command: Some(vec![SHIM.to_owned()]),
        // An image's own may be closed to our user, and then nothing starts. The shim goes where the order says.
        working_dir: Some("/".to_owned()),
        resources: Some(resources::of_tool(&request.resources, request.requirements, pods)),
        security_context: Some(security::of_tool()),
        volume_mounts: Some(vec![mount(SHARED), mount(TEMPORARY)]),
        ..Container::default()
    }
}

fn mount((name, path): (&str, &str)) -> VolumeMount {
    VolumeMount { name: name.to_owned(), mount_path: path.to_owned(), ..VolumeMount::default() }
}

fn volumes(request: &PodRequest<'_>) -> Vec<Volume> {
    let size = resources::disk_mib(&request.resources, request.requirements).map(resources::mebibytes);
    let empty = |(name, _): (&str, &str)| Volume {
        name: name.to_owned(),
        empty_dir: Some(EmptyDirVolumeSource { size_limit: size.clone(), medium: None }),
        ..Volume::default()
    };
    let token = ServiceAccountTokenProjection {
        audience: Some(names::AGENT_AUDIENCE.to_owned()),
        expiration_seconds: Some(AGENT_TOKEN_SECONDS),
        path: TOKEN_FILE.to_owned(),
    };
    let source = VolumeProjection { service_account_token: Some(token), ..VolumeProjection::default() };
    let projected = ProjectedVolumeSource { sources: Some(vec![source]), default_mode: None };
    let token = Volume { name: TOKEN.0.to_owned(), projected: Some(projected), ..Volume::default() };
    vec![empty(SHARED), empty(TEMPORARY), token]
}

fn tolerations(request: &PodRequest<'_>) -> Vec<Toleration> {
    let lost = |key: &str| Toleration {
        key: Some(key.to_owned()),
        operator: Some("Exists".to_owned()),
        effect: Some("NoExecute".to_owned()),
        toleration_seconds: Some(NODE_LOST_SECONDS),
        value: None,
    };
    let stated = request.job.pod_template.tolerations.iter().cloned();
    let stated = stated.map(|weir_api::kubernetes::process_job::Toleration { key, operator, value, effect }| {
        Toleration { key, operator, value, effect, toleration_seconds: None }
    });
    let own = ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"].map(lost);
    // What the admission plugin ExtendedResourceToleration adds, where a cluster has it.
    let gpu = (request.resources.gpus > 0).then(|| Toleration {
        key: Some(resources::GPU.to_owned()),
        operator: Some("Exists".to_owned()),
        effect: Some("NoSchedule".to_owned()),
        ..Toleration::default()
    });
    own.into_iter().chain(gpu).chain(stated).collect()
}

/// Seconds after which the kubelet ends the pod, whatever has become of the operator. A time limit that is computed may
/// differ between instances.
fn seconds_max(requirements: &Effective) -> i64 {
    match requirements.time_limit() {
        Some(Computed::Literal(seconds)) if *seconds > 0 => seconds.saturating_add(POD_MARGIN_SECONDS),
        _ => POD_SECONDS_MAX,
    }
}

#[cfg(test)]
pub(crate) mod tests;
