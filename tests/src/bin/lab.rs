//! `lab`: the test lab for people. What `make lab-up`, `lab-ssh` and `lab-down` run.

use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand, ValueEnum};
use windlass_tests::lab::{Base, Disk, Lab, LabSpec, build_base, reap_stale};

#[derive(Parser)]
#[command(
    name = "lab",
    about = "Boots and breaks a lab of Debian machines: vps1 to vps3 and homelab"
)]
struct Arguments {
    /// Which lab, where several are up.
    #[arg(long, global = true, env = "WINDLASS_LAB")]
    lab: Option<u8>,
    #[command(subcommand)]
    command: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Build a base image, unless it is there.
    BuildBase {
        #[arg(value_enum, default_value_t = BaseName::Core)]
        base: BaseName,
    },
    /// Say whether a lab can be booted here, and if not, why.
    Check {
        #[arg(long, value_enum, default_value_t = BaseName::Core)]
        base: BaseName,
    },
    /// Boot a lab that stays until `lab down`.
    Up {
        #[arg(long, value_enum, default_value_t = BaseName::Core)]
        base: BaseName,
        /// Only these nodes.
        nodes: Vec<String>,
    },
    /// Boot a lab, run a command with WINDLASS_LAB set to its number, remove the lab.
    Run {
        #[arg(long, value_enum, default_value_t = BaseName::Core)]
        base: BaseName,
        #[arg(required = true, last = true)]
        command: Vec<String>,
    },
    /// Remove the lab; with --stale those whose owner died, with --all every kept one.
    Down {
        #[arg(long)]
        stale: bool,
        #[arg(long)]
        all: bool,
    },
    /// Show the labs of this machine and their nodes.
    Status,
    /// Log in to a node, or run a command there.
    Ssh { node: String, command: Vec<String> },
    /// Take a node's network cable out.
    Cut { node: String },
    /// Put a node's network cable back.
    Join { node: String },
    /// Stop a node where it is, as a hung host.
    Freeze { node: String },
    /// Let a frozen node go on.
    Thaw { node: String },
    /// Cut a node's power.
    Kill { node: String },
    /// Shut a node down in order.
    Stop { node: String },
    /// Boot a node that was killed or stopped.
    Start { node: String },
}

#[derive(Clone, Copy, ValueEnum)]
enum BaseName {
    Core,
    Stack,
}

impl From<BaseName> for Base {
    fn from(name: BaseName) -> Self {
        match name {
            BaseName::Core => Self::Core,
            BaseName::Stack => Self::Stack,
        }
    }
}

fn main() -> ExitCode {
    run(Arguments::parse()).unwrap_or_else(|error| {
        eprintln!("lab: {error:#}");
        ExitCode::FAILURE
    })
}

fn run(arguments: Arguments) -> Result<ExitCode> {
    let number = arguments.lab;
    match arguments.command {
        Verb::BuildBase { base } => build_base(base.into())?,
        Verb::Check { base } => Lab::availability(&spec(base.into()))?,
        Verb::Up { base, nodes } => up(base.into(), &nodes)?,
        Verb::Run { base, command } => return run_command(base.into(), &command),
        Verb::Down { stale: true, .. } => reap_stale()?,
        Verb::Down { all: true, .. } => down_all()?,
        Verb::Down { .. } => attach(number)?.down()?,
        Verb::Status => status()?,
        Verb::Ssh { node, command } => {
            let lab = attach(number)?;
            let mut ssh = lab.node(known(&lab, &node)?).ssh_command("root");
            return exit_code(ssh.args(command));
        }
        Verb::Cut { node } => on_node(number, &node, |node| node.cut())?,
        Verb::Join { node } => on_node(number, &node, |node| node.join())?,
        Verb::Freeze { node } => on_node(number, &node, |node| node.freeze())?,
        Verb::Thaw { node } => on_node(number, &node, |node| node.thaw())?,
        Verb::Kill { node } => on_node(number, &node, |node| node.kill())?,
        Verb::Stop { node } => on_node(number, &node, |node| node.stop())?,
        Verb::Start { node } => on_node(number, &node, |node| node.start())?,
    }
    Ok(ExitCode::SUCCESS)
}

fn run_command(base: Base, command: &[String]) -> Result<ExitCode> {
    let lab = Lab::boot(&spec(base))?;
    let mut run = Command::new(&command[0]);
    exit_code(
        run.args(&command[1..])
            .env("WINDLASS_LAB", lab.number().to_string()),
    )
}

fn exit_code(command: &mut Command) -> Result<ExitCode> {
    let status = command
        .status()
        .with_context(|| format!("cannot run {:?}", command.get_program()))?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(ExitCode::from(code.unwrap_or(255)))
}

fn spec(base: Base) -> LabSpec {
    let disk = match base {
        Base::Core => LabSpec::default().disk,
        // Docker's overlay2 cannot lie on an overlay, nor should its images lie in memory.
        Base::Stack => Disk::Host,
    };
    LabSpec {
        base,
        disk,
        ..LabSpec::default()
    }
}

fn up(base: Base, names: &[String]) -> Result<()> {
    let mut spec = spec(base);
    if !names.is_empty() {
        spec.nodes.retain(|node| names.contains(&node.name));
    }
    eprintln!("booting {} nodes ...", spec.nodes.len());
    let lab = Lab::boot_kept(&spec)?;
    show(&lab);
    println!("log in:  make lab-ssh NODE=vps1     remove:  make lab-down");
    Ok(())
}

fn down_all() -> Result<()> {
    for (number, kept) in Lab::all() {
        if kept {
            Lab::attach(number)?.down()?;
        }
    }
    Ok(())
}

fn status() -> Result<()> {
    let labs = Lab::all();
    if labs.is_empty() {
        println!("no lab is up");
    }
    for (number, kept) in labs {
        println!("lab {number}{}", if kept { "" } else { " (a test's)" });
        show(&Lab::attach(number)?);
    }
    Ok(())
}

fn show(lab: &Lab) {
    for node in lab.nodes() {
        let state = if node.is_running() { "up" } else { "down" };
        println!(
            "  {:8} {:14} {:14} {state}",
            node.name(),
            node.ip(),
            node.secondary_ip()
        );
    }
    println!(
        "  ssh key {}  known hosts {}",
        lab.ssh_key().display(),
        lab.known_hosts().display()
    );
}

fn on_node(
    number: Option<u8>,
    name: &str,
    action: impl Fn(&windlass_tests::lab::Node) -> Result<()>,
) -> Result<()> {
    let lab = attach(number)?;
    action(lab.node(known(&lab, name)?))
}

fn known<'a>(lab: &Lab, name: &'a str) -> Result<&'a str> {
    if lab.nodes().iter().all(|node| node.name() != name) {
        let names: Vec<&str> = lab.nodes().iter().map(|node| node.name()).collect();
        bail!("no node {name} in this lab; there are {}", names.join(", "));
    }
    Ok(name)
}

fn attach(number: Option<u8>) -> Result<Lab> {
    if let Some(number) = number {
        return Lab::attach(number);
    }
    let kept = Lab::all().into_iter().filter(|(_, kept)| *kept);
    let numbers: Vec<String> = kept.map(|(number, _)| number.to_string()).collect();
    match numbers.as_slice() {
        [] => bail!("no lab is up: run `make lab-up`"),
        [only] => Lab::attach(only.parse()?),
        _ => bail!(
            "several labs are up ({}): choose one with WINDLASS_LAB=N",
            numbers.join(", ")
        ),
    }
}
