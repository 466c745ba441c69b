//! What a tool asks for (CWL v1.2 Command Line Tool Description, §4.4.9 "ResourceRequirement"; design §6).

use weir_cwl::Computed;
use weir_cwl::requirement::{Effective, Resource};

use crate::event::Resources;

/// The requirement that holds here, if there is one.
pub(crate) fn stated(effective: &Effective) -> Option<&Resource> {
    effective.requirements.resource.as_ref().or(effective.hints.resource.as_ref())
}

/// The stated fields by their CWL names.
pub(crate) fn fields(resource: &Resource) -> impl Iterator<Item = (&'static str, &Computed<f64>)> {
    let fields = [
        ("coresMin", &resource.cores_min),
        ("coresMax", &resource.cores_max),
        ("ramMin", &resource.ram_min),
        ("ramMax", &resource.ram_max),
        ("tmpdirMin", &resource.tmpdir_min),
        ("tmpdirMax", &resource.tmpdir_max),
        ("outdirMin", &resource.outdir_min),
        ("outdirMax", &resource.outdir_max),
    ];
    fields.into_iter().filter_map(|(name, field)| Some((name, field.as_ref()?)))
}

/// Evaluated fields.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Amounts {
    cores: Bounds,
    ram: Bounds,
    tmpdir: Bounds,
    outdir: Bounds,
}

#[derive(Debug, Clone, Copy, Default)]
struct Bounds {
    min: Option<f64>,
    max: Option<f64>,
}

impl Amounts {
    pub fn set(&mut self, name: &str, amount: f64) -> Result<(), String> {
        if !amount.is_finite() || amount < 0.0 {
            return Err(format!("{name} is {amount}; it must be a number that is not negative"));
        }
        let (bounds, is_min) = match name {
            "coresMin" => (&mut self.cores, true),
            "coresMax" => (&mut self.cores, false),
            "ramMin" => (&mut self.ram, true),
            "ramMax" => (&mut self.ram, false),
            "tmpdirMin" => (&mut self.tmpdir, true),
            "tmpdirMax" => (&mut self.tmpdir, false),
            "outdirMin" => (&mut self.outdir, true),
            _ => (&mut self.outdir, false),
        };
        *(if is_min { &mut bounds.min } else { &mut bounds.max }) = Some(amount);
        Ok(())
    }

    /// The minimum, else the maximum, else the default.
    pub fn request(&self, default: &Resources) -> Resources {
        Resources {
            cores: self.cores.request().unwrap_or(default.cores),
            ram_mib: self.ram.request().map_or(default.ram_mib, whole),
            tmpdir_mib: self.tmpdir.request().map_or(default.tmpdir_mib, whole),
            outdir_mib: self.outdir.request().map_or(default.outdir_mib, whole),
        }
    }
}

impl Bounds {
    fn request(self) -> Option<f64> {
        self.min.or(self.max)
    }
}

/// Fractions of a mebibyte are rounded up.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked finite and not negative; saturates")]
fn whole(mebibytes: f64) -> u64 {
    mebibytes.ceil() as u64
}
