//! Answers to requests: the part of HTTP.

use std::collections::VecDeque;
use std::time::Duration;

use axum::body::Body;
use futures_util::stream::{self, Stream};
use http::{Request, Response, StatusCode, header};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::FakeApi;
use super::call::Call;
use super::faults::{Effect, Fault, Link};
use super::objects::{Change, Deletion, Key, Objects, Refusal, text};
use super::patch;
use super::review::review;

impl FakeApi {
    /// Does what a request asks for.
    pub(super) async fn answer(
        &self,
        request: Request<kube::client::Body>,
        link: &Link,
    ) -> std::io::Result<Response<Body>> {
        let (head, body) = request.into_parts();
        let body = body.collect_bytes().await.map_err(std::io::Error::other)?;
        let Some(call) = Call::parse(&head.method, &head.uri) else {
            return Ok(refused(&Refusal::new(404, "NotFound", format!("no such path: {} {}", head.method, head.uri))));
        };
        let fault = {
            let mut state = self.state();
            state.requests.push(call.request.clone());
            Fault::strike(&mut state.faults, &call.request)
        };
        if let Some(Effect::Refuse(refusal)) = &fault {
            self.changed.send_replace(());
            return Ok(refused(refusal));
        }
        let named = |name| head.headers.get(name).and_then(|value: &http::HeaderValue| value.to_str().ok());
        let metadata_only = named(header::ACCEPT).is_some_and(|accept| accept.contains("PartialObjectMetadata"));
        if call.request.verb == "watch" {
            self.changed.send_replace(());
            let watch = Watch::new(self.clone(), link.clone(), call, metadata_only);
            return Ok(Response::new(Body::from_stream(watch.stream())));
        }
        let content_type = named(header::CONTENT_TYPE).unwrap_or_default();
        if call.request.is("get", "pods/log") {
            return Ok(self.log(&call).map_or_else(|refusal| refused(&refusal), |log| Response::new(Body::from(log))));
        }
        let done = self.perform(&call, content_type, &body);
        self.changed.send_replace(());
        if fault.is_some() {
            return Ok(refused(&Refusal::new(504, "Timeout", "the test lost the answer".to_owned())));
        }
        Ok(match done {
            Ok((code, object)) => respond(code, &if metadata_only { only_metadata(object) } else { object }),
            Err(refusal) => refused(&refusal),
        })
    }

    /// What a container has written.
    fn log(&self, call: &Call) -> Result<String, Refusal> {
        let state = self.state();
        state.objects.get(&call.key)?;
        let container = call.parameter("container").unwrap_or_default();
        let known = state.logs.get(&[call.key.namespace.clone(), call.key.name.clone(), container.to_owned()]);
        known.cloned().ok_or_else(|| {
            let message = format!("container \"{container}\" in pod \"{}\" is waiting to start", call.key.name);
            Refusal::new(400, "BadRequest", message)
        })
    }

    fn perform(&self, call: &Call, content_type: &str, body: &[u8]) -> Result<(StatusCode, Value), Refusal> {
        let bad = |error: serde_json::Error| Refusal::new(400, "BadRequest", error.to_string());
        let parse = || serde_json::from_slice::<Value>(body).map_err(bad);
        let ok = |object| (StatusCode::OK, object);
        let key = &call.key;
        let mut state = self.state();
        let objects = &mut state.objects;
        match call.request.verb {
            "create" if key.plural == "tokenreviews" => Ok((StatusCode::CREATED, review(&state.tokens, parse()?))),
            "create" => {
                let mut object = parse()?;
                if let (true, Some(members)) = (key.has_status(), object.as_object_mut()) {
                    members.remove("status");
                }
                Ok((StatusCode::CREATED, objects.create(key, object)?))
            }
            "get" => objects.get(key).map(ok),
            "list" => {
                let mut items = objects.list(key);
                items.retain(|object| call.selectors.select(object));
                let metadata = json!({"resourceVersion": objects.version().to_string()});
                Ok(ok(json!({"kind": "List", "apiVersion": "v1", "metadata": metadata, "items": items})))
            }
            "update" => {
                let object = parse()?;
                write(objects, call, object).map(ok)
            }
            "patch" if content_type.contains("apply") && objects.get(key).is_err() => {
                let mut object = parse()?;
                object["metadata"]["name"] = json!(key.name);
                Ok((StatusCode::CREATED, objects.create(key, object)?))
            }
            "patch" => {
                let patch = parse()?;
                let mut object = objects.get(key)?;
                // A patch that names no version fits any.
                object["metadata"]["resourceVersion"] = Value::Null;
                if content_type.contains("json-patch") {
                    object["metadata"]["resourceVersion"] = objects.get(key)?["metadata"]["resourceVersion"].clone();
                    patch::json_patch(&mut object, &patch)?;
                } else {
                    patch::merge(&mut object, &patch);
                }
                write(objects, call, object).map(ok)
            }
            "delete" => {
                let left = objects.delete(key, &deletion(call, body))?;
                Ok(ok(left.unwrap_or_else(success)))
            }
            _ => {
                let chosen: Vec<Value> = objects.list(key).into_iter().filter(|o| call.selectors.select(o)).collect();
                for object in &chosen {
                    let name = text(object, "/metadata/name").to_owned();
                    let namespace = text(object, "/metadata/namespace").to_owned();
                    objects.delete(&Key { namespace, name, ..key.clone() }, &deletion(call, body))?;
                }
                Ok(ok(success()))
            }
        }
    }
}

/// Writes an object or its status; each leaves the other alone.
fn write(objects: &mut Objects, call: &Call, mut object: Value) -> Result<Value, Refusal> {
    let before = objects.get(&call.key)?;
    if call.subresource.as_deref() == Some("status") {
        let version = object["metadata"]["resourceVersion"].clone();
        let status = object["status"].clone();
        object = before;
        object["metadata"]["resourceVersion"] = version;
        object["status"] = status;
    } else if call.key.has_status() {
        object["status"] = before["status"].clone();
    }
    objects.put(&call.key, object)
}

fn deletion(call: &Call, body: &[u8]) -> Deletion {
    let options: Value = serde_json::from_slice(body).unwrap_or_default();
    let wanted = |name: &str| options["preconditions"][name].as_str().map(str::to_owned);
    let grace = call.parameter("gracePeriodSeconds").and_then(|seconds| seconds.parse().ok());
    Deletion {
        grace_seconds: options["gracePeriodSeconds"].as_i64().or(grace),
        uid: wanted("uid"),
        version: wanted("resourceVersion"),
        orphan: options["propagationPolicy"] == "Orphan",
    }
}

fn success() -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 200})
}

/// An object or a list as `PartialObjectMetadata`.
fn only_metadata(object: Value) -> Value {
    match object["items"].as_array() {
        Some(items) => {
            let items: Vec<Value> = items.iter().cloned().map(only_metadata).collect();
            json!({
                "kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1",
                "metadata": object["metadata"], "items": items,
            })
        }
        None if object["kind"] == "Status" => object,
        None => json!({
            "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"],
        }),
    }
}

fn refused(refusal: &Refusal) -> Response<Body> {
    let code = StatusCode::from_u16(refusal.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    respond(code, &refusal.status())
}

fn respond(code: StatusCode, body: &Value) -> Response<Body> {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = code;
    response
}

/// One open watch.
struct Watch {
    api: FakeApi,
    link: Link,
    call: Call,
    metadata_only: bool,
    /// The last version that it told of.
    version: u64,
    /// How many times watches of this resource had been dropped when it began.
    dropped: usize,
    ends: Instant,
    /// Events that are not sent yet.
    ready: VecDeque<Value>,
    /// Nothing follows what is ready.
    over: bool,
}

impl Watch {
    fn new(api: FakeApi, link: Link, call: Call, metadata_only: bool) -> Self {
        let seconds = call.parameter("timeoutSeconds").and_then(|seconds| seconds.parse().ok()).unwrap_or(1800);
        let from: u64 = call.parameter("resourceVersion").and_then(|version| version.parse().ok()).unwrap_or(0);
        let (ready, version, dropped) = {
            let state = api.state();
            let mut ready = VecDeque::new();
            let everything = from == 0 || call.asks("sendInitialEvents");
            let version = if everything { state.objects.version() } else { from };
            if everything {
                let objects = state.objects.list(&call.key).into_iter().filter(|object| call.selectors.select(object));
                ready.extend(objects.map(|object| json!({"type": "ADDED", "object": object})));
            }
            if call.asks("sendInitialEvents") {
                ready.push_back(json!({"type": "BOOKMARK", "object": {
                    "kind": "Bookmark", "apiVersion": "v1",
                    "metadata": {
                        "resourceVersion": version.to_string(),
                        "annotations": {"k8s.io/initial-events-end": "true"},
                    },
                }}));
            }
            (ready, version, count_dropped(&state.dropped, &call))
        };
        let ends = Instant::now() + Duration::from_secs(seconds);
        Self { api, link, call, metadata_only, version, dropped, ends, ready, over: false }
    }

    fn stream(self) -> impl Stream<Item = std::io::Result<String>> + Send + 'static {
        stream::unfold(self, |mut watch| async move {
            let event = watch.next().await?;
            let line = event.map(|event| format!("{event}\n"));
            Some((line, watch))
        })
    }

    async fn next(&mut self) -> Option<std::io::Result<Value>> {
        let mut changed = self.api.changed.subscribe();
        loop {
            // Nothing leaves through a silent network; a broken one breaks the watch.
            if let Err(error) = self.link.passed().await {
                self.over = true;
                self.ready.clear();
                return Some(Err(error));
            }
            changed.borrow_and_update();
            if let Some(event) = self.ready.pop_front() {
                return Some(Ok(self.shown(event)));
            }
            if self.over {
                return None;
            }
            self.look();
            if !self.ready.is_empty() || self.over {
                continue;
            }
            tokio::select! {
                _ = changed.changed() => {}
                () = self.link.broken() => {}
                () = tokio::time::sleep_until(self.ends) => self.over = true,
            }
        }
    }

    /// Takes what has happened since.
    fn look(&mut self) {
        let state = self.api.state();
        if count_dropped(&state.dropped, &self.call) != self.dropped {
            self.over = true;
        } else if !state.held.contains(&self.call.key.plural) {
            match state.objects.since(self.version, &self.call.key) {
                Ok(changes) => {
                    self.ready.extend(changes.into_iter().filter_map(|change| event(&self.call, change)));
                    self.version = state.objects.version();
                }
                Err(refusal) => {
                    self.ready.push_back(json!({"type": "ERROR", "object": refusal.status()}));
                    self.over = true;
                }
            }
        }
    }

    fn shown(&self, mut event: Value) -> Value {
        if self.metadata_only && event["type"] != "ERROR" {
            event["object"] = only_metadata(event["object"].take());
        }
        event
    }
}

fn count_dropped(dropped: &[String], call: &Call) -> usize {
    dropped.iter().filter(|resource| **resource == call.key.plural).count()
}

/// What a change means to those who selected.
fn event(call: &Call, change: Change) -> Option<Value> {
    let selected = |object: &Option<Value>| object.as_ref().is_some_and(|object| call.selectors.select(object));
    let (kind, object) = match (selected(&change.before), selected(&change.after)) {
        (false, true) => ("ADDED", change.after),
        (true, true) => ("MODIFIED", change.after),
        (true, false) => ("DELETED", change.after.or(change.before)),
        (false, false) => return None,
    };
    let mut object = object?;
    object["metadata"]["resourceVersion"] = json!(change.version.to_string());
    Some(json!({"type": kind, "object": object}))
}
