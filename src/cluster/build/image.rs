//! Which image a tool runs in.

use weir_cwl::requirement::{Docker, Effective};

use crate::settings::PodSettings;

/// The registry that an image without one comes from.
const DEFAULT_REGISTRY: &str = "docker.io";
/// Where that registry keeps images of one segment.
const DEFAULT_NAMESPACE: &str = "library";

/// Why a tool has no image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    /// The operator's settings do not allow it.
    #[error("the image `{image}` is not allowed here; allowed are images whose names begin with {allowed}")]
    NotAllowed {
        /// As the package names it.
        image: String,
        /// The prefixes.
        allowed: String,
    },
    /// Not the name of an image.
    #[error("`{0}` is no image name; `dockerPull` takes names such as `ghcr.io/eoap/crop:1.0`")]
    Malformed(String),
    /// There is no name at all.
    #[error(
        "`{0}` cannot be honoured, because nothing builds images here; push the image to a registry and name it in `dockerPull`"
    )]
    Built(String),
}

/// The image of a tool: what its DockerRequirement names; the built-in tools' own image for their bare name; the
/// settings' default where nothing is named.
pub fn tool_image(requirements: &Effective, settings: &PodSettings) -> Result<String, ImageError> {
    let Some((docker, is_required)) = requirements.docker() else { return Ok(settings.default_image.clone()) };
    let Some(image) = named(docker) else {
        return match &docker.builds {
            Some(field) if is_required => Err(ImageError::Built(field.clone())),
            _ => Ok(settings.default_image.clone()),
        };
    };
    if settings.own_images.contains(without_tag(image)) {
        return Ok(settings.eo_image.clone());
    }
    if image.is_empty() || image.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(ImageError::Malformed(image.to_owned()));
    }
    if !is_allowed(image, &settings.allowed_images) {
        let quoted: Vec<_> = settings.allowed_images.iter().map(|prefix| format!("`{prefix}`")).collect();
        return Err(ImageError::NotAllowed { image: image.to_owned(), allowed: quoted.join(", ") });
    }
    Ok(image.to_owned())
}

fn named(docker: &Docker) -> Option<&str> {
    docker.pull.as_deref().or(docker.image_id.as_deref())
}

/// An image name without tag and digest. A colon before the last slash belongs to the registry's port.
fn without_tag(image: &str) -> &str {
    let image = image.split('@').next().unwrap_or(image);
    let last = image.rfind('/').map_or(0, |slash| slash + 1);
    image[last..].find(':').map_or(image, |colon| &image[..last + colon])
}

fn is_allowed(image: &str, prefixes: &[String]) -> bool {
    let whole = with_registry(image);
    prefixes.is_empty() || prefixes.iter().any(|prefix| begins_with(image, prefix) || begins_with(&whole, prefix))
}

/// Whether `prefix` is a beginning of whole words: `ghcr.io/eoap` allows `ghcr.io/eoap/crop`, not `ghcr.io/eoap-too/crop`.
fn begins_with(image: &str, prefix: &str) -> bool {
    let is_end = |c: char| matches!(c, '/' | ':' | '@');
    image
        .strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || prefix.ends_with(is_end) || rest.starts_with(is_end))
}

/// The name with the registry that container runtimes add, so that a prefix may state it.
fn with_registry(image: &str) -> String {
    match image.split_once('/') {
        Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => image.to_owned(),
        Some(_) => format!("{DEFAULT_REGISTRY}/{image}"),
        None => format!("{DEFAULT_REGISTRY}/{DEFAULT_NAMESPACE}/{image}"),
    }
}

#[cfg(test)]
mod tests {
    use weir_cwl::requirement::Requirements;

    use super::*;
    use crate::build::pod::tests::settings;

    fn requires(docker: Docker) -> Effective {
        Effective {
            requirements: Requirements { docker: Some(docker), ..Requirements::default() },
            hints: Requirements::default(),
        }
    }

    fn pull(image: &str, allowed: &[&str]) -> Result<String, ImageError> {
        let mut settings = settings().pods;
        settings.allowed_images = allowed.iter().map(|&prefix| prefix.to_owned()).collect();
        tool_image(&requires(Docker { pull: Some(image.to_owned()), ..Docker::default() }), &settings)
    }

    #[test]
    fn the_package_names_the_image_or_the_settings_do() {
        let settings = settings().pods;
        assert_eq!(pull("ghcr.io/a/b@sha256:00", &[]).unwrap(), "ghcr.io/a/b@sha256:00");
        let id = Docker { image_id: Some("by/id".to_owned()), ..Docker::default() };
        assert_eq!(tool_image(&requires(id), &settings).unwrap(), "by/id");
        assert_eq!(tool_image(&Effective::default(), &settings).unwrap(), settings.default_image);
        assert_eq!(tool_image(&requires(Docker::default()), &settings).unwrap(), settings.default_image);
    }

    #[test]
    fn a_bare_name_of_ours_means_our_image_whatever_is_allowed() {
        let eo = settings().pods.eo_image;
        assert_eq!(pull("weir-eo", &["ghcr.io/"]).unwrap(), eo);
        assert_eq!(pull("weir-eo:1.0", &[]).unwrap(), eo);
        assert_eq!(pull("evil/weir-eo", &[]).unwrap(), "evil/weir-eo");
    }

    #[test]
    fn an_allowed_prefix_ends_where_a_word_ends() {
        assert!(pull("ghcr.io/eoap/crop:1", &["ghcr.io/eoap"]).is_ok());
        assert!(pull("ghcr.io/eoap/crop:1", &["quay.io/", "ghcr.io/eoap/"]).is_ok());
        assert!(pull("ghcr.io/eoap-too/crop:1", &["ghcr.io/eoap"]).is_err());
        assert!(pull("osgeo/gdal:1", &["docker.io/osgeo"]).is_ok());
        assert!(pull("debian", &["docker.io/library/debian"]).is_ok());
        assert!(pull("localhost/debian", &["docker.io"]).is_err());
        assert!(pull("localhost:5000/debian", &["docker.io"]).is_err());
        insta::assert_snapshot!(pull("a/b", &["ghcr.io/", "quay.io/"]).unwrap_err(), @"the image `a/b` is not allowed here; allowed are images whose names begin with `ghcr.io/`, `quay.io/`");
    }

    #[test]
    fn what_is_no_image_name_is_refused_before_the_api_server_does() {
        assert_eq!(pull("a b", &[]), Err(ImageError::Malformed("a b".to_owned())));
        assert_eq!(pull("", &[]), Err(ImageError::Malformed(String::new())));
    }

    #[test]
    fn an_image_that_would_have_to_be_built_is_refused_if_required_and_forgotten_if_hinted() {
        let docker = Docker { builds: Some("dockerFile".to_owned()), ..Docker::default() };
        let settings = settings().pods;
        assert_eq!(tool_image(&requires(docker.clone()), &settings), Err(ImageError::Built("dockerFile".to_owned())));
        let Effective { requirements, hints } = requires(docker);
        let hinted = Effective { requirements: hints, hints: requirements };
        assert_eq!(tool_image(&hinted, &settings).unwrap(), settings.default_image);
    }
}
