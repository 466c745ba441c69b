//! `runtime` as expressions see it, and what a step asks for (CWL v1.2 Command Line Tool Description, §4.4 "Runtime
//! environment" and "`ResourceRequirement`"; `CUDARequirement` of cwltool's extensions).

use weir_api::limits::{DEFAULT_CORES, DEFAULT_DISK_MIB, DEFAULT_RAM_MIB};

use crate::expression::{Computed, Context, Evaluate, EvaluationError};
use crate::requirement::{Cuda, Effective, Resource};
use crate::value::{Number, Record, Value};

/// Where and with what a tool runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Runtime {
    /// Absolute path of the designated output directory, without a slash at its end.
    pub outdir: String,
    /// Absolute path of the designated temporary directory, without a slash at its end.
    pub tmpdir: String,
    /// Reserved cores.
    pub cores: f64,
    /// Reserved mebibytes of memory.
    pub ram_mib: u64,
    /// Reserved mebibytes of output space.
    pub outdir_size_mib: u64,
    /// Reserved mebibytes of temporary space.
    pub tmpdir_size_mib: u64,
    /// The tool's exit code: only for `outputEval`.
    pub exit_code: Option<i32>,
}

impl Runtime {
    /// The `runtime` object: exactly CWL's members, all numbers integers (cores rounded up).
    pub fn to_value(&self) -> Value {
        let mut members = Record::new();
        members.insert("outdir".to_owned(), self.outdir.as_str().into());
        members.insert("tmpdir".to_owned(), self.tmpdir.as_str().into());
        #[expect(clippy::cast_possible_truncation, reason = "a number of cores is far below 2^63")]
        members.insert("cores".to_owned(), Value::from((self.cores.ceil() as i64).max(1)));
        members.insert("ram".to_owned(), self.ram_mib.into());
        members.insert("outdirSize".to_owned(), self.outdir_size_mib.into());
        members.insert("tmpdirSize".to_owned(), self.tmpdir_size_mib.into());
        if let Some(code) = self.exit_code {
            members.insert("exitCode".to_owned(), Number::Int(code.into()).into());
        }
        Value::Record(members)
    }
}

/// What a step asks for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ResourceRequest {
    /// Cores; fractions as stated.
    pub cores: f64,
    /// Mebibytes of memory.
    pub ram_mib: u64,
    /// `ramMax`, mebibytes, if stated.
    pub ram_max_mib: Option<u64>,
    /// Mebibytes of temporary space.
    pub tmpdir_mib: u64,
    /// Mebibytes of output space.
    pub outdir_mib: u64,
    /// GPUs. A cluster gives out a number and no range of them: the least, or the most if that alone is stated.
    pub gpus: u64,
}

/// A `ResourceRequirement` or `CUDARequirement` that asks for nothing possible.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ResourceError {
    /// An expression failed.
    #[error("`{field}`: {source}")]
    Expression {
        /// The field.
        field: &'static str,
        /// Why.
        source: Box<EvaluationError>,
    },
    /// A negative, infinite or absurdly large number.
    #[error("`{field}` is {value}; it must be a number from 0 to 10^15")]
    OutOfRange {
        /// The field.
        field: &'static str,
        /// Its value.
        value: f64,
    },
    /// Minimum above maximum.
    #[error("`{minimum}` is greater than `{maximum}`")]
    Contradiction {
        /// `ramMin` and the like.
        minimum: &'static str,
        /// `ramMax` and the like.
        maximum: &'static str,
    },
}

impl Resource {
    /// The stated fields by their CWL names.
    pub fn fields(&self) -> impl Iterator<Item = (&'static str, &Computed<f64>)> {
        [
            ("coresMin", &self.cores_min),
            ("coresMax", &self.cores_max),
            ("ramMin", &self.ram_min),
            ("ramMax", &self.ram_max),
            ("tmpdirMin", &self.tmpdir_min),
            ("tmpdirMax", &self.tmpdir_max),
            ("outdirMin", &self.outdir_min),
            ("outdirMax", &self.outdir_max),
        ]
        .into_iter()
        .filter_map(|(name, field)| Some((name, field.as_ref()?)))
    }
}

impl Cuda {
    /// The stated fields by their CWL names.
    pub fn fields(&self) -> impl Iterator<Item = (&'static str, &Computed<f64>)> {
        [("cudaDeviceCountMin", &self.device_count_min), ("cudaDeviceCountMax", &self.device_count_max)]
            .into_iter()
            .filter_map(|(name, field)| Some((name, field.as_ref()?)))
    }
}

impl Effective {
    /// All amounts that the step states, of `ResourceRequirement` and `CUDARequirement`, by their CWL names.
    pub fn amounts(&self) -> impl Iterator<Item = (&'static str, &Computed<f64>)> {
        let devices = self.cuda().into_iter().flat_map(Cuda::fields);
        self.resource().into_iter().flat_map(Resource::fields).chain(devices)
    }
}

impl ResourceRequest {
    /// From the values of the fields: the minimum, else the maximum, else the default of [`weir_api::limits`]. Mebibytes
    /// and devices are rounded up.
    pub fn from_fields(stated: impl Fn(&str) -> Option<f64>) -> Result<Self, ResourceError> {
        let checked = |field: &'static str| match stated(field) {
            Some(value) if !(0.0..=1e15).contains(&value) => Err(ResourceError::OutOfRange { field, value }),
            other => Ok(other),
        };
        let pick = |minimum, maximum| match (checked(minimum)?, checked(maximum)?) {
            (Some(low), Some(high)) if low > high => Err(ResourceError::Contradiction { minimum, maximum }),
            (low, high) => Ok(low.or(high)),
        };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be 0 to 10^15")]
        let whole = |value: f64| value.ceil() as u64;
        Ok(Self {
            cores: pick("coresMin", "coresMax")?.unwrap_or(DEFAULT_CORES),
            ram_mib: pick("ramMin", "ramMax")?.map_or(DEFAULT_RAM_MIB, whole),
            ram_max_mib: checked("ramMax")?.map(whole),
            tmpdir_mib: pick("tmpdirMin", "tmpdirMax")?.map_or(DEFAULT_DISK_MIB, whole),
            outdir_mib: pick("outdirMin", "outdirMax")?.map_or(DEFAULT_DISK_MIB, whole),
            gpus: pick("cudaDeviceCountMin", "cudaDeviceCountMax")?.map_or(0, whole),
        })
    }
}

/// Evaluates the effective `ResourceRequirement` and `CUDARequirement` for an input object.
pub fn resources(
    effective: &Effective,
    inputs: &Record,
    scripts: &mut dyn Evaluate,
) -> Result<ResourceRequest, ResourceError> {
    let inputs = Value::Record(inputs.clone());
    let context = Context {
        inputs: &inputs,
        self_: &Value::Null,
        runtime: &Value::Record(Record::new()),
        library: effective.javascript_library(),
    };
    let mut stated = Vec::new();
    for (field, computed) in effective.amounts() {
        let value = computed
            .evaluate(&context, scripts)
            .map_err(|source| ResourceError::Expression { field, source: source.into() })?;
        stated.extend(value.map(|value| (field, value)));
    }
    ResourceRequest::from_fields(|name| stated.iter().find(|(field, _)| *field == name).map(|(_, value)| *value))
}
