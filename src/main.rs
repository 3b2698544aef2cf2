//! The program: parses the command line, starts the runtime, exits with the command's code.

use std::process::ExitCode;

use clap::Parser;
use hlswarm::cli::Cli;
use hlswarm::run;

fn main() -> ExitCode {
    let cli = Cli::parse();
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
