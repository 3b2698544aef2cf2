//! The program: parses the command line, starts the runtime, exits with the command's code.

use std::process::ExitCode;

use clap::Parser;
use hlswarm::cli::Cli;
use hlswarm::run;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(wrong) if wrong.use_stderr() => {
            // One line, as for every other error; the rest of it stands in the help.
            let text = wrong.to_string();
            let line = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
            eprintln!("hlswarm: {line}; see hlswarm --help");
            return ExitCode::from(2);
        }
        Err(help) => help.exit(),
    };
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => {
            let code = runtime.block_on(run::run(cli));
            // A name that is being looked up would hold the end up.
            runtime.shutdown_background();
            code
        }
        Err(error) => {
            eprintln!("hlswarm: the runtime cannot be started: {error}");
            ExitCode::FAILURE
        }
    }
}
