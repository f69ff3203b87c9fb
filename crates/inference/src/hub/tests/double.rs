//! A hub of one repository, as its clients see it: a list of files, their headers, their bytes.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use ring::digest;
use serde_json::json;

pub(super) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
pub(super) const REPOSITORY: &str = "owner/tiny-model";

/// What the hub does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    None,
    /// Bytes of large files differ from their hash.
    Bytes,
    /// Everything is for those with a token.
    Gated,
    /// It answers as no hub does.
    Nonsense,
}

/// A running hub.
pub(super) struct Double {
    pub(super) endpoint: String,
    asked: Arc<AtomicUsize>,
    fault: Arc<Mutex<Fault>>,
}

impl Double {
    pub(super) fn new(files: BTreeMap<String, Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let (asked, fault) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Fault::None)));
        let double =
            Self { endpoint: endpoint.clone(), asked: Arc::clone(&asked), fault: Arc::clone(&fault) };
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                asked.fetch_add(1, Ordering::Relaxed);
                let fault = *fault.lock().unwrap();
                // A client that went away is its own matter.
                let _gone = answer(stream.unwrap(), &endpoint, &files, fault);
            }
        });
        double
    }

    /// Connections so far.
    pub(super) fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    pub(super) fn fail(&self, fault: Fault) {
        *self.fault.lock().unwrap() = fault;
    }
}

fn answer(
    mut stream: TcpStream,
    endpoint: &str,
    files: &BTreeMap<String, Vec<u8>>,
    fault: Fault,
) -> std::io::Result<()> {
    let (path, from) = request(&stream)?;
    let mut send = |status: &str, headers: &str, body: &[u8]| {
        let length = body.len();
        write!(
            stream,
            "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n"
        )?;
        stream.write_all(body)
    };
    match fault {
        Fault::Gated => return send("401 Unauthorized", "", b""),
        Fault::Nonsense => return send("302 Found", "etag: \"x\"\r\nx-repo-commit: x\r\n", b"{"),
        Fault::None | Fault::Bytes => {}
    }
    if path == format!("/api/models/{REPOSITORY}/revision/main")
        || path == format!("/api/models/{REPOSITORY}/revision/{COMMIT}")
    {
        let siblings: Vec<_> = files.keys().map(|name| json!({ "rfilename": name })).collect();
        let info = json!({ "siblings": siblings, "sha": COMMIT }).to_string();
        return send("200 OK", "Content-Type: application/json\r\n", info.as_bytes());
    }
    let (kind, name) = match path.strip_prefix(&format!("/{REPOSITORY}/resolve/{COMMIT}/")) {
        Some(name) => ("resolve", name),
        None => ("store", path.strip_prefix("/store/").unwrap_or_default()),
    };
    let Some(bytes) = files.get(name) else { return send("404 Not Found", "", b"") };
    let large = !name.ends_with(".json");
    let etag = if large {
        hex(&digest::digest(&digest::SHA256, bytes))
    } else {
        let blob = [format!("blob {}\0", bytes.len()).as_bytes(), bytes].concat();
        hex(&digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &blob))
    };
    if large && kind == "resolve" {
        // Large files lie elsewhere.
        let headers = format!(
            "Location: {endpoint}/store/{name}\r\nx-linked-etag: \"{etag}\"\r\nx-repo-commit: {COMMIT}\r\n"
        );
        return send("302 Found", &headers, b"");
    }
    let part = if from == usize::MAX { &bytes[..1] } else { &bytes[from..] };
    let mut part = part.to_vec();
    if fault == Fault::Bytes && large {
        part.iter_mut().for_each(|byte| *byte ^= 1);
    }
    let headers = format!(
        "etag: \"{etag}\"\r\nx-repo-commit: {COMMIT}\r\nContent-Range: bytes 0-0/{}\r\n",
        bytes.len()
    );
    send("206 Partial Content", &headers, &part)
}

/// What is asked for, and from which byte on; `usize::MAX` where only the length is wanted.
fn request(stream: &TcpStream) -> std::io::Result<(String, usize)> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let first = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut from = 0;
    for line in lines {
        let line = line?.to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(range) = line.strip_prefix("range: bytes=") {
            from = range.split('-').next().unwrap_or_default().parse().unwrap_or(0);
            // The first byte alone is asked for to learn the length.
            if range == "0-0" {
                from = usize::MAX;
            }
        }
    }
    Ok((path, from))
}

fn hex(digest: &digest::Digest) -> String {
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
