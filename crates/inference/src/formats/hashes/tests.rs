//! Noted hashes: taken for files that did not change, and for no others.

use std::time::{Duration, SystemTime};

use candle_core::quantized::GgmlDType;

use super::{Bytes, Hashes};
use crate::tiny::Tiny;

#[test]
fn a_noted_hash_is_taken_only_for_files_that_did_not_change() {
    let folder = tempfile::tempdir().unwrap();
    let notes = folder.path().join("notes");
    let path = Tiny::dense().gguf(folder.path(), GgmlDType::Q8_0);
    let later = SystemTime::now() + Duration::from_secs(60);
    let hash = |now| {
        let files = [(path.clone(), Bytes::map(&path).unwrap())];
        (
            Hashes::noted_in(&notes).of_at(now, &files),
            *blake3::hash(&std::fs::read(&path).unwrap()).as_bytes(),
        )
    };
    let written = || std::fs::read_dir(&notes).map_or(0, Iterator::count);
    let (noted, right) = hash(SystemTime::now());
    assert_eq!((noted, written()), (right, 0), "a file that changed just now is not noted");
    let (noted, right) = hash(later);
    assert_eq!((noted, written()), (right, 1));
    // A note is taken as it is, which shows in one that lies.
    let note = std::fs::read_dir(&notes).unwrap().next().unwrap().unwrap().path();
    let mut lie = std::fs::read(&note).unwrap();
    lie[63] ^= 1;
    std::fs::write(&note, &lie).unwrap();
    assert_eq!(hash(later).0[..], lie[32..]);
    // The same length and the same time of change; only the system's own time differs.
    let before = std::fs::metadata(&path).unwrap().modified().unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&path, bytes).unwrap();
    std::fs::File::options().append(true).open(&path).unwrap().set_modified(before).unwrap();
    let (noted, right) = hash(later);
    assert_eq!((noted, written()), (right, 1));
    std::fs::write(&note, b"short").unwrap();
    assert_eq!(hash(later), (right, right));
}
