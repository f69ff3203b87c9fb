//! Looks at a small file again and again, and hands on what it holds when it has changed and come to rest.

use std::convert::Infallible;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

/// Time between two looks; a change is taken at the second look that finds it.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// What it holds, or why that cannot be known.
pub(super) type Found = Result<Vec<u8>, String>;

/// Reads a file of at most so many bytes.
pub(super) fn read(file: &Path, bytes_max: u64) -> Found {
    let mut bytes = Vec::new();
    let read = File::open(file).and_then(|open| open.take(bytes_max + 1).read_to_end(&mut bytes));
    read.map_err(|error| format!("it cannot be read: {error}"))?;
    if bytes.len() as u64 > bytes_max {
        return Err(format!("it has more than {bytes_max} bytes"));
    }
    Ok(bytes)
}

/// Hands on what the file comes to hold after `held`, for as long as it is polled.
pub(super) async fn watch(
    file: PathBuf,
    bytes_max: u64,
    held: Vec<u8>,
    judge: impl Fn(Found) + Send,
) -> Infallible {
    let mut looks = interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last: Found = Ok(held);
    let mut judged = last.clone();
    loop {
        looks.tick().await;
        let file = file.clone();
        let Ok(found) = tokio::task::spawn_blocking(move || read(&file, bytes_max)).await else {
            // The runtime ends.
            return std::future::pending().await;
        };
        let settled = found == last;
        last = found;
        if settled && judged != last {
            judged = last.clone();
            judge(last.clone());
        }
    }
}
