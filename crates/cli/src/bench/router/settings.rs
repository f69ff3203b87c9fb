//! What each process under test is configured with.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use mesh::transport::Address;

use super::subject::Bench;
use super::way::Parts;

/// Two tiers that may both answer, so that every worker of both is weighed to its end.
const POLICY: &str = r#"schema = "causeway.policy/v1"

[[tier]]
name = "small"
kind = "cloud"
input_usd_per_million_tokens = 1.0
cached_input_usd_per_million_tokens = 0.5
output_usd_per_million_tokens = 2.0
abilities = [1.0, 0.0]

[[tier]]
name = "large"
kind = "cloud"
input_usd_per_million_tokens = 2.0
cached_input_usd_per_million_tokens = 1.0
output_usd_per_million_tokens = 4.0
abilities = [2.0, 0.0]

[[class]]
name = "interactive"
when = 'priority == "interactive"'
second_usd = 0.01
wrong_answer_usd = 0.0001

[[class]]
name = "default"
second_usd = 0.000001
wrong_answer_usd = 0.0001
"#;

/// Bounds that the load stays under. Held answers are silent for longer than an engine may be.
const ROUTER: &str = "[limits]
in_flight_max = 16384
deadline_max_ms = 600000
[serve]
connections_max = 16384
max_concurrent_streams = 16384
keepalive_interval_ms = 600000
keepalive_timeout_ms = 600000
[connect]
in_flight_max = 16384
[resume]
stall_min_ms = 600000
stall_unknown_ms = 600000
";

/// The router's configuration; its file.
pub(super) fn router(parts: Parts, bench: &Bench, folder: &Path) -> Result<PathBuf> {
    let policy = folder.join("policy.toml");
    fs::write(&policy, POLICY)?;
    let mut text =
        format!("[policy]\nfile = \"{}\"\n[listen]\naddress = \"127.0.0.1:0\"\n", policy.display());
    text.push_str(ROUTER);
    let worker = &bench.workers[usize::from(parts.mtls)];
    for index in 0..parts.workers {
        let tier = if index.is_multiple_of(2) { "small" } else { "large" };
        write!(text, "[[fleet.workers]]\nname = \"w{index}\"\ntier = \"{tier}\"\naddress = \"{worker}\"\n")?;
    }
    if parts.mtls {
        let files = bench.authority.issue("router")?.write(folder)?;
        let show = |path: Option<PathBuf>| path.unwrap_or_default().display().to_string();
        text.push_str("[tls]\n");
        for (key, path) in
            [("certificate", files.certificate), ("key", files.key), ("authority", files.authority)]
        {
            writeln!(text, "{key} = \"{}\"", show(path))?;
        }
    }
    if parts.traced {
        let collector = &bench.workers[0];
        write!(text, "[telemetry]\notlp_endpoint = \"http://{collector}\"\nsample_ratio = 0.01\n")?;
    }
    let config = folder.join("router.toml");
    fs::write(&config, text)?;
    Ok(config)
}

/// nginx's: one process, nothing logged, connections to the worker kept.
pub(super) fn nginx(worker: &Address, port: u16, folder: &Path) -> Result<PathBuf> {
    let places = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let places =
        places.map(|place| format!("  {place}_temp_path {};\n", folder.join(place).display())).concat();
    let text = format!(
        "daemon off;
master_process off;
worker_processes 1;
worker_rlimit_nofile 19000;
pid {};
error_log stderr crit;
events {{ worker_connections 18000; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  keepalive_timeout 600s;
{places}  upstream worker {{ server {worker}; keepalive 1024; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port} http2 backlog=8192;
    http2_max_concurrent_streams 4096;
    client_body_timeout 600s;
    location / {{
      grpc_pass grpc://worker;
      grpc_read_timeout 600s;
      grpc_send_timeout 600s;
    }}
  }}
}}
",
        folder.join("nginx.pid").display()
    );
    let config = folder.join("nginx.conf");
    fs::write(&config, text)?;
    Ok(config)
}

/// HAProxy's: one thread, chunks sent when they come, streams share connections to the worker.
pub(super) fn haproxy(worker: &Address, port: u16, folder: &Path) -> Result<PathBuf> {
    let text = format!(
        "global
  maxconn 12000
  no strict-limits
  nbthread 1
  tune.h2.max-concurrent-streams 4096
defaults
  mode http
  option http-no-delay
  timeout connect 5s
  timeout client 600s
  timeout server 600s
frontend callers
  bind 127.0.0.1:{port} proto h2 backlog 8192
  default_backend workers
backend workers
  http-reuse always
  server worker {worker} proto h2
"
    );
    let config = folder.join("haproxy.cfg");
    fs::write(&config, text)?;
    Ok(config)
}
