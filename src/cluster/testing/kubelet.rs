//! Pods by command: what scheduler and kubelets write.

use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::FakeApi;
use super::objects::{Key, now, text};

/// The node that pods get.
const NODE: &str = "node-1";

/// Plays scheduler and kubelets. Each command panics if there is no such pod.
#[derive(Debug, Clone)]
pub struct Kubelet {
    api: FakeApi,
}

impl Kubelet {
    pub(super) fn new(api: FakeApi) -> Self {
        Self { api }
    }

    /// The pod gets a node.
    pub fn schedule(&self, namespace: &str, name: &str) {
        self.write(namespace, name, |pod| {
            pod["spec"]["nodeName"] = json!(NODE);
            set_condition(pod, "PodScheduled", "True", "", "");
        });
    }

    /// No node fits: `0/2 nodes are available: ...`.
    pub fn unschedulable(&self, namespace: &str, name: &str, message: &str) {
        self.write(namespace, name, |pod| set_condition(pod, "PodScheduled", "False", "Unschedulable", message));
    }

    /// All containers run.
    pub fn start(&self, namespace: &str, name: &str) {
        self.schedule(namespace, name);
        self.write(namespace, name, |pod| {
            pod["status"]["phase"] = json!("Running");
            pod["status"]["startTime"] = now();
            pod["status"]["podIP"] = json!("10.0.0.7");
            for container in names(pod, "initContainers") {
                let state = json!({"terminated": {"exitCode": 0, "reason": "Completed"}});
                set_state(pod, &container, &state);
            }
            for container in names(pod, "containers") {
                set_state(pod, &container, &json!({"running": {"startedAt": now()}}));
            }
        });
    }

    /// A container cannot start: `ImagePullBackOff`, `CreateContainerConfigError`, `CrashLoopBackOff`.
    pub fn wait(&self, namespace: &str, name: &str, container: &str, reason: &str, message: &str) {
        self.schedule(namespace, name);
        self.write(namespace, name, |pod| {
            set_state(pod, container, &json!({"waiting": {"reason": reason, "message": message}}));
        });
    }

    /// A container ends with an exit code.
    pub fn exit(&self, namespace: &str, name: &str, container: &str, code: i32) {
        let reason = if code == 0 { "Completed" } else { "Error" };
        self.terminate(namespace, name, container, &json!({"exitCode": code, "reason": reason}));
    }

    /// A container ends like this (`ContainerStateTerminated`). The pod is over when its last one is.
    pub fn terminate(&self, namespace: &str, name: &str, container: &str, how: &Value) {
        self.write(namespace, name, |pod| {
            set_state(pod, container, &json!({"terminated": how}));
            let ended: Vec<Option<i64>> = names(pod, "containers")
                .iter()
                .map(|container| state(pod, container)["terminated"]["exitCode"].as_i64())
                .collect();
            if ended.iter().all(Option::is_some) {
                let succeeded = ended.iter().all(|code| *code == Some(0));
                pod["status"]["phase"] = json!(if succeeded { "Succeeded" } else { "Failed" });
            }
        });
    }

    /// The pod fails as a whole: reason `Evicted`, `NodeShutdown`, `DeadlineExceeded`.
    pub fn fail(&self, namespace: &str, name: &str, reason: &str, message: &str) {
        self.write(namespace, name, |pod| {
            pod["status"]["phase"] = json!("Failed");
            pod["status"]["reason"] = json!(reason);
            pod["status"]["message"] = json!(message);
        });
    }

    /// The platform is about to end the pod: condition `DisruptionTarget`.
    pub fn disrupt(&self, namespace: &str, name: &str, reason: &str, message: &str) {
        self.write(namespace, name, |pod| set_condition(pod, "DisruptionTarget", "True", reason, message));
    }

    /// Ends what was deleted: the object goes.
    pub fn remove(&self, namespace: &str, name: &str) {
        self.api.remove::<Pod>(namespace, name);
    }

    /// From now on every new pod is started and every deleted one removed, until the task is aborted.
    pub fn run_everything(&self) -> JoinHandle<()> {
        let kubelet = self.clone();
        tokio::spawn(async move {
            let mut changed = kubelet.api.changed.subscribe();
            loop {
                changed.mark_unchanged();
                for pod in kubelet.api.list::<Pod>("") {
                    let (namespace, name) =
                        (pod.metadata.namespace.unwrap_or_default(), pod.metadata.name.unwrap_or_default());
                    if pod.metadata.deletion_timestamp.is_some() {
                        kubelet.remove(&namespace, &name);
                    } else if pod.spec.is_some_and(|spec| spec.node_name.is_none()) {
                        kubelet.start(&namespace, &name);
                    }
                }
                if changed.changed().await.is_err() {
                    return;
                }
            }
        })
    }

    fn write(&self, namespace: &str, name: &str, write: impl FnOnce(&mut Value)) {
        let key = Key::of::<Pod>(namespace, name);
        let written = self.api.act(|objects| {
            let mut pod = objects.get(&key)?;
            write(&mut pod);
            objects.put(&key, pod)
        });
        written.expect("there is such a pod");
    }
}

/// Names of the containers in a list of the spec.
fn names(pod: &Value, list: &str) -> Vec<String> {
    let containers = pod["spec"][list].as_array().into_iter().flatten();
    containers.map(|container| text(container, "/name").to_owned()).collect()
}

fn state(pod: &Value, container: &str) -> Value {
    let statuses = pod["status"]["containerStatuses"].as_array().into_iter().flatten();
    let mut states = statuses.filter(|status| status["name"] == container).map(|status| status["state"].clone());
    states.next().unwrap_or_default()
}

fn set_state(pod: &mut Value, container: &str, state: &Value) {
    let initial = names(pod, "initContainers").iter().any(|name| name == container);
    let list = if initial { "initContainerStatuses" } else { "containerStatuses" };
    let status = json!({
        "name": container,
        "ready": !state["running"].is_null(),
        "started": !state["running"].is_null(),
        "restartCount": 0,
        "image": "", "imageID": "",
        "state": state,
    });
    replace_by(&mut pod["status"][list], "name", status);
}

fn set_condition(pod: &mut Value, kind: &str, status: &str, reason: &str, message: &str) {
    let condition =
        json!({"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": now()});
    replace_by(&mut pod["status"]["conditions"], "type", condition);
}

/// Puts an item into a list in the place of the one with the same key.
fn replace_by(list: &mut Value, key: &str, item: Value) {
    let mut items: Vec<Value> = list.as_array().cloned().unwrap_or_default();
    items.retain(|other| other[key] != item[key]);
    items.push(item);
    *list = Value::Array(items);
}
