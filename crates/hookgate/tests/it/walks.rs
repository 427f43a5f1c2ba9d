//! The walks of `docs/walks.md`, and the commands of `docs/operators.md`, pasted into a shell beside `hookgate dev`.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::dev::{dev, open_to_the_servers_user};
use crate::process::{Background, free_port};

const WALKS: &str = include_str!("../../../../docs/walks.md");
const OPERATORS: &str = include_str!("../../../../docs/operators.md");
const PATIENCE: Duration = Duration::from_secs(60);

/// What is to be pasted, in its order.
fn blocks(page: &str) -> Vec<&str> {
    let after = page.split("```sh\n").skip(1);
    after.filter_map(|rest| Some(rest.split_once("```")?.0)).collect()
}

/// A process with all that it started; they end when this is dropped.
struct Group(u32);

impl Drop for Group {
    fn drop(&mut self) {
        let group = format!("-{}", self.0);
        let _ = Command::new("kill").args(["-s", "KILL", "--", &group]).status();
    }
}

#[test]
fn the_walks_work_as_pasted() {
    let directory = tempfile::tempdir().unwrap();
    open_to_the_servers_user(directory.path());
    let (mut hookgate, banner) = dev(directory.path(), &[]);
    let after = |text: &str| {
        let (_, rest) = banner.split_once(text).expect(text);
        rest.split_whitespace().next().unwrap().to_owned()
    };
    let mut shell = Command::new("sh");
    shell.stdin(Stdio::piped()).process_group(0);
    let mut shell = Background::start(shell);
    let _servers = Group(shell.id());
    let (chat, erp) = (free_port().to_string(), free_port().to_string());
    let blocks: Vec<String> = blocks(WALKS)
        .into_iter()
        .map(|block| {
            block
                .replace("hgm_…", &after("management key"))
                .replace("http://127.0.0.1:8081/v1", &after("management API"))
                .replace("9001", &chat)
                .replace("9002", &erp)
        })
        .collect();
    let (end, walk) = blocks.split_last().unwrap();
    for (number, block) in walk.iter().enumerate() {
        // A person takes a moment between starting a server and calling it.
        let told = format!("block {number} is pasted");
        shell.type_in(&format!("{block}\necho {told}\n"));
        shell.wait_for(&told, PATIENCE);
    }
    for expected in [
        r#""msg":"Missing required parameter: at least one of text, data""#,
        r#"{"status":"accepted","traceId":"evt_"#,
        "Basic Ym90Om9wZW4gc2VzYW1l",
        r#""text": "You said 'Hello', your message 1.""#,
        r#""text": "You said 'And now?', your message 2.""#,
        "draft 200",
        "published 200",
        r#"{"erp_id":"SO-1042"}"#,
        r#""path":"order.lines","code":"missing""#,
        r#"{"error":"the ERP did not take the order"}"#,
    ] {
        shell.wait_for(expected, PATIENCE);
    }
    let printed = shell.output();
    let taken = |number: u32| printed.matches(&format!("SO-{number}")).count();
    assert_eq!(
        (taken(1042), taken(1043)),
        (2, 0),
        "the same order, the same answer: {printed}"
    );
    shell.type_in(end);
    assert!(hookgate.stop("INT", PATIENCE).success(), "{}", hookgate.output());
}

#[test]
fn the_operators_commands_work_as_pasted() {
    let directory = tempfile::tempdir().unwrap();
    open_to_the_servers_user(directory.path());
    let (mut hookgate, banner) = dev(directory.path(), &[]);
    let (_, address) = banner.split_once("operator's API").expect("the banner");
    let address = address.split_whitespace().next().unwrap();
    let script = blocks(OPERATORS)
        .concat()
        .replace("http://127.0.0.1:8085/admin/v1", address);
    let mut shell = Command::new("sh");
    let output = shell
        .args(["-c", &script])
        .current_dir(directory.path())
        .output()
        .unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let answers: Vec<serde_json::Value> = printed
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")))
        .collect();
    let told: Vec<String> = answers
        .iter()
        .map(|answer| {
            let events = &answer["limits_in_effect"]["events_per_month"];
            format!(
                "{} {} {events} {}",
                answer["status"], answer["plan"]["name"], answer["code"]
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            "null null null null",
            r#""active" null null null"#,
            "null null null null",
            r#""active" "Small" 250000 null"#,
            "null null null null",
            r#""active" "Small" 100000 null"#,
            r#""suspended" "Small" 100000 null"#,
            r#""active" "Small" 100000 null"#,
            r#""deleted" "Small" 100000 null"#,
            r#""active" "Small" 100000 null"#,
            r#"409 null null "wrong_state""#,
            "null null null null",
            "null null null null",
            "null null null null",
        ],
        "{printed}"
    );
    assert_eq!(answers[4]["limits"]["requests_per_second"], 50);
    let entries = |list: &serde_json::Value| list["data"].as_array().unwrap().len();
    let logs: Vec<usize> = answers.iter().rev().take(3).map(entries).collect();
    assert_eq!(logs, [2, 6, 8], "the plan's, the tenant's, all: {printed}");
    assert!(hookgate.stop("INT", PATIENCE).success(), "{}", hookgate.output());
}
