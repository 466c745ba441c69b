//! The command line: what is typed, and which step it starts.
#![expect(clippy::doc_markdown, reason = "doc comments are the help, which is plain text")]

use crate::crop::{self, Area};
use crate::crs::Crs;
use crate::destination::Destination;
use crate::item::Item;
use crate::limits::PAUSE_MAX;
use crate::tiff::Compression;
use crate::{normalized_difference, otsu, stac, stage_in, stage_out};
use clap::error::ErrorKind;
use clap::{Parser, Subcommand};
use std::error::Error;
use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Raster steps of the water-bodies workflow: from satellite scenes to water masks with a STAC catalog.
///
/// Each step writes its results into the current folder. Inputs may be paths, file:, http(s):// or s3:// addresses.
/// For s3:// the variables AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION and AWS_S3_ENDPOINT count.
#[derive(Parser)]
#[command(name = "weir-eo", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    step: Step,
}

#[derive(Subcommand)]
enum Step {
    /// Cut an area out of one band of a scene: writes crop_<band>.tif
    Crop {
        /// STAC item of the scene (address), or a folder with catalog.json as stage_in makes it
        #[arg(long, value_name = "ITEM")]
        input_item: String,
        /// Area of interest: minx,miny,maxx,maxy (longitude before latitude), e.g. -121.399,39.834,-120.74,40.472
        #[arg(long, allow_hyphen_values = true, value_name = "BOX")]
        aoi: Area,
        /// Coordinate system of the area
        #[arg(long, default_value = "EPSG:4326", value_name = "CODE")]
        epsg: String,
        /// Common name of the band (eo:bands), e.g. green or nir
        #[arg(long, value_name = "NAME", value_parser = band_name)]
        band: String,
        /// Compression of the result
        #[arg(long, value_enum, default_value = "none")]
        compress: Compression,
    },
    /// Compute (first - second) / (first + second): writes norm_diff.tif
    #[command(name = "normalized_difference", visible_aliases = ["norm_diff", "ndi"])]
    NormalizedDifference {
        /// First raster, e.g. crop_green.tif
        first: String,
        /// Second raster, on the same grid, e.g. crop_nir.tif
        second: String,
        /// Compression of the result
        #[arg(long, value_enum, default_value = "none")]
        compress: Compression,
    },
    /// Part water from land by Otsu's threshold: writes otsu.tif (1: above the threshold), a COG with overviews
    Otsu {
        /// Raster of the index, e.g. norm_diff.tif
        raster: String,
        /// Print the threshold and its type
        #[arg(long)]
        print_threshold: bool,
        /// Compression of the result
        #[arg(long, value_enum, default_value = "lzw")]
        compress: Compression,
    },
    /// Describe masks by a STAC catalog: writes catalog.json and a folder for each item
    Stac {
        /// STAC item of a scene; repeat, once for each mask
        #[arg(long, required = true, value_name = "ITEM")]
        input_item: Vec<String>,
        /// Mask of the scene in the same position; repeat
        #[arg(long, required = true, value_name = "RASTER")]
        water_body: Vec<String>,
    },
    /// Download a scene: writes catalog.json and a folder with the item and its assets
    #[command(name = "stage_in")]
    StageIn {
        /// STAC item of the scene (address)
        item: String,
        /// Key of an asset to download; repeat. Default: all
        #[arg(long = "asset", value_name = "KEY")]
        assets: Vec<String>,
    },
    /// Download one file into the current folder
    Fetch {
        /// Its address
        address: String,
        /// Name of the file. Default: the last part of the address
        #[arg(long = "as", value_name = "NAME", value_parser = file_name)]
        name: Option<String>,
    },
    /// Publish results: <id>/catalog.json, <id>/<id>/collection.json, items and assets, into a folder or bucket
    #[command(name = "stage_out")]
    StageOut {
        /// Folder with catalog.json (as stac writes it), or with any files, or one file
        #[arg(required_unless_present = "each")]
        folder: Option<PathBuf>,
        /// Bucket of the S3 store (the short form: stage_out FOLDER BUCKET SUB_PATH)
        #[arg(conflicts_with = "to", requires = "sub_path")]
        bucket: Option<String>,
        /// Where in the bucket; its last part is the results' id
        #[arg(conflicts_with = "id")]
        sub_path: Option<String>,
        /// Destination: a folder or s3://bucket[/prefix]
        #[arg(long, required_unless_present = "bucket", value_name = "DIR|URL")]
        to: Option<String>,
        /// Id of the results, e.g. the job's
        #[arg(long, required_unless_present_any = ["bucket", "each"], value_name = "ID")]
        id: Option<String>,
        /// Publish several folders: the first as results 1 of the destination, the second as 2 and so on (of ten: 01, 02)
        #[arg(long, num_args = 0.., requires = "to", conflicts_with_all = ["folder", "id"], value_name = "FOLDER")]
        each: Option<Vec<PathBuf>>,
        /// Only lay the results out in this folder, as they will be at --to s3://bucket[/prefix], for somebody else to
        /// copy them there; needs no credentials
        #[arg(long, requires = "to", value_name = "DIR")]
        layout: Option<PathBuf>,
        /// Whose results they are: another owner cannot write over them. Default: the id
        #[arg(long, value_name = "TOKEN")]
        owner: Option<String>,
    },
    /// Do nothing for some seconds
    Pause {
        /// Seconds, at most 600
        #[arg(value_parser = seconds)]
        seconds: Duration,
    },
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds
        .filter(|seconds| *seconds <= PAUSE_MAX)
        .ok_or_else(|| format!("write a number from 0 to {}", PAUSE_MAX.as_secs()))
}

fn band_name(text: &str) -> Result<String, String> {
    if text.is_empty() || text.contains(['/', '\0']) || text.starts_with('.') {
        return Err("a band's name becomes part of a file name: it cannot be empty, hold `/` or start with `.`".into());
    }
    Ok(text.to_owned())
}

fn file_name(text: &str) -> Result<String, String> {
    if matches!(text, "" | "." | "..") || text.contains(['/', '\0']) {
        return Err("a file's name cannot be empty, `.`, `..` or hold `/`".into());
    }
    Ok(text.to_owned())
}

/// Runs one step. Exit code 0: done; 1: it failed, one line on stderr says why; 2: the command line is wrong.
pub fn main(args: impl Iterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(args) {
        Ok(arguments) => arguments,
        Err(e) if e.use_stderr() && e.kind() != ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            return usage(&e.render().to_string());
        }
        Err(e) => {
            // Nobody to tell if even this cannot be printed.
            let _ = e.print();
            return ExitCode::from(u8::try_from(e.exit_code()).unwrap_or(2));
        }
    };
    match run(arguments.step) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Usage(message)) => usage(&message),
        Err(Failure::Step(error)) => {
            let _ = writeln!(std::io::stderr(), "weir-eo: {}", one_line(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

/// Says in one line what is wrong with the command line: clap's first paragraph.
fn usage(message: &str) -> ExitCode {
    let paragraph = message.split("\n\n").next().unwrap_or(message);
    let words = paragraph.trim_start_matches("error: ").split_whitespace().collect::<Vec<_>>().join(" ");
    let _ = writeln!(std::io::stderr(), "weir-eo: {words} (try --help)");
    ExitCode::from(2)
}

enum Failure {
    Usage(String),
    Step(Box<dyn Error>),
}

impl<E: Error + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Step(Box::new(error))
    }
}

/// An error and its causes, joined by colons, control characters made harmless.
pub(crate) fn one_line(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        let more = source.to_string();
        if !text.ends_with(&more) {
            text = format!("{text}: {more}");
        }
        cause = source.source();
    }
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn run(step: Step) -> Result<(), Failure> {
    let here = Path::new("");
    match step {
        Step::Crop { input_item, aoi, epsg, band, compress } => {
            let crs = Crs::parse(&epsg)?;
            let item = Item::read(&input_item)?;
            crop::crop(&item, aoi, &crs, &band, compress, here)?;
        }
        Step::NormalizedDifference { first, second, compress } => {
            normalized_difference::normalized_difference(&first, &second, compress, here)?;
        }
        Step::Otsu { raster, print_threshold, compress } => {
            let (_, threshold) = otsu::otsu(&raster, compress, here)?;
            if print_threshold {
                print(&format!("threshold {threshold}"))?;
            }
        }
        Step::Stac { input_item, water_body } => {
            if input_item.len() != water_body.len() {
                return Err(Failure::Usage(format!(
                    "{} times --input-item, but {} times --water-body; each item needs its mask",
                    input_item.len(),
                    water_body.len()
                )));
            }
            stac::stac(input_item.iter().map(String::as_str).zip(water_body.iter().map(String::as_str)), here)?;
        }
        Step::StageIn { item, assets } => {
            let staged = stage_in::stage_in(&item, &assets, here)?;
            for missing in staged.missing {
                let _ = writeln!(std::io::stderr(), "weir-eo: warning: left out: {missing}");
            }
        }
        Step::Fetch { address, name } => stage_in::fetch_file(&address, name.as_deref(), here)?,
        Step::StageOut { each: Some(folders), to: Some(to), layout, owner, .. } => {
            let to = destination(&to, layout.as_deref())?;
            // Of one width, so that the order of the names is that of the numbers.
            let width = folders.len().to_string().len();
            for (folder, number) in folders.iter().zip(1..) {
                publish(folder, &to, &format!("{number:0width$}"), owner.as_deref())?;
            }
        }
        Step::StageOut { folder: Some(folder), bucket, sub_path, to, id, layout, owner, each: None } => {
            let (to, id) = match (bucket.zip(sub_path), to.zip(id)) {
                (Some((bucket, sub_path)), _) => {
                    let sub_path = sub_path.trim_matches('/');
                    let (prefix, id) = sub_path.rsplit_once('/').unwrap_or(("", sub_path));
                    (Destination::bucket(&bucket, prefix)?, id.to_owned())
                }
                (_, Some((to, id))) => (destination(&to, layout.as_deref())?, id),
                _ => return Err(Failure::Usage("give --to and --id, or a bucket and a sub-path".into())),
            };
            publish(&folder, &to, &id, owner.as_deref())?;
        }
        Step::StageOut { .. } => return Err(Failure::Usage("give a folder, or --each, and --to".into())),
        Step::Pause { seconds } => std::thread::sleep(seconds),
    }
    Ok(())
}

fn destination(to: &str, layout: Option<&Path>) -> Result<Destination, Failure> {
    Ok(match layout {
        Some(layout) => Destination::layout(to, layout)?,
        None => Destination::parse(to)?,
    })
}

/// Publishes one folder and prints the URL of its catalog.
fn publish(folder: &Path, to: &Destination, id: &str, owner: Option<&str>) -> Result<(), Failure> {
    stage_out::check_id(id).map_err(Failure::Usage)?;
    let url = stage_out::stage_out(folder, to, id, owner.unwrap_or(id))?;
    print(&url)?;
    Ok(())
}

fn print(line: &str) -> std::io::Result<()> {
    writeln!(std::io::stdout(), "{line}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn an_area_may_start_with_a_minus() {
        let line =
            ["weir-eo", "crop", "--input-item", "i", "--aoi", "-1.5,2,3,4", "--epsg", "EPSG:4326", "--band", "green"];
        assert!(Arguments::try_parse_from(line).is_ok());
    }

    #[test]
    fn each_of_no_folders_is_all_right_and_neither_form_can_be_mixed() {
        let parse = |words: &str| Arguments::try_parse_from(words.split(' ')).is_ok();
        for good in
            ["--to d --each", "--to d --each a b", "a --to d --id i", "a bucket sub", "--layout . --each a --to s3://b"]
        {
            assert!(parse(&format!("weir-eo stage_out {good}")), "{good}");
        }
        for bad in ["--each a", "a --each b --to d", "--each a --to d --id i", "--to d --id i", "a --to d"] {
            assert!(!parse(&format!("weir-eo stage_out {bad}")), "{bad}");
        }
    }

    #[test]
    fn a_pause_has_an_end() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        for wrong in ["601", "-1", "nan", "soon"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_fetched_file_stays_in_the_folder() {
        assert!(["", "..", "a/b"].into_iter().all(|name| file_name(name).is_err()) && file_name("a b.tif").is_ok());
    }

    #[test]
    fn a_band_cannot_leave_the_folder() {
        assert!(band_name("../x").is_err() && band_name("a/b").is_err() && band_name("nir08").is_ok());
    }
}
