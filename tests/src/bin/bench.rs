//! `bench`: what `make bench` runs. Measures, prints tables, writes JSON; it never fails because of a time.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use windlass_tests::bench::{
    Machine, Report, Tool, Workspace, compare, hooks, idle, markdown, measure_here, previews,
    pushes, scales,
};
use windlass_tests::lab::{Lab, LabSpec};

#[derive(Parser)]
#[command(
    name = "bench",
    about = "Measures Windlass beside other tools on the lab's nodes"
)]
struct Arguments {
    #[command(subcommand)]
    command: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Everything, or what the options leave.
    Run(Run),
    /// The core with this many sites, in this process; prints JSON.
    Core { sites: usize },
}

#[derive(Args)]
struct Run {
    /// How often every tool does every scenario.
    #[arg(long, default_value_t = 3, env = "BENCH_ROUNDS")]
    rounds: usize,
    /// How many processes measure each size of the core; 0: leave it out.
    #[arg(long, default_value_t = 5, env = "BENCH_CORE_ROUNDS")]
    core_rounds: usize,
    /// How often hooks are sent through RabbitMQ; 0: leave it out.
    #[arg(long, default_value_t = 5, env = "BENCH_HOOK_ROUNDS")]
    hook_rounds: usize,
    /// How often a push is followed to the first node, through each queue; 0: leave it out.
    #[arg(long, default_value_t = 3, env = "BENCH_PUSH_ROUNDS")]
    push_rounds: usize,
    /// How many requests are opened until their comment says what merging would do; 0: leave it out.
    #[arg(long, default_value_t = 5, env = "BENCH_PREVIEW_ROUNDS")]
    preview_rounds: usize,
    /// The tools (default: all). Ratios need the floor.
    #[arg(long, value_enum, value_delimiter = ',', env = "BENCH_TOOLS")]
    tools: Vec<Tool>,
    /// The virtual environment with pyinfra and Ansible.
    #[arg(long)]
    venv: PathBuf,
    #[arg(long)]
    windlass: PathBuf,
    /// Where the tools' output goes.
    #[arg(long)]
    logs: PathBuf,
    #[arg(long)]
    json: PathBuf,
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Verb::Run(run) => measure(&run),
        Verb::Core { sites } => core(sites),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn core(sites: usize) -> Result<()> {
    println!("{}", serde_json::to_string(&measure_here(sites)?)?);
    Ok(())
}

fn measure(run: &Run) -> Result<()> {
    let mut report = Report {
        machine: Machine::here(),
        nodes: Vec::new(),
        core: Vec::new(),
        idle: None,
        hooks: None,
        pushes: None,
        previews: None,
        missing: Vec::new(),
    };
    match scales(&std::env::current_exe()?, run.core_rounds) {
        Ok(core) => report.core = core,
        Err(error) => report.missing.push(format!("the core: {error:#}")),
    }
    fs::create_dir_all(&run.logs)?;
    if run.hook_rounds > 0 {
        match hooks(&run.windlass, run.hook_rounds, &run.logs) {
            Ok(hooks) => report.hooks = Some(hooks),
            Err(error) => report.missing.push(format!("hooks: {error:#}")),
        }
    }
    if run.rounds > 0
        && let Err(error) = on_nodes(run, &mut report)
    {
        report
            .missing
            .push(format!("the tools on the lab's nodes: {error:#}"));
    }
    if run.push_rounds > 0 {
        match Lab::boot(&LabSpec::default()).and_then(|lab| pushes(&lab, run.push_rounds)) {
            Ok(pushes) => report.pushes = Some(pushes),
            Err(error) => report.missing.push(format!("pushes: {error:#}")),
        }
    }
    if run.preview_rounds > 0 {
        match previews(&run.windlass, run.preview_rounds, &run.logs) {
            Ok(previews) => report.previews = Some(previews),
            Err(error) => report.missing.push(format!("previews: {error:#}")),
        }
    }
    report.machine.finished();
    write(&run.json, &serde_json::to_string_pretty(&report)?)?;
    println!("{}", markdown(&report));
    eprintln!(
        "bench: {} has all figures, {} what the tools said",
        run.json.display(),
        run.logs.display()
    );
    Ok(())
}

fn on_nodes(run: &Run, report: &mut Report) -> Result<()> {
    let tools = if run.tools.is_empty() {
        Tool::ALL.to_vec()
    } else {
        run.tools.clone()
    };
    let lab = Lab::boot(&LabSpec::default())?;
    report.machine.measure_login(&lab);
    let folder = tempfile::tempdir()?;
    let mut work = Workspace::create(&lab, folder.path(), &run.windlass, &run.venv)?;
    report.nodes = compare(&lab, &mut work, &tools, run.rounds, &run.logs)?;
    if tools.contains(&Tool::Windlass) {
        match idle(&work, &run.logs) {
            Ok(idle) => report.idle = Some(idle),
            Err(error) => report.missing.push(format!("the idle worker: {error:#}")),
        }
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
