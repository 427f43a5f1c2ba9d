//! `hookgate dev` as a stranger uses it: what it prints is pasted into a shell.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use hookgate_testkit::eventually::eventually_blocking;

use crate::process::{Background, free_port, hookgate};

const START_WITHIN: Duration = Duration::from_secs(60);
const STOP_WITHIN: Duration = Duration::from_secs(20);

/// Starts it on ports of its own; also what it prints.
pub fn dev(directory: &Path, arguments: &[&str]) -> (Background, String) {
    let listen = |port: u16| format!("127.0.0.1:{port}");
    let environment: Vec<(String, String)> = ["INGRESS", "MANAGEMENT", "OPERATOR", "ADMIN"]
        .map(|part| (format!("HOOKGATE_{part}__LISTEN"), listen(free_port())))
        .into();
    let mut command = hookgate(directory, &environment);
    command.arg("dev").args(arguments);
    let mut process = Background::start(command);
    let banner = process.wait_for("See what came in:", START_WITHIN);
    let banner = if banner.trim_end().ends_with('\'') {
        banner
    } else {
        process.wait_for("/v1/events", START_WITHIN)
    };
    (process, banner)
}

/// The commands of the banner: its indented lines from the one that makes a webhook on.
fn commands(banner: &str) -> Vec<String> {
    let (_, from_first) = banner.split_once("Make a webhook").expect("the banner");
    let blocks = from_first.split("\n\n").filter(|block| block.starts_with("  "));
    blocks.map(str::to_owned).collect()
}

/// Pastes commands into one shell, and returns what each printed.
fn paste(commands: &[String]) -> Vec<String> {
    let script = commands.join("\necho ---\n");
    let output = Command::new("sh")
        .args(["-c", &script])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(
        output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    text.split("---\n").map(str::to_owned).collect()
}

#[test]
fn the_printed_commands_work_and_the_data_stays() {
    let directory = tempfile::tempdir().unwrap();
    open_to_the_servers_user(directory.path());
    let (mut process, banner) = dev(directory.path(), &[]);
    let commands = commands(&banner);
    assert_eq!(commands.len(), 3, "{banner}");
    let printed = paste(&commands);
    assert!(
        printed[0].starts_with("http://127.0.0.1:") && printed[0].trim().ends_with("/orders"),
        "{printed:?}"
    );
    assert!(printed[1].starts_with("HTTP/1.1 2"), "{printed:?}");
    let event = printed[2]
        .find("evt_")
        .map(|start| printed[2][start..start + 30].to_owned());
    let event = event.unwrap_or_else(|| panic!("no event: {printed:?}"));
    let secrets = directory.path().join(".hookgate/dev.toml");
    let mode = std::os::unix::fs::PermissionsExt::mode(&secrets.metadata().unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    assert!(process.stop("INT", STOP_WITHIN).success(), "{}", process.output());
    assert_nothing_is_left(directory.path());

    let (mut process, banner) = dev(directory.path(), &[]);
    let listing = paste(&self::commands(&banner)[2..]);
    assert!(
        listing[0].contains(&event),
        "the event of the first run is still there: {listing:?}"
    );
    // As when the terminal is closed the hard way.
    process.kill();
    assert_nothing_is_left(directory.path());

    let (mut process, banner) = dev(directory.path(), &["--fresh"]);
    let listing = paste(&self::commands(&banner)[2..]);
    assert!(
        listing[0].contains("\"data\"") && !listing[0].contains("evt_"),
        "{listing:?}"
    );
    assert!(
        process.stop("TERM", STOP_WITHIN).success(),
        "{}",
        process.output()
    );
    assert_nothing_is_left(directory.path());
}

#[test]
fn a_taken_port_is_said_and_another_is_used() {
    let directory = tempfile::tempdir().unwrap();
    open_to_the_servers_user(directory.path());
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let environment: Vec<(String, String)> = [
        ("INGRESS", port),
        ("MANAGEMENT", free_port()),
        ("OPERATOR", free_port()),
        ("ADMIN", free_port()),
    ]
    .map(|(part, port)| (format!("HOOKGATE_{part}__LISTEN"), format!("127.0.0.1:{port}")))
    .into();
    let mut command = hookgate(directory.path(), &environment);
    command.arg("dev");
    let mut process = Background::start(command);
    let banner = process.wait_for("/v1/events", START_WITHIN);
    assert!(
        banner.contains(&format!("Port {port} is taken: ingress.listen is 127.0.0.1:")),
        "{banner}"
    );
    let again = hookgate(directory.path(), &environment)
        .arg("dev")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(
        !again.status.success() && text.contains("another process already runs servers"),
        "{text}"
    );
    assert!(process.stop("INT", STOP_WITHIN).success(), "{}", process.output());
}

/// A temporary directory is closed to everybody else, and root's servers run as somebody else.
pub fn open_to_the_servers_user(directory: &Path) {
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(directory, permissions).unwrap();
}

fn assert_nothing_is_left(directory: &Path) {
    eventually_blocking(STOP_WITHIN, "no process of the directory is left", || {
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        let left = processes
            .filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok())
            .filter(|arguments| String::from_utf8_lossy(arguments).contains(&*directory.to_string_lossy()))
            .count();
        (left == 0).then_some(())
    });
}
