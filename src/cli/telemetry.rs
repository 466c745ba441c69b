//! Log lines on stderr. `RUST_LOG` chooses them: `warn`, `info`, `info,weir_cluster=debug`.

#[cfg(feature = "cluster")]
use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

/// How log lines look.
#[cfg(feature = "cluster")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Text,
    /// For collectors of logs: one JSON object a line
    Json,
}

/// The log of a server; `default` is what `RUST_LOG` says if it says nothing.
pub fn for_servers(default: &str) {
    tracing_subscriber::fmt().with_env_filter(filter(default)).with_writer(std::io::stderr).with_ansi(false).init();
}

/// The log of a server in the format of somebody's choice.
#[cfg(feature = "cluster")]
pub fn formatted(default: &str, format: Format) {
    match format {
        Format::Text => for_servers(default),
        Format::Json => {
            let lines = tracing_subscriber::fmt().json().flatten_event(true).with_current_span(false);
            lines.with_span_list(false).with_env_filter(filter(default)).with_writer(std::io::stderr).init();
        }
    }
}

/// Warnings for a person who watches bars, which step aside for each line.
#[cfg(feature = "embedded")]
pub fn for_people(bars: Option<indicatif::MultiProgress>) {
    let writer = move || AsideOf(bars.clone());
    let lines = tracing_subscriber::fmt().without_time().with_target(false).with_ansi(false);
    // A second job of the same process finds the first one's.
    let _ = lines.with_env_filter(filter("warn")).with_writer(writer).try_init();
}

fn filter(default: &str) -> EnvFilter {
    EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default))
}

/// Writes to stderr beside bars.
#[cfg(feature = "embedded")]
struct AsideOf(Option<indicatif::MultiProgress>);

#[cfg(feature = "embedded")]
impl std::io::Write for AsideOf {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        let write = || std::io::stderr().write_all(line).map(|()| line.len());
        match &self.0 {
            Some(bars) => bars.suspend(write),
            None => write(),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().flush()
    }
}
