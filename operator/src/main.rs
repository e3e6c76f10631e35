//! The operator's binary: command line, logs, signals, and this process's name. What it does is the host's, by a settings file that the
//! chart renders; what it knows of databases is in the modules beside it.

mod module;

use std::{
    error::Error,
    io::{self, IsTerminal},
    net::SocketAddr,
    path::PathBuf,
    process::ExitCode,
};

use clap::{Args, Parser, Subcommand, ValueEnum};
use host::settings::Settings;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

#[derive(Debug, Parser)]
#[command(name = "doltdb-operator", version, about = "An operator for Dolt databases whose reconcilers are WebAssembly components")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Reconcile until SIGTERM or SIGINT
    Run(Run),
    /// Look at, verify, sign, push and compare reconcilers, without a cluster
    #[command(subcommand)]
    Module(module::Task),
    /// Compile a component to machine code: how the operator calls itself, in a process that takes its memory with it
    #[command(hide = true)]
    CompileModule {
        /// The component
        wasm: PathBuf,
        /// Where the machine code goes; must not exist
        code: PathBuf,
    },
    /// Compile the modules of a folder into a folder beside them: how an image is built that need not compile when it starts
    #[command(hide = true)]
    CompileModules {
        /// The folder with the components
        folder: PathBuf,
    },
}

#[derive(Debug, Args)]
struct Run {
    /// The settings file: what is reconciled by which module, and what each may do
    #[arg(long, value_name = "FILE")]
    settings: PathBuf,
    /// Where /healthz, /readyz, /metrics, /modules and /journals are served
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "0.0.0.0:8080")]
    admin_address: SocketAddr,
    /// How log lines look
    #[arg(long, value_enum, default_value_t = LogFormat::Json)]
    log_format: LogFormat,
    /// A level (error, warn, info, debug, trace), or levels by target: info,host::plan=debug
    #[arg(long, value_name = "FILTER", default_value = "info", value_parser = log_level)]
    log_level: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    /// One JSON object a line
    Json,
    /// For people
    Text,
}

/// Checked here, so that a mistake is an error of the command line; a filter itself cannot be cloned.
fn log_level(filter: &str) -> Result<String, String> {
    EnvFilter::builder().parse(filter).map(|_| filter.to_owned()).map_err(|error| error.to_string())
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Run(run) => {
            start_logs(run.log_format, &run.log_level);
            end(self::run(run), |error| tracing::error!(error, "the operator ends"))
        }
        Command::Module(task) => module(task),
        Command::CompileModules { folder } => match host::module::ship_compiled(&folder) {
            Ok(files) => {
                files.iter().for_each(|file| println!("{}", file.display()));
                ExitCode::SUCCESS
            }
            failed => end(failed.map(drop), |error| eprintln!("{error}")),
        },
        Command::CompileModule { wasm, code } => end(host::module::compile_in_this_process(&wasm, &code), |error| eprintln!("{error}")),
    }
}

/// 0: all is well; 1: it is not; 2: it cannot be told.
fn module(task: module::Task) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return end(Err(error), |error| eprintln!("{error}")),
    };
    match runtime.block_on(module::perform(task)) {
        Ok((text, well)) => {
            println!("{text}");
            if well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("{}", with_sources(error.as_ref()));
            ExitCode::from(2)
        }
    }
}

fn end(result: Result<(), impl Into<Box<dyn Error>>>, say: impl FnOnce(&str)) -> ExitCode {
    let Err(error) = result else { return ExitCode::SUCCESS };
    say(&with_sources(error.into().as_ref()));
    ExitCode::FAILURE
}

/// The error and what lies under it, each said once: many messages end with that of their source.
fn with_sources(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let message = error.to_string();
        if !text.ends_with(&message) {
            text = format!("{text}: {message}");
        }
        source = error.source();
    }
    text
}

fn start_logs(format: LogFormat, level: &str) {
    let logs = tracing_subscriber::fmt().with_env_filter(EnvFilter::new(level)).with_writer(io::stderr);
    match format {
        LogFormat::Json => logs.json().flatten_event(true).init(),
        LogFormat::Text => logs.with_ansi(io::stderr().is_terminal()).init(),
    }
}

fn run(run: Run) -> Result<(), Box<dyn Error>> {
    let settings = Settings::load(&run.settings)?;
    let options = host::Options { admin: run.admin_address, identity: identity(std::env::var("POD_NAME").ok())? };
    tracing::info!(version = env!("CARGO_PKG_VERSION"), identity = options.identity, "the operator starts");
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let shutdown = terminated()?;
        host::run(settings, options, shutdown).await?;
        Ok(())
    })
}

/// Ready when the process is asked to end.
fn terminated() -> io::Result<impl Future<Output = ()> + Send + 'static> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        tracing::info!(signal = name, "the operator was asked to end");
    })
}

/// This process's name in the lease and in events: the pod's, so that a restarted container takes its own lease again at once. Outside of a
/// pod nothing keeps two processes of a machine apart but chance.
fn identity(pod: Option<String>) -> io::Result<String> {
    if let Some(pod) = pod.filter(|name| !name.is_empty()) {
        return Ok(pod);
    }
    let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let mut random = [0; 4];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    let machine = Some(machine.trim()).filter(|name| !name.is_empty()).unwrap_or("localhost");
    Ok(format!("{machine}-{:08x}", u32::from_be_bytes(random)))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use rstest::rstest;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[rstest]
    #[case::defaults(&["--settings", "s"], true)]
    #[case::all(&["--settings", "s", "--admin-address", "127.0.0.1:0", "--log-format", "text", "--log-level", "info,host::plan=debug"], true)]
    #[case::no_settings(&[], false)]
    #[case::no_level(&["--settings", "s", "--log-level", "host=loud"], false)]
    #[case::no_address(&["--settings", "s", "--admin-address", "8080"], false)]
    fn arguments_are_checked(#[case] arguments: &[&str], #[case] fine: bool) {
        let parsed = Arguments::try_parse_from(["doltdb-operator", "run"].iter().chain(arguments));
        assert_eq!(parsed.is_ok(), fine, "{parsed:?}");
    }

    #[rstest]
    #[case::inspect(&["inspect", "m"], true)]
    #[case::verify(&["verify", "m", "--settings", "s"], true)]
    #[case::verify_without_settings(&["verify", "m"], false)]
    #[case::sign(&["sign", "m", "--key", "k"], true)]
    #[case::manifest(&["sign", "m", "--output", "config-map"], true)]
    #[case::diff(&["diff", "a", "b", "--journals", "j"], true)]
    #[case::diff_without_past(&["diff", "a", "b"], false)]
    #[case::push(&["push", "m", "r/a"], true)]
    #[case::push_to_nowhere(&["push", "m"], false)]
    #[case::replay(&["replay", "a", "--journals", "j"], true)]
    fn arguments_about_modules_are_checked(#[case] arguments: &[&str], #[case] fine: bool) {
        let parsed = Arguments::try_parse_from(["doltdb-operator", "module"].iter().chain(arguments));
        assert_eq!(parsed.is_ok(), fine, "{parsed:?}");
    }

    #[test]
    fn the_identity_is_the_pods_name_or_unique() {
        assert_eq!(identity(Some("operator-7d-x".to_owned())).unwrap(), "operator-7d-x");
        let (one, other) = (identity(None).unwrap(), identity(Some(String::new())).unwrap());
        assert_ne!(one, other);
    }

    #[derive(Debug)]
    struct Wrapped(&'static str, Option<Box<Self>>);

    impl std::fmt::Display for Wrapped {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str(self.0)
        }
    }

    impl Error for Wrapped {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.1.as_deref().map(|source| source as &dyn Error)
        }
    }

    #[rstest]
    #[case::named_already("cannot read x: no such file", "no such file", "cannot read x: no such file")]
    #[case::not_named("cannot read x", "no such file", "cannot read x: no such file")]
    fn an_error_says_its_sources_once(#[case] outer: &'static str, #[case] inner: &'static str, #[case] expected: &str) {
        assert_eq!(with_sources(&Wrapped(outer, Some(Box::new(Wrapped(inner, None))))), expected);
    }
}
