//! The program as a whole: what it prints, and how it ends.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output, Stdio};

fn program(arguments: &str) -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_web_cache"));
    program.args(arguments.split_whitespace());
    program
}

fn run(arguments: &str) -> Output {
    program(arguments).output().expect("the program is there")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The number in a row of the table.
fn number(output: &Output, row: &str) -> u64 {
    let table = text(&output.stdout);
    let line = table.lines().find(|line| line.contains(row)).unwrap_or_else(|| panic!("no row {row} in\n{table}"));
    line.split(|c: char| !c.is_ascii_digit()).rfind(|part| !part.is_empty()).unwrap().parse().unwrap()
}

fn driven(arguments: &str) -> Output {
    let output = run(&format!("--time 1s {arguments}"));
    assert_eq!(output.status.code(), Some(0), "{}\n{}", text(&output.stderr), text(&output.stdout));
    output
}

#[test]
fn all_rules_hold() {
    let output =
        driven("--clients 12 --effort 8 --rate 30 --burst 4 --cached 4 --page-lasts 100ms --session-lasts 200ms");
    // What is sure to happen on the slowest machine.
    for row in ["requests", "miss", "renderings ordered", "logins", "versions audited", "streamed"] {
        assert!(number(&output, row) > 0, "{row}:\n{}", text(&output.stdout));
    }
}

#[test]
fn a_queue_that_is_too_short_holds_them_back() {
    let output = driven("--clients 12 --workers 1 --queue 1 --cached 1 --effort 20 --patience 1ms");
    assert_eq!(number(&output, "longest queue"), 1);
    assert!(number(&output, "queue full") + number(&output, "too late") > 0, "{}", text(&output.stdout));
}

#[test]
fn violations_are_found() {
    for rule in ["pages", "once", "limits", "sums", "tally", "waiters"] {
        let output = run(&format!("--time 100ms --clients 2 --effort 4 --patience 1min --break {rule}"));
        assert_eq!(output.status.code(), Some(1), "{rule}: {}", text(&output.stderr));
        let expected = format!("violated: {rule}: ");
        assert!(text(&output.stderr).contains(&expected), "{rule}: {}", text(&output.stderr));
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    for (arguments, message) in [
        ("--workers 0".to_owned(), "--workers"),
        ("--time 5".to_owned(), "must have a unit"),
        ("serve --clients 3".to_owned(), "--clients"),
        (format!("--port {port}"), "cannot listen on 127.0.0.1:"),
        (format!("serve --port {port}"), "cannot listen on 127.0.0.1:"),
    ] {
        let output = run(&arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments}");
        assert!(text(&output.stderr).contains(message), "{arguments}: {}", text(&output.stderr));
    }
}

/// Ctrl-C while some wait for pages that take long, somebody reads the stream of statistics, and somebody never ends a request.
#[cfg(unix)]
#[test]
fn serves_until_it_is_interrupted() {
    let mut server = program("serve --port 0 --effort 23 --patience 10min")
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program is there");
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    let address = first.split(['/', ',']).nth(2).unwrap().to_owned();
    let ask = |path: &str| {
        let mut stream = TcpStream::connect(&address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").unwrap();
        stream
    };
    let mut events = BufReader::new(ask("/events")).lines().map(Result::unwrap);
    let mut stuck = TcpStream::connect(&address).unwrap();
    stuck.write_all(b"GET / HTTP/1.1\r\nho").unwrap();
    // More than there are workers, so that some are still in the queue.
    let waiting: Vec<TcpStream> = (1..=6).map(|id| ask(&format!("/page/{id}"))).collect();
    events.by_ref().find(|line| line.contains("\"requests\":6")).unwrap();
    let interrupted = Command::new("kill").args(["-INT", &server.id().to_string()]).status().unwrap();
    assert!(interrupted.success());
    for mut stream in waiting {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 503") || answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    assert!(events.any(|line| line.contains("\"closed\":true")), "the stream has ended without a last event");
    assert_eq!(lines.next().unwrap().unwrap(), "6 requests served, 0 still waiting");
    assert!(server.wait().unwrap().success());
}
