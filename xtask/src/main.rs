//! `cargo xtask`: the project's commands. This file knows the command line and who answers which command, nothing else.

mod bench;
mod cache;
mod cargo;
mod cluster;
mod crds;
mod demo;
mod deploy;
mod dev;
mod fuzz;
mod guests;
mod images;
mod lint;
mod preflight;
mod repo;
mod run;
mod sim;
mod test;
mod tools;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::cache::Cache;
use crate::cluster::Cluster;

/// The project's commands.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", max_term_width = 120)]
struct Arguments {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// The development cluster: a real single-node Kubernetes in namespaces of its own
    Cluster {
        /// Which one: clusters of different names run side by side
        #[arg(long, global = true, default_value = cluster::DEV)]
        name: String,
        #[command(subcommand)]
        command: ClusterTask,
    },
    /// Show the operator at work: cluster, image, charts, examples, and what to try next
    Demo {
        /// A context of your own cluster; nothing else is touched
        #[arg(long)]
        context: Option<String>,
        /// The kubeconfig of your own cluster
        #[arg(long, value_name = "FILE")]
        kubeconfig: Option<PathBuf>,
        /// The operator's image, where your cluster can pull it; for kind it is built and loaded
        #[arg(long, value_name = "REPOSITORY:TAG")]
        image: Option<String>,
    },
    /// Run every test: commands, host, contract, guests, and end to end on a cluster of their own
    Test {
        /// Leave out what needs the cluster
        #[arg(long)]
        no_cluster: bool,
        /// Only what needs the cluster
        #[arg(long, conflicts_with = "no_cluster")]
        end_to_end: bool,
        /// The cluster of the end-to-end tests: it is started afresh for them, and ended afterwards
        #[arg(long, default_value = cluster::TEST)]
        name: String,
        /// Leave the cluster up afterwards
        #[arg(long, conflicts_with = "no_cluster")]
        keep: bool,
        /// End-to-end tests at a time
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
        threads: u32,
        /// Only tests whose name contains one of these
        filter: Vec<String>,
    },
    /// Measure, and write what came of it into docs/
    Bench {
        #[command(subcommand)]
        command: BenchTask,
    },
    /// Watch a reconciler's sources, and swap each build into a cluster with the operator
    Dev {
        /// A crate below guests/ or examples/reconcilers/
        reconciler: String,
        /// Which cluster; cargo xtask demo starts the development cluster
        #[arg(long, default_value = cluster::DEV)]
        name: String,
    },
    /// Build the reconcilers as components and print their sizes
    Guests {
        /// Also put them into this folder
        #[arg(long, value_name = "FOLDER")]
        output: Option<PathBuf>,
        /// Not those that are shipped, but those below this folder of the workspace
        #[arg(long, value_name = "FOLDER", requires = "output")]
        below: Option<PathBuf>,
    },
    /// Build the operator's image, load it into a running cluster and print its name
    Image {
        /// Which cluster
        #[arg(long, default_value = cluster::DEV)]
        name: String,
    },
    /// Generate the CustomResourceDefinitions
    Crds {
        /// Change nothing, and fail when they are not current
        #[arg(long)]
        check: bool,
    },
    /// Play scenarios with faults in the simulator; --help says what there is
    #[command(disable_help_flag = true)]
    Sim {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Try inputs at random, others each time: objects, plans, modules, statements
    Fuzz {
        /// For how long each target
        #[arg(long, default_value_t = 60)]
        seconds: u32,
    },
    /// Check format, lints, licenses, charts and generated files
    Lint,
}

#[derive(Subcommand)]
enum BenchTask {
    /// A whole reconcile as a component against the same code natively
    Reconcile {
        /// Reconciles of each sort
        #[arg(long, default_value_t = RECONCILES)]
        runs: usize,
    },
    /// Memory of modules at rest, of 1,000 reconciles at once, of 1,000 swaps
    Memory,
    /// From the start of the operator until it is ready
    Start {
        /// Which cluster; one that doesn't run is started for this, and ended afterwards
        #[arg(long, default_value = cluster::BENCH)]
        name: String,
        /// New pods
        #[arg(long, default_value_t = 10)]
        runs: usize,
    },
    /// What clients notice of lost and changing servers
    Failover {
        /// Which cluster; one that doesn't run is started for this, and ended afterwards
        #[arg(long, default_value = cluster::BENCH)]
        name: String,
        /// Runs of each scenario; 0 plays none
        #[arg(long, default_value_t = 5)]
        runs: u32,
        /// Only this one, by its name or, where it is wrong, by the list that the error shows; may be repeated
        #[arg(long)]
        scenario: Vec<String>,
        /// Random faults for so long, as 90s, 30m or 2h
        #[arg(long, value_name = "TIME")]
        random: Option<String>,
        /// Which random faults
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// How soon many Users and Grants are ready, and what they cost at rest
    Objects {
        /// Which cluster; one that doesn't run is started for this, and ended afterwards
        #[arg(long, default_value = cluster::BENCH)]
        name: String,
        /// Users, and as many Grants
        #[arg(long, default_value_t = 200)]
        count: u32,
    },
}

/// How often, if nobody says otherwise.
const RECONCILES: usize = 5_000;

#[derive(Subcommand)]
enum ClusterTask {
    /// Start it, or repair it, and wait until it is ready
    Up,
    /// End it and remove all that it left
    Down,
    /// Show whether it runs, its node and its pods
    Status,
    /// Run its kubectl
    Kubectl {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Run any command inside: its addresses are reached, its names resolve, KUBECONFIG is set
    Exec {
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<OsString>,
    },
    /// Show the logs of its programs
    Logs {
        /// apiserver, containerd, controller-manager, etcd, kubelet, node, proxy, scheduler
        component: Option<String>,
        /// Go on showing what is written
        #[arg(short, long)]
        follow: bool,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run::begin().and_then(|()| perform(arguments.command)) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn perform(task: Task) -> Result<ExitCode> {
    let cache = Cache::open()?;
    match task {
        Task::Cluster { name, command } => return cluster(&Cluster::named(&cache, &name)?, command),
        Task::Demo { context, kubeconfig, image } => demo::demo(&cache, demo::Wish { context, kubeconfig, image })?,
        Task::Test { no_cluster, end_to_end, name, keep, threads, filter } => {
            let cluster = Cluster::named(&cache, &name)?;
            test::test(&cache, &cluster, &test::Wish { no_cluster, end_to_end, keep, filter, threads })?;
        }
        Task::Dev { reconciler, name } => dev::dev(&cache, &Cluster::named(&cache, &name)?, &reconciler)?,
        Task::Bench { command: BenchTask::Reconcile { runs } } => bench::performance::reconcile(&cache, runs)?,
        Task::Bench { command: BenchTask::Memory } => bench::performance::memory(&cache)?,
        Task::Bench { command: BenchTask::Start { name, runs } } => {
            bench::start::start(&cache, &Cluster::named(&cache, &name)?, runs.max(1))?
        }
        Task::Bench { command: BenchTask::Failover { name, runs, scenario, random, seed } } => {
            let cluster = Cluster::named(&cache, &name)?;
            bench::failover(&cache, &cluster, &bench::Wish { runs, scenarios: scenario, random, seed })?;
        }
        Task::Bench { command: BenchTask::Objects { name, count } } => bench::objects(&cache, &Cluster::named(&cache, &name)?, count)?,
        Task::Guests { output: Some(output), below: Some(below) } => drop(guests::build_below(&cache, &below, &output)?),
        Task::Guests { output, .. } => {
            let built = guests::build(&cache)?;
            output.iter().try_for_each(|folder| guests::copy(&built, folder))?;
        }
        Task::Image { name } => demo::image(&cache, &Cluster::named(&cache, &name)?)?,
        Task::Crds { check } => crds::generate(&cache, check)?,
        Task::Fuzz { seconds } => fuzz::fuzz(&cache, seconds)?,
        Task::Sim { arguments } => return sim::play(&cache, &arguments),
        Task::Lint => lint::lint(&cache)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn cluster(cluster: &Cluster, task: ClusterTask) -> Result<ExitCode> {
    match task {
        ClusterTask::Up => cluster.up()?,
        ClusterTask::Down => cluster.down()?,
        ClusterTask::Status => cluster.status()?,
        ClusterTask::Kubectl { arguments } => return code(run::status(cluster.kubectl()?.args(arguments))?),
        ClusterTask::Exec { command } => return code(run::status(cluster.command(&command[0])?.args(&command[1..]))?),
        ClusterTask::Logs { component, follow } => cluster.show_logs(component.as_deref(), follow)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// A program that was run for the user: its status is ours.
fn code(status: std::process::ExitStatus) -> Result<ExitCode> {
    Ok(ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)))
}
