//! What a step may use, in Kubernetes' words.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use weir_cwl::Computed;
use weir_cwl::requirement::{Effective, Resource};
use weir_plan::event::Resources;

use crate::limits::{AGENT_CPU_MILLICORES, AGENT_MEMORY_LIMIT_MIB, AGENT_MEMORY_MIB, TOOL_MEMORY_LIMIT_MIB_MIN};
use crate::settings::PodSettings;

/// What the device plugin of NVIDIA calls its GPUs. Nodes that are kept free for those who need one have a taint of the
/// same name.
pub const GPU: &str = "nvidia.com/gpu";

/// A step that asks for more than any step may have.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ResourcesError {
    /// Processors.
    #[error(
        "the step asks for {asked} cores, and a step may have at most {max} here; state fewer (`coresMin` of ResourceRequirement), or have the operator's limit raised"
    )]
    Cores {
        /// Cores.
        asked: f64,
        /// Cores.
        max: f64,
    },
    /// Memory.
    #[error(
        "the step asks for {asked} MiB of memory, and a step may have at most {max} MiB here; state less (`ramMin` of ResourceRequirement), or have the operator's limit raised"
    )]
    Memory {
        /// Mebibytes.
        asked: u64,
        /// Mebibytes.
        max: u64,
    },
}

/// Refuses what no node is to be asked for.
pub fn check(resources: &Resources, settings: &PodSettings) -> Result<(), ResourcesError> {
    let (cores, ram) = (resources.cores, resources.ram_mib);
    if cores > settings.cores_max {
        return Err(ResourcesError::Cores { asked: cores, max: settings.cores_max });
    }
    if ram > settings.ram_mib_max {
        return Err(ResourcesError::Memory { asked: ram, max: settings.ram_mib_max });
    }
    Ok(())
}

/// Of the tool's container. There is no limit on processors: an idle processor helps nobody.
pub fn of_tool(resources: &Resources, requirements: &Effective, settings: &PodSettings) -> ResourceRequirements {
    let mut requests = BTreeMap::from([
        ("cpu".to_owned(), millicores(resources.cores)),
        ("memory".to_owned(), mebibytes(resources.ram_mib)),
    ]);
    if let Some(disk) = disk_mib(resources, requirements) {
        requests.insert("ephemeral-storage".to_owned(), mebibytes(disk));
    }
    let most = resources.ram_mib.max(ram_max_mib(resources, requirements).unwrap_or(0));
    let limit = scaled(most, settings.memory_headroom.max(1.0)).max(TOOL_MEMORY_LIMIT_MIB_MIN);
    let mut limits = BTreeMap::from([("memory".to_owned(), mebibytes(limit))]);
    if resources.gpus > 0 {
        // What is requested of such a resource is always its limit.
        limits.insert(GPU.to_owned(), Quantity(resources.gpus.to_string()));
    }
    ResourceRequirements { requests: Some(requests), limits: Some(limits), ..ResourceRequirements::default() }
}

/// Of the agent's container, and of the one that installs the shim.
pub fn of_agent() -> ResourceRequirements {
    let requests = BTreeMap::from([
        ("cpu".to_owned(), Quantity(format!("{AGENT_CPU_MILLICORES}m"))),
        ("memory".to_owned(), mebibytes(AGENT_MEMORY_MIB)),
    ]);
    let limits = BTreeMap::from([("memory".to_owned(), mebibytes(AGENT_MEMORY_LIMIT_MIB))]);
    ResourceRequirements { requests: Some(requests), limits: Some(limits), ..ResourceRequirements::default() }
}

/// Mebibytes of disk that the pod may fill: outputs and temporary files together. `None` where the package states
/// neither: the defaults of CWL's `runtime` say nothing about the size of Earth-observation products, and the node's own
/// limit holds.
pub fn disk_mib(resources: &Resources, requirements: &Effective) -> Option<u64> {
    let Resource { tmpdir_min, tmpdir_max, outdir_min, outdir_max, .. } = requirements.resource()?;
    let is_stated = [tmpdir_min, tmpdir_max, outdir_min, outdir_max].into_iter().any(Option::is_some);
    is_stated.then(|| resources.outdir_mib.saturating_add(resources.tmpdir_mib))
}

/// `ramMax`, mebibytes, raised as the request was after the tool ran out of memory: or its limit would stay as it was. One
/// that is computed may differ between the instances of a step, of which a pod knows nothing.
fn ram_max_mib(resources: &Resources, requirements: &Effective) -> Option<u64> {
    let resource = requirements.resource()?;
    let literal = |amount: &Option<Computed<f64>>| match amount {
        Some(Computed::Literal(mebibytes)) => Some(scaled(1, *mebibytes)),
        _ => None,
    };
    let most = literal(&resource.ram_max)?;
    // What the first attempt asked for, where that can be known here.
    let first = literal(if resource.ram_min.is_some() { &resource.ram_min } else { &resource.ram_max });
    let raised = first.map_or(1, |first| resources.ram_mib / first.max(1)).max(1);
    Some(most.saturating_mul(raised))
}

/// Rounded up; saturates.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "amounts are far below 2^52; what is not saturates, and nothing is negative"
)]
fn scaled(amount: u64, factor: f64) -> u64 {
    (amount as f64 * factor).ceil() as u64
}

/// A quantity of memory or disk.
pub fn mebibytes(amount: u64) -> Quantity {
    Quantity(format!("{amount}Mi"))
}

/// A quantity of processors, rounded up.
fn millicores(cores: f64) -> Quantity {
    Quantity(format!("{}m", scaled(1000, cores)))
}

#[cfg(test)]
mod tests {
    use weir_cwl::requirement::Requirements;

    use super::*;
    use crate::build::pod::tests::settings;

    const SMALL: Resources = Resources { cores: 0.25, ram_mib: 100, tmpdir_mib: 10, outdir_mib: 5, gpus: 0 };

    fn states(resource: Resource) -> Effective {
        let requirements = Requirements { resource: Some(resource), ..Requirements::default() };
        Effective { requirements, hints: Requirements::default() }
    }

    fn shown(requirements: &ResourceRequirements) -> String {
        let side = |side: &Option<BTreeMap<String, Quantity>>| {
            let amounts = side.iter().flatten().map(|(name, Quantity(amount))| format!("{name}={amount}"));
            amounts.collect::<Vec<_>>().join(" ")
        };
        format!("{} | {}", side(&requirements.requests), side(&requirements.limits))
    }

    #[test]
    fn the_memory_limit_is_the_larger_of_request_and_maximum_times_the_headroom() {
        let settings = settings().pods;
        let tool = |effective: &Effective| shown(&of_tool(&SMALL, effective, &settings));
        insta::assert_snapshot!(tool(&Effective::default()), @"cpu=250m memory=100Mi | memory=200Mi");
        let maximum = Resource { ram_max: Some(Computed::Literal(150.5)), ..Resource::default() };
        insta::assert_snapshot!(tool(&states(maximum)), @"cpu=250m memory=100Mi | memory=302Mi");
    }

    #[test]
    fn a_step_that_ran_out_of_memory_gets_a_higher_limit_whatever_its_maximum() {
        let settings = settings().pods;
        let literal = |mebibytes| Some(Computed::Literal(mebibytes));
        let stated = states(Resource { ram_min: literal(100.0), ram_max: literal(800.0), ..Resource::default() });
        let tool = |ram_mib| shown(&of_tool(&Resources { ram_mib, ..SMALL }, &stated, &settings));
        insta::assert_snapshot!(tool(100), @"cpu=250m memory=100Mi | memory=1600Mi");
        insta::assert_snapshot!(tool(200), @"cpu=250m memory=200Mi | memory=3200Mi");
    }

    #[test]
    fn disk_is_asked_for_and_limited_only_where_the_package_says_how_much() {
        assert_eq!(disk_mib(&SMALL, &Effective::default()), None);
        let stated = states(Resource { outdir_min: Some(Computed::Literal(5.0)), ..Resource::default() });
        assert_eq!(disk_mib(&SMALL, &stated), Some(15));
        insta::assert_snapshot!(shown(&of_tool(&SMALL, &stated, &settings().pods)), @"cpu=250m ephemeral-storage=15Mi memory=100Mi | memory=200Mi");
    }

    #[test]
    fn a_tool_that_states_no_memory_still_has_room_for_the_shim() {
        let nothing = Resources { cores: 0.0, ram_mib: 0, tmpdir_mib: 0, outdir_mib: 0, gpus: 0 };
        insta::assert_snapshot!(shown(&of_tool(&nothing, &Effective::default(), &settings().pods)), @"cpu=0m memory=0Mi | memory=32Mi");
    }

    #[test]
    fn a_gpu_is_a_limit_of_the_tool_where_one_is_asked_for_and_nothing_else() {
        let settings = settings().pods;
        let two = Resources { gpus: 2, ..SMALL };
        insta::assert_snapshot!(shown(&of_tool(&two, &Effective::default(), &settings)), @"cpu=250m memory=100Mi | memory=200Mi nvidia.com/gpu=2");
        assert!(!shown(&of_tool(&SMALL, &Effective::default(), &settings)).contains("gpu"));
    }

    #[test]
    fn what_exceeds_the_limits_is_refused_with_the_limit() {
        let settings = settings().pods;
        assert_eq!(check(&SMALL, &settings), Ok(()));
        let many = Resources { cores: 64.5, ..SMALL };
        insta::assert_snapshot!(check(&many, &settings).unwrap_err(), @"the step asks for 64.5 cores, and a step may have at most 16 here; state fewer (`coresMin` of ResourceRequirement), or have the operator's limit raised");
        let large = Resources { ram_mib: 1 << 20, ..SMALL };
        insta::assert_snapshot!(check(&large, &settings).unwrap_err(), @"the step asks for 1048576 MiB of memory, and a step may have at most 65536 MiB here; state less (`ramMin` of ResourceRequirement), or have the operator's limit raised");
    }
}
