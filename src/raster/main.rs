//! `weir-eo`: the raster steps as one static program.

fn main() -> std::process::ExitCode {
    weir_raster::main(std::env::args_os())
}
