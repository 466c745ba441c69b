//! Which images a package may use. Pure.

use weir_cwl::requirement::Requirements;
use weir_cwl::source::Span;
use weir_cwl::{Package, Process};

use crate::settings::PodSettings;

/// Every image of the package that the settings do not allow, one sentence each with its place.
///
/// All levels are looked at, whether another one overrides them or not: which image runs is decided elsewhere, and must not
/// decide what is allowed.
pub fn violations(package: &Package, settings: &PodSettings) -> Vec<String> {
    let mut found = Vec::new();
    for process in &package.processes {
        let header = process.header();
        look(&header.requirements, &header.span, settings, &mut found);
        look(&header.hints, &header.span, settings, &mut found);
        let steps = match process {
            Process::Workflow(workflow) => workflow.steps.as_slice(),
            _ => &[],
        };
        for step in steps {
            look(&step.requirements, &step.span, settings, &mut found);
            look(&step.hints, &step.span, settings, &mut found);
        }
    }
    found
}

fn look(requirements: &Requirements, span: &Span, settings: &PodSettings, found: &mut Vec<String>) {
    let Some(docker) = &requirements.docker else { return };
    for image in docker.pull.iter().chain(&docker.image_id) {
        if !is_allowed(image, settings) {
            let allowed = settings.allowed_images.join(", ");
            let message = format!("{span}: the image `{image}` is not allowed; the operator allows {allowed}");
            if !found.contains(&message) {
                found.push(message);
            }
        }
    }
}

/// Whether packages may use an image.
fn is_allowed(image: &str, settings: &PodSettings) -> bool {
    if settings.allowed_images.is_empty() || settings.own_images.contains(image) {
        return true;
    }
    let whole = whole_name(image);
    settings.allowed_images.iter().any(|prefix| has_prefix(&whole, prefix) || has_prefix(&whole, &whole_name(prefix)))
}

/// `ghcr.io/org` is a prefix of `ghcr.io/org/tool:1` and not of `ghcr.io/organisation/tool`.
fn has_prefix(image: &str, prefix: &str) -> bool {
    let ends_a_part = |byte: u8| b"/:@".contains(&byte);
    image.strip_prefix(prefix).is_some_and(|rest| {
        rest.is_empty()
            || rest.bytes().next().is_some_and(ends_a_part)
            || prefix.bytes().last().is_some_and(ends_a_part)
    })
}

/// The name with the registry that container runtimes add: `alpine` is `docker.io/library/alpine`.
fn whole_name(image: &str) -> String {
    let image = image.trim();
    match image.split_once('/') {
        Some((registry, _)) if registry.contains(['.', ':']) || registry == "localhost" => image.to_owned(),
        Some(_) => format!("docker.io/{image}"),
        None => format!("docker.io/library/{image}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intake::fixture;

    fn settings(allowed: &[&str]) -> PodSettings {
        let allowed_images = allowed.iter().map(ToString::to_string).collect();
        PodSettings { allowed_images, ..fixture::settings().pods }
    }

    #[test]
    fn prefixes_end_where_a_part_of_the_name_ends() {
        let settings = settings(&["ghcr.io/org", "registry.example:5000/", "docker.io/library/alpine", "team/tools"]);
        for allowed in [
            "ghcr.io/org/tool:1",
            "ghcr.io/org@sha256:00",
            "registry.example:5000/a/b",
            "alpine",
            "alpine:3",
            "docker.io/library/alpine:3",
            "team/tools/x",
            "docker.io/team/tools:1",
            "weir-eo",
        ] {
            assert!(is_allowed(allowed, &settings), "{allowed}");
        }
        for refused in
            ["ghcr.io/organisation/tool", "ghcr.io/other", "evil/alpine", "alpine2", "weir-eo2", "quay.io/team/tools"]
        {
            assert!(!is_allowed(refused, &settings), "{refused}");
        }
    }

    #[test]
    fn without_prefixes_every_image_is_allowed() {
        assert!(is_allowed("anything/at:all", &settings(&[])));
    }

    #[test]
    fn images_of_hints_and_steps_are_looked_at_too() {
        let text = "
cwlVersion: v1.2
class: Workflow
id: w
inputs: {}
outputs: {}
steps:
  a:
    in: {}
    out: []
    requirements: {DockerRequirement: {dockerPull: evil.example/step}}
    run: {class: CommandLineTool, baseCommand: a, inputs: {}, outputs: {}, hints: {DockerRequirement: {dockerPull: evil.example/hint}}}
  b:
    in: {}
    out: []
    run: {class: CommandLineTool, baseCommand: a, inputs: {}, outputs: {}, requirements: {DockerRequirement: {dockerPull: ghcr.io/org/good}}}
";
        let package = weir_cwl::load_text("weir:p.cwl", text, None, &weir_cwl::load::NoFetch).unwrap();
        insta::assert_snapshot!(violations(&package, &settings(&["ghcr.io/org/"])).join("\n"), @"
        weir:p.cwl:8:3: the image `evil.example/step` is not allowed; the operator allows ghcr.io/org/
        weir:p.cwl:12:10: the image `evil.example/hint` is not allowed; the operator allows ghcr.io/org/
        ");
    }
}
