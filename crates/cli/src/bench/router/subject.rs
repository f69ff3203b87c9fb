//! A process under test: started on its own core, found where it listens, ended with its measurements.

use std::fs;
use std::io::{BufRead as _, BufReader, Read};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use mesh::tls::Authority;
use mesh::transport::Address;
use rustix::process::{Pid, Signal, kill_process};

use super::cores::{Cores, processor_time, resident_mib};
use super::instructions;
use super::settings;
use super::way::{WORKERS, Way};

/// How long a process may take to say where it listens.
const START_MAX: Duration = Duration::from_secs(20);

/// What every process under test is started from.
#[derive(Debug)]
pub(super) struct Bench {
    pub(super) cores: Cores,
    /// Certificates of all.
    pub(super) authority: Authority,
    /// The worker without and with TLS.
    pub(super) workers: [Address; 2],
    /// The router's program, with what makes it one where it is this program.
    pub(super) router: (PathBuf, &'static [&'static str]),
    /// Instructions are counted, not time.
    pub(super) counting: bool,
}

/// What stands between caller and worker.
#[derive(Debug)]
pub(super) struct Subject {
    /// Where callers call.
    pub(super) address: Address,
    process: Option<(Child, Said)>,
    folder: tempfile::TempDir,
}

// === impl Bench ===

impl Bench {
    /// Starts it; it may take a moment until it answers.
    pub(super) fn start(&self, way: Way) -> Result<Subject> {
        let folder = tempfile::tempdir()?;
        let (mut command, address) = match way {
            Way::Direct => {
                let address = self.workers[0].clone();
                return Ok(Subject { address, process: None, folder });
            }
            Way::Forwarder => (self.forwarder()?, None),
            Way::Router(parts) => {
                let (program, arguments) = &self.router;
                let mut command = Command::new(program);
                let config = settings::router(parts, self, folder.path())?;
                command.args(*arguments).arg("--config").arg(config);
                (command, None)
            }
            Way::Nginx => {
                let mut command = Command::new("nginx");
                let port = free_port()?;
                let config = settings::nginx(&self.workers[0], port, folder.path())?;
                command.arg("-p").arg(folder.path()).arg("-c").arg(config).args(["-e", "stderr"]);
                (command, Some(port))
            }
            Way::Haproxy => {
                let mut command = Command::new("haproxy");
                let port = free_port()?;
                command.arg("-db").arg("-f").arg(settings::haproxy(&self.workers[0], port, folder.path())?);
                (command, Some(port))
            }
        };
        if self.counting {
            command = counting(&command, folder.path());
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = self.cores.spawn(&mut command)?;
        let said = Said::listen(&mut process);
        let mut subject =
            Subject { address: Address::Tcp(String::new()), process: Some((process, said)), folder };
        subject.address = match address {
            Some(port) => Address::Tcp(format!("127.0.0.1:{port}")),
            None => subject.named(way.key())?,
        };
        Ok(subject)
    }

    fn forwarder(&self) -> Result<Command> {
        let mut command = Command::new(this()?);
        let to = self.workers[0].to_string();
        command.args(["bench", "forward", "--to", &to, "--connections", &WORKERS.to_string()]);
        Ok(command)
    }
}

/// The same under a tool that counts its instructions.
fn counting(command: &Command, folder: &Path) -> Command {
    let mut counting = Command::new("valgrind");
    counting.arg("--tool=callgrind").arg(format!("--callgrind-out-file={}", folder.join(COUNTS).display()));
    counting.arg(command.get_program()).args(command.get_args());
    counting
}

/// What that tool writes.
const COUNTS: &str = "callgrind.out";

/// A port that was free a moment ago.
fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

// === impl Subject ===

impl Subject {
    /// The address that it names.
    fn named(&self, name: &str) -> Result<Address> {
        let (_, said) = self.process.as_ref().context("there is no process between")?;
        said.address(name)
    }

    /// What it said and nobody read.
    pub(super) fn said(&self) -> String {
        let lines = self.process.iter().flat_map(|(_, said)| said.0.try_iter());
        lines.collect::<Vec<_>>().join("; ")
    }

    /// Asks it to end, and waits for it; the instructions that it took, where they were counted.
    pub(super) fn end(mut self) -> Result<Option<f64>> {
        let Some((process, _)) = &mut self.process else { return Ok(None) };
        kill_process(Pid::from_child(process), Signal::TERM)?;
        process.wait()?;
        let counts = fs::read_to_string(self.folder.path().join(COUNTS)).unwrap_or_default();
        Ok(instructions::total(&counts))
    }

    /// Processor time so far; none where there is no process between.
    pub(super) fn processor_time(&self) -> Result<Duration> {
        self.process.as_ref().map_or(Ok(Duration::ZERO), |(process, _)| processor_time(process.id()))
    }

    /// Memory in use, MiB.
    pub(super) fn resident_mib(&self) -> Result<Option<f64>> {
        self.process.as_ref().map(|(process, _)| resident_mib(process.id())).transpose()
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        if let Some((process, _)) = &mut self.process {
            // It may have ended by itself.
            let _gone = process.kill();
            let _gone = process.wait();
        }
    }
}

/// Lines that a process writes, read to its end so that it never waits for its reader.
#[derive(Debug)]
struct Said(std::sync::mpsc::Receiver<String>);

/// Lines that are kept for whoever waits for one.
const LINES_MAX: usize = 256;

impl Said {
    fn listen(process: &mut Child) -> Self {
        let (sender, lines) = sync_channel(LINES_MAX);
        let pipes: [Option<Box<dyn Read + Send>>; 2] = [
            process.stdout.take().map(|pipe| Box::new(pipe) as Box<dyn Read + Send>),
            process.stderr.take().map(|pipe| Box::new(pipe) as Box<dyn Read + Send>),
        ];
        for pipe in pipes.into_iter().flatten() {
            let sender = sender.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                    // Nobody waits any more, or for none of so many.
                    let _unread = sender.try_send(line);
                }
            });
        }
        Self(lines)
    }

    /// The address in the line that names one.
    fn address(&self, name: &str) -> Result<Address> {
        let mut seen = Vec::new();
        loop {
            let Ok(line) = self.0.recv_timeout(START_MAX) else {
                bail!("{name} did not say where it listens; it said: {}", seen.join("\n"));
            };
            let named = line.split("address=").nth(1).and_then(|rest| rest.split_whitespace().next());
            if let Some(address) = named.filter(|_| line.contains("listening")) {
                return Ok(address.trim_matches('"').parse()?);
            }
            seen.push(line);
        }
    }
}

/// What a program on the search path says of its version; `None`: it is not there.
pub(super) fn version(name: &str) -> Option<String> {
    let said = Command::new(name).arg(if name == "valgrind" { "--version" } else { "-v" }).output().ok()?;
    let said = String::from_utf8_lossy(if said.stdout.is_empty() { &said.stderr } else { &said.stdout })
        .into_owned();
    said.lines().next().map(str::to_owned)
}

/// The router's program: the one named, else the one beside this, else this.
pub(super) fn router(named: Option<&Path>) -> Result<(PathBuf, &'static [&'static str])> {
    if let Some(program) = named {
        anyhow::ensure!(program.is_file(), "--router {}: no such program", program.display());
        return Ok((program.to_path_buf(), &[]));
    }
    let this = this()?;
    let beside = this.with_file_name("causeway-router");
    Ok(if beside.is_file() { (beside, &[]) } else { (this, &["bench", "hop"]) })
}

/// This program.
fn this() -> Result<PathBuf> {
    fs::read_link("/proc/self/exe").context("this program's own path is not known")
}
