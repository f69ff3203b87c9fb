//! A server in a process of its own, so that its memory and its file descriptors are its own, too.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};

use score::score;

use super::*;
use crate::tls::IdentityFiles;

/// What the other process runs.
const SERVES: &str = "serve::tests::apart::serves_until_it_is_killed";
/// What an idle connection may hold.
const IDLE_BYTES_MAX: u64 = 64 * 1024;

struct Apart {
    child: Child,
    address: Address,
}

impl Apart {
    /// Starts it with at most so many files, at an address and with the certificates of a folder.
    fn start(files: u32, listen: &str, folder: &str) -> Self {
        let test = std::env::current_exe().unwrap();
        let limit = format!("ulimit -n {files} && exec \"$0\" --exact {SERVES} --ignored --nocapture");
        let mut child = Command::new("sh")
            .args(["-c", &limit])
            .arg(test)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        writeln!(child.stdin.as_mut().unwrap(), "{listen} {folder}").unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let said =
            lines.find_map(|line| line.unwrap().split_once("serving on ").map(|(_, at)| at.to_owned()));
        let address = said.expect("it says where").parse().unwrap();
        Self { child, address }
    }

    /// What it holds in memory, bytes.
    fn resident(&self) -> u64 {
        let statm = std::fs::read_to_string(format!("/proc/{}/statm", self.child.id())).unwrap();
        statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[tokio::test]
#[ignore = "it is the other process of the tests below"]
async fn serves_until_it_is_killed() {
    let mut told = String::new();
    io::stdin().read_line(&mut told).unwrap();
    let (listen, folder) = told.trim_end().split_once(' ').unwrap();
    let file = |name: &str| (folder != "-").then(|| std::path::Path::new(folder).join(name));
    let files = IdentityFiles {
        certificate: file("certificate.pem"),
        key: file("key.pem"),
        authority: file("authority.pem"),
        ..IdentityFiles::default()
    };
    let listener = Os.bind(&listen.parse().unwrap()).await.unwrap();
    let options = ServeOptions { connections_max: 20_000, ..ServeOptions::default() };
    let running = rig::run(options, listener, files.load().unwrap(), rig::service());
    // The tests' own way to print holds back what has no end of line.
    let mut out = io::stdout();
    writeln!(out, "serving on {}", running.address).unwrap();
    out.flush().unwrap();
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn a_process_out_of_files_accepts_again_within_a_second() {
    let apart = Apart::start(256, "127.0.0.1:0", "-");
    let known = rig::channel(&apart.address, Arc::new(Os));
    assert_eq!(rig::call(&known, rig::request("/echo", &[])).await.code, Code::Ok);
    let mut held = Vec::new();
    for _ in 0..400 {
        held.push(Os.connect(&apart.address).await.unwrap());
    }
    // Long enough for the pauses between its attempts to grow.
    sleep(Duration::from_secs(2)).await;
    let late = rig::channel(&apart.address, Arc::new(Os));
    let shut_out = rig::call(&late, rig::request("/echo", &[("grpc-timeout", "300m")])).await;
    assert_eq!(shut_out.code, Code::DeadlineExceeded, "it has no file left: {}", shut_out.message);
    assert_eq!(rig::call(&known, rig::request("/echo", &[])).await.code, Code::Ok, "who is in stays in");
    drop(held);
    let released = Instant::now();
    let fresh = rig::channel(&apart.address, Arc::new(Os));
    assert_eq!(rig::call(&fresh, rig::request("/echo", &[])).await.code, Code::Ok);
    let waited = released.elapsed();
    score!("D5", waited <= Duration::from_secs(1), "accepts {waited:.1?} after files of 256 are free again");
    assert!(waited <= Duration::from_secs(1), "{waited:?}");
}

/// Holds so many idle connections, then restarts the server under them.
async fn hold(count: usize, secure: bool) {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::ephemeral().unwrap();
    let files = authority.issue("worker").unwrap().write(folder.path()).unwrap();
    assert!(files.load().unwrap().is_some());
    let client = secure.then(|| identity(&authority, "agent/1"));
    let folder = if secure { folder.path().to_str().unwrap() } else { "-" };
    let apart = Apart::start(20_000, "127.0.0.1:0", folder);
    let options = ConnectOptions { connect_timeout_ms: 30_000, ..ConnectOptions::default() };
    let options = options.expecting("worker.causeway");
    let channel = || Channel::new(apart.address.clone(), Arc::new(Os), client.clone(), options.clone());
    let first = channel();
    assert_eq!(rig::call(&first, rig::request("/echo", &[])).await.code, Code::Ok);
    let before = apart.resident();
    let mut held = Vec::new();
    for _ in 0..count {
        let one = channel();
        assert_eq!(rig::call(&one, rig::request("/echo", &[])).await.code, Code::Ok);
        held.push(one);
    }
    let steady = apart.resident();
    let each = steady.saturating_sub(before) / count as u64;
    println!("{count} idle connections, TLS {secure}: {each} bytes each");
    assert!(each <= IDLE_BYTES_MAX, "{each} bytes for each idle connection");

    let at = apart.address.to_string();
    drop(apart);
    let again = Apart::start(20_000, &at, folder);
    let began = Instant::now();
    let back = held.iter().map(async |one| {
        while rig::call(one, rig::request("/echo", &[])).await.code != Code::Ok {
            sleep(Duration::from_millis(100)).await;
        }
    });
    futures_util::future::join_all(back).await;
    println!("all back after {:?}, holding {} bytes", began.elapsed(), again.resident());
    assert!(began.elapsed() <= Duration::from_secs(30), "{:?}", began.elapsed());
    assert!(again.resident() <= 2 * steady, "{} of {steady} bytes", again.resident());
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_are_small_and_all_come_back_after_a_restart() {
    hold(500, false).await;
    hold(500, true).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it needs 10,000 file descriptors and a minute; for the scorecard"]
async fn ten_thousand_idle_connections_are_small_and_all_come_back_after_a_restart() {
    hold(10_000, true).await;
}
