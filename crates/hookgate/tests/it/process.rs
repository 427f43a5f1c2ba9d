//! The program under test as a child process.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hookgate_testkit::eventually::eventually_blocking;

/// Where the program under test is.
pub const HOOKGATE: &str = env!("CARGO_BIN_EXE_hookgate");

/// The program, with no environment but what is given.
pub fn hookgate(directory: &Path, environment: &[(String, String)]) -> Command {
    program(HOOKGATE.as_ref(), directory, environment)
}

/// A program, likewise.
pub fn program(path: &Path, directory: &Path, environment: &[(String, String)]) -> Command {
    let mut command = Command::new(path);
    let path = std::env::var_os("PATH").unwrap_or_default();
    command
        .env_clear()
        .env("PATH", path)
        .current_dir(directory)
        .stdin(Stdio::null());
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    command
}

/// Runs the program to its end.
pub fn run(
    arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
    environment: &[(String, String)],
) -> Output {
    hookgate(&std::env::temp_dir(), environment)
        .args(arguments)
        .output()
        .unwrap()
}

/// A program in the background; it is killed when this is dropped.
pub struct Background {
    child: Child,
    output: Arc<Mutex<String>>,
}

impl Background {
    /// Starts it, and gathers what it prints.
    pub fn start(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = Arc::<Mutex<String>>::default();
        gather(child.stdout.take().unwrap(), &output);
        gather(child.stderr.take().unwrap(), &output);
        Self { child, output }
    }

    /// What it printed so far.
    pub fn output(&self) -> String {
        self.output.lock().unwrap().clone()
    }

    /// Waits until it printed something.
    pub fn wait_for(&mut self, text: &str, within: Duration) -> String {
        eventually_blocking(within, format!("it prints {text:?}"), || {
            let output = self.output();
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("it ended with {status} before it printed {text:?}:\n{output}");
            }
            output.contains(text).then_some(output)
        })
    }

    /// Types something into it.
    pub fn type_in(&mut self, text: &str) {
        let stdin = self.child.stdin.as_mut().expect("a pipe");
        stdin.write_all(text.as_bytes()).unwrap();
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Kills it with SIGKILL.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks it to stop with a signal (`INT`, `TERM`) and waits for its end.
    pub fn stop(&mut self, signal: &str, within: Duration) -> ExitStatus {
        self.signal(signal);
        eventually_blocking(within, format!("it ends after SIG{signal}"), || self.ended())
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: &str) {
        let id = self.id().to_string();
        let sent = Command::new("kill").args(["-s", signal, &id]).status();
        assert!(sent.unwrap().success());
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("--- process {} printed:\n{}", self.id(), self.output());
        }
    }
}

fn gather(stream: impl Read + Send + 'static, output: &Arc<Mutex<String>>) {
    let output = Arc::clone(output);
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let mut output = output.lock().unwrap();
            output.push_str(&line);
            output.push('\n');
        }
    });
}

/// A port that nobody listens on at this moment, below those that the system gives to outgoing connections: one of them
/// could hold it while a killed service is to listen on it again.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let first = std::process::id() * 50;
    loop {
        let number = first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = 20_000 + u16::try_from(number % 12_000).unwrap();
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
