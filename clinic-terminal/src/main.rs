//! `bhyt-terminal`: parses, builds, runs.

use std::io::{self, BufReader, IsTerminal, Write};
use std::process::ExitCode;

use bhyt_sdk::Config;
use bhyt_terminal::{Cli, Colours, Exit, Output, Parts, run};
use clap::Parser;
use tracing_subscriber::EnvFilter;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no mistakes; that printing them fails changes nothing.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage.into() } else { ExitCode::SUCCESS };
        }
    };
    let level = EnvFilter::try_from_env("BHYT_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().json().with_writer(io::stderr).with_env_filter(level).init();
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let colours = if io::stdout().is_terminal() && !plain { Colours::Ansi } else { Colours::None };
    let (json, config) = (cli.json, Config::new(&cli.data));
    let input = Box::new(BufReader::new(io::stdin()));
    let parts = Parts { cli, config, input, out: Output::new(io::stdout()), colours };
    match run(parts, signalled()).await {
        Ok(ended) => ended.into(),
        Err(error) => {
            if !json {
                // When stderr is gone too, the exit code still says it.
                let _ = writeln!(io::stderr(), "bhyt-terminal: {}", error.chain());
            }
            error.exit().into()
        }
    }
}

/// SIGINT, or SIGTERM where there is one.
async fn signalled() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    // Without a handler nothing arrives here and the system ends the program.
    let _ = tokio::signal::ctrl_c().await;
}
