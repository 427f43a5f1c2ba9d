//! Published programs that tests use, installed once, outside of the sources.

use std::path::Path;
use std::process::Command;

/// Where what the tests give to those programs is.
pub const CLIENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients");
/// The document of the management API.
pub const OPENAPI: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../openapi/openapi.json");

/// A virtual environment of Python.
pub struct Python(String);

impl Python {
    /// With the packages of a file, in a directory of this name.
    pub fn with(requirements: &str, name: &str) -> Self {
        let to = format!("{}/{name}", env!("CARGO_TARGET_TMPDIR"));
        let mut install = Command::new(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../scripts/python-packages.sh"
        ));
        install.args([&format!("{CLIENTS}/python/{requirements}"), &to]);
        output_of("python-packages.sh", &mut install);
        Self(to)
    }

    /// Where a program of it is.
    pub fn program(&self, name: &str) -> String {
        format!("{}/bin/{name}", self.0)
    }

    /// Runs a program of it and gives what it prints.
    pub fn run(&self, program: &str, arguments: &[&str]) -> String {
        output_of(program, Command::new(self.program(program)).args(arguments))
    }
}

/// Runs Node.js in a directory and gives what it prints.
pub fn node(directory: impl AsRef<Path>, arguments: &[&str]) -> String {
    let mut command = Command::new("node");
    command.current_dir(directory).args(arguments);
    output_of("node", &mut command)
}

/// The directory with the packages of `clients/typescript`.
pub fn typescript_packages() -> String {
    let to = concat!(env!("CARGO_TARGET_TMPDIR"), "/clients-typescript");
    let mut install = Command::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../scripts/node-packages.sh"
    ));
    install.args([&format!("{CLIENTS}/typescript"), to]);
    output_of("node-packages.sh", &mut install);
    format!("{to}/node_modules")
}

/// Runs a program and gives what it prints.
fn output_of(name: &str, command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| {
        panic!("{name}: {error}; scripts/install-deps.sh test installs what this needs")
    });
    let [printed, complained] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    assert!(output.status.success(), "{name}: {printed}{complained}");
    printed.into_owned()
}
