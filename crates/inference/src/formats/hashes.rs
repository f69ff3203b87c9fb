//! The hash of a model's weights, computed once for files that do not change.

#[cfg(test)]
#[cfg(unix)]
mod tests;

use std::{
    path::{Path, PathBuf},
    time::SystemTime,
};

use super::Bytes;

/// Bytes that are read before their memory is given back.
const PIECE_BYTES: usize = 32 << 20;

/// Hashes that are known from before, each in a small file of a folder.
#[derive(Debug, Clone)]
pub(crate) struct Hashes {
    folder: Option<PathBuf>,
}

impl Hashes {
    /// Nothing is known, and nothing is noted.
    pub(crate) fn none() -> Self {
        Self { folder: None }
    }

    /// What the notes in `folder` say.
    pub(crate) fn noted_in(folder: &Path) -> Self {
        Self { folder: Some(folder.to_owned()) }
    }

    /// BLAKE3 over files in the given order.
    pub(super) fn of(&self, files: &[(PathBuf, Bytes)]) -> [u8; 32] {
        self.of_at(SystemTime::now(), files)
    }

    /// The same at the given time.
    pub(super) fn of_at(&self, now: SystemTime, files: &[(PathBuf, Bytes)]) -> [u8; 32] {
        let note = self
            .folder
            .as_ref()
            .zip(stamp(now, files))
            .map(|(folder, stamp)| (folder.join(name_of(files)), stamp));
        if let Some(hash) = note.as_ref().and_then(|(note, stamp)| read(note, *stamp)) {
            return hash;
        }
        let mut hasher = blake3::Hasher::new();
        for (_, bytes) in files {
            for start in (0..bytes.len()).step_by(PIECE_BYTES) {
                if let Some(piece) = bytes.part(start, PIECE_BYTES.min(bytes.len() - start)) {
                    hasher.update(piece.as_slice());
                    piece.release();
                }
            }
        }
        let hash = *hasher.finalize().as_bytes();
        // Noted only where the files were left alone meanwhile. What cannot be noted is computed again.
        if let Some((note, before)) = note
            && stamp(now, files) == Some(before)
        {
            let _next_time = crate::packed::write_whole(&note, &[before, hash].concat());
        }
        hash
    }
}

/// The note's name: one for each place of a model.
fn name_of(files: &[(PathBuf, Bytes)]) -> String {
    let mut hasher = blake3::Hasher::new();
    for (path, _) in files {
        let path = path.canonicalize();
        hasher.update(path.as_ref().map_or(&[], |path| path.as_os_str().as_encoded_bytes())).update(&[0]);
    }
    format!("{}.hash", &hasher.finalize().to_hex()[..32])
}

/// A note is the stamp of the files and their hash.
fn read(note: &Path, stamp: [u8; 32]) -> Option<[u8; 32]> {
    if std::fs::metadata(note).ok()?.len() != 64 {
        return None;
    }
    let (before, hash) =
        std::fs::read(note).ok()?.split_first_chunk().map(|(b, hash)| (*b, hash.to_vec()))?;
    if before == stamp { hash.try_into().ok() } else { None }
}

/// What differs when a file was changed or replaced: place, length and times. The time of the last change of a file's
/// entry is the system's own and cannot be set back. Nothing for files that changed just now, since a clock's step may
/// hide a second change, and on systems that do not tell.
#[cfg(unix)]
fn stamp(now: SystemTime, files: &[(PathBuf, Bytes)]) -> Option<[u8; 32]> {
    use std::os::unix::fs::MetadataExt;
    /// Longer than the steps in which file systems count time.
    const SETTLED_SECONDS: i64 = 3;
    let now = now.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    let now = i64::try_from(now.as_secs()).ok()?;
    let mut stamp = blake3::Hasher::new();
    for (path, bytes) in files {
        let about = std::fs::metadata(path).ok()?;
        if about.size() != bytes.len() as u64 || about.ctime() > now - SETTLED_SECONDS {
            return None;
        }
        let times = [about.mtime(), about.mtime_nsec(), about.ctime(), about.ctime_nsec()];
        let numbers = [about.size(), about.dev(), about.ino()];
        for number in numbers.into_iter().chain(times.map(i64::cast_unsigned)) {
            stamp.update(&number.to_le_bytes());
        }
    }
    Some(*stamp.finalize().as_bytes())
}

#[cfg(not(unix))]
fn stamp(_: SystemTime, _: &[(PathBuf, Bytes)]) -> Option<[u8; 32]> {
    None
}
