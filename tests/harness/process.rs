//! One running process: its log, and its end when the test ends.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use mesh::transport::Address;

/// How long a process may take to say that it listens. A test machine may be busy.
const START_DEADLINE: Duration = Duration::from_secs(60);

/// A process that is killed when this is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: Receiver<String>,
}

// === impl Process ===

impl Process {
    /// Starts a binary with a configuration file and nothing of this process's environment that could configure it.
    #[must_use]
    pub fn start(name: &str, config: &Path, variables: &[(&str, &str)]) -> Self {
        let mut child = Command::new(super::binary(name))
            .arg("--config")
            .arg(config)
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let lines = BufReader::new(child.stderr.take().expect("piped"));
        let (sender, log) = channel();
        thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, log }
    }

    /// Waits for a line of the log that contains `mark`, and returns it.
    #[must_use]
    pub fn wait_for(&self, mark: &str) -> String {
        let mut seen = Vec::new();
        loop {
            match self.log.recv_timeout(START_DEADLINE) {
                Ok(line) if line.contains(mark) => return line,
                Ok(line) => seen.push(line),
                Err(error) => panic!("no line with `{mark}` ({error}); the log:\n{}", seen.join("\n")),
            }
        }
    }

    /// The lines of the log that nobody has waited for, of a process that has ended.
    #[must_use]
    pub fn rest(&self) -> Vec<String> {
        self.log.iter().collect()
    }

    /// Waits until it listens; where.
    #[must_use]
    pub fn listens_at(&self) -> Address {
        let line = self.wait_for("listening");
        let address = line.split("address=").nth(1).and_then(|rest| rest.split_whitespace().next());
        let address = address.expect("the log names the address").trim_matches('"');
        address.parse().expect("an address")
    }

    /// Lines of its log so far, of those that were not looked at yet, that contain `mark`.
    #[must_use]
    pub fn lines_with(&self, mark: &str) -> usize {
        self.log.try_iter().filter(|line| line.contains(mark)).count()
    }

    /// What it holds in memory, bytes.
    ///
    /// # Panics
    ///
    /// The system does not tell.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        let statm = std::fs::read_to_string(format!("/proc/{}/statm", self.child.id())).expect("it runs");
        statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).expect("pages") * 4096
    }

    /// CPU time that its threads used so far.
    ///
    /// # Panics
    ///
    /// The system does not tell.
    #[must_use]
    pub fn cpu(&self) -> Duration {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("it runs");
        let of = |task: std::path::PathBuf| {
            let text = std::fs::read_to_string(task.join("schedstat")).unwrap_or_default();
            text.split(' ').next().and_then(|nanoseconds| nanoseconds.parse().ok()).unwrap_or(0)
        };
        Duration::from_nanos(tasks.flatten().map(|task| of(task.path())).sum())
    }

    /// The most memory that the process ever asked the system for, touched or not, bytes; nothing where the system does
    /// not tell.
    #[must_use]
    pub fn memory_peak_bytes(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmPeak:"))?;
        let kibibytes: u64 = peak.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kibibytes << 10)
    }

    /// Ends the process where it stands.
    pub fn kill(&mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it can be waited for");
    }

    /// Asks the process to end, as an orchestrator does, and waits for it.
    pub fn terminate(&mut self) -> std::process::ExitStatus {
        self.signal("-TERM");
        self.child.wait().expect("it can be waited for")
    }

    /// Stops the process where it stands: it keeps everything that it has, and does nothing.
    pub fn stop(&self) {
        self.signal("-STOP");
    }

    /// Lets a stopped process go on.
    pub fn go_on(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args([signal, &pid]).status().expect("kill runs");
        assert!(sent.success(), "the process is gone already");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
