//! `bhyt-server`: parses, builds, runs.

use std::future::Future;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use bhyt_core::sync::operators::OperatorChange;
use bhyt_platform::clock::{Clock as _, SystemClock};
use bhyt_platform::entropy::{Entropy, OsEntropy};
use bhyt_server::cli::{
    AdoptArgs, Cli, Command, ExportArgs, InitArgs, MemberKeysCommand, OperatorCommand, RenewArgs,
    RestoreArgs, RootKeysArgs, ServeArgs, StatusCommand, TrustCommand,
};
use bhyt_server::exit::{Ending, Exit, Failure};
use bhyt_server::folder::DataFolder;
use bhyt_server::host::{OpenError, Parts};
use bhyt_server::restore::{self, Restore};
use bhyt_server::{
    admin, init, member_keys, operator_command, root_keys, serve, status_command, trust_command,
};
use clap::Parser as _;
use clap::error::ErrorKind;
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return explain(&error),
    };
    match run(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(ending) => {
            // Nobody is left to tell when stderr is gone.
            let _ = writeln!(io::stderr(), "bhyt-server: {}", ending.chain());
            ending.exit().into()
        }
    }
}

fn run(command: Command) -> Result<(), Ending> {
    match command {
        Command::Init(args) => make_server(&args),
        Command::RootKeys(args) => make_root_keys(&args),
        Command::Trust(TrustCommand::Renew(args)) => renew(args),
        Command::Status(StatusCommand::Export(args)) => export(&args),
        Command::Serve(args) => serve_until_stopped(&args),
        Command::Restore(args) => restore_server(args),
        Command::Adopt(args) => adopt_status(&args),
        Command::Operator(what) => operators(what),
        Command::MemberKeys(what) => members_keys(what),
        Command::Admin(args) => {
            log_from("warn");
            runtime()?.block_on(admin::run(args)).map_err(Ending::from)
        }
    }
}

fn make_server(args: &InitArgs) -> Result<(), Ending> {
    let (now, entropy) = (SystemClock.now(), entropy()?);
    let made = init::init(&args.data, &args.root_keys, now, &*entropy);
    let report = runtime()?.block_on(made)?;
    match args.json {
        true => print_json(&report),
        false => print(&init::describe(&report, &args.data)),
    }
}

fn make_root_keys(args: &RootKeysArgs) -> Result<(), Ending> {
    let report = root_keys::make(&args.out, args.count.into(), &*entropy()?)?;
    match args.json {
        true => print_json(&report),
        false => print(&root_keys::describe(&report)),
    }
}

fn renew(args: RenewArgs) -> Result<(), Ending> {
    let (folder, json) = (DataFolder::new(&args.data), args.json);
    let now = SystemClock.now();
    let report = trust_command::renew(&folder, &args.into(), now, &*entropy()?)?;
    match json {
        true => print_json(&report),
        false => print(&trust_command::describe(&report)),
    }
}

fn restore_server(args: RestoreArgs) -> Result<(), Ending> {
    let RestoreArgs { backup, data, keys, trust, status, json } = args;
    log_from("warn");
    let asked = Restore { backup, data, keys, trust };
    if let Some(status) = &status {
        restore::check_status(&asked, status)?;
    }
    let runtime = runtime()?;
    let mut report = runtime.block_on(restore::restore(&asked, SystemClock.now()))?;
    if let Some(status) = &status {
        let adopted = restore::adopt(&asked.data, status, Arc::new(SystemClock), entropy()?);
        report.adopted = Some(runtime.block_on(adopted)?);
    }
    match json {
        true => print_json(&report),
        false => print(&restore::describe(&report, &asked.data)),
    }
}

fn adopt_status(args: &AdoptArgs) -> Result<(), Ending> {
    log_from("warn");
    let adopted = restore::adopt(&args.data, &args.status, Arc::new(SystemClock), entropy()?);
    let report = runtime()?.block_on(adopted)?;
    match args.json {
        true => print_json(&report),
        false => print(&restore::describe_adopted(&report)),
    }
}

fn members_keys(what: MemberKeysCommand) -> Result<(), Ending> {
    let keys = |data: &Path| DataFolder::new(data).keys();
    let (report, json) = match what {
        MemberKeysCommand::Copy { data, to, json } => (member_keys::copy(&keys(&data), &to)?, json),
        MemberKeysCommand::Show { file, json } => (member_keys::show(&file)?, json),
        MemberKeysCommand::Make { data, json } => (member_keys::make(&keys(&data), &*entropy()?)?, json),
    };
    match json {
        true => print_json(&report),
        false => print(&member_keys::describe(&report)),
    }
}

fn operators(what: OperatorCommand) -> Result<(), Ending> {
    let (data, wanted, json) = match what {
        OperatorCommand::Key { out, json } => {
            let report = operator_command::make_key(&out, &*entropy()?)?;
            return match json {
                true => print_json(&report),
                false => print(&operator_command::describe_key(&report)),
            };
        }
        OperatorCommand::List { data, json } => {
            let folder = DataFolder::new(&data);
            let views = runtime()?.block_on(operator_command::read(&folder))?;
            return print(&operator_command::describe_list(&views, json));
        }
        OperatorCommand::Add { data, operator, json } => {
            (data, OperatorChange::Add(Box::new((*operator).into())), json)
        }
        OperatorCommand::Retire { data, operator, json } => (data, OperatorChange::Retire(operator), json),
    };
    let (folder, now, entropy) = (DataFolder::new(&data), SystemClock.now(), entropy()?);
    let changed = operator_command::change(&folder, &wanted, now, &*entropy);
    let applied = runtime()?.block_on(changed)?;
    print(&operator_command::describe_change(applied, &wanted, json))
}

fn export(args: &ExportArgs) -> Result<(), Ending> {
    let folder = DataFolder::new(&args.data);
    let report = status_command::export(&folder, &args.status, &args.uri, &args.out, SystemClock.now())?;
    match args.json {
        true => print_json(&report),
        false => print(&status_command::describe(&report)),
    }
}

fn serve_until_stopped(args: &ServeArgs) -> Result<(), Ending> {
    let parts = open(&args.data, args)?;
    log_from(parts.config.log.name());
    runtime()?.block_on(async {
        let stop = stop_signal()?;
        serve::run(parts, stop).await.map_err(Ending::from)
    })
}

fn open(data: &Path, args: &ServeArgs) -> Result<Parts<impl bhyt_server::store::Store>, Ending> {
    let mut parts = Parts::open(&DataFolder::new(data), Arc::new(SystemClock), entropy()?)?;
    parts.config.listen = args.listen.unwrap_or(parts.config.listen);
    parts.ready_file.clone_from(&args.ready_file);
    Ok(parts)
}

/// Ends with the first SIGINT or SIGTERM. A SIGHUP does nothing: the bundle is looked at each second anyway.
fn stop_signal() -> Result<impl Future<Output = ()>, Ending> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let listen = |kind| signal(kind).map_err(OpenError::System);
        let (mut interrupt, mut terminate) =
            (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
        let hangup = listen(SignalKind::hangup())?;
        Ok(async move {
            // Kept, so that a hang-up does not end the process.
            let _hangup = hangup;
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        })
    }
    #[cfg(not(unix))]
    Ok(async {
        let _ = tokio::signal::ctrl_c().await;
    })
}

fn runtime() -> Result<tokio::runtime::Runtime, Ending> {
    let built = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    Ok(built.map_err(OpenError::System)?)
}

fn entropy() -> Result<Arc<dyn Entropy>, Ending> {
    Ok(Arc::new(OsEntropy::open().map_err(NoEntropy)?))
}

fn log_from(level: &str) {
    let filter = EnvFilter::try_from_env("BHYT_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    tracing_subscriber::fmt().json().with_env_filter(filter).with_writer(io::stderr).init();
}

fn print_json(report: &impl serde::Serialize) -> Result<(), Ending> {
    let json = serde_json::to_string(report).map_err(io::Error::from).map_err(OpenError::System)?;
    print(&format!("{json}\n"))
}

fn print(text: &str) -> Result<(), Ending> {
    let mut out = io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    Ok(written.map_err(OpenError::System)?)
}

/// Help and version are no failures; everything else that clap says is a usage error.
fn explain(error: &clap::Error) -> ExitCode {
    let _ = error.print();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::SUCCESS,
        _ => Exit::Usage.into(),
    }
}

/// The system has no random source.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct NoEntropy(bhyt_platform::entropy::EntropyError);

impl Failure for NoEntropy {
    fn exit(&self) -> Exit {
        Exit::Io
    }
}
