//! A small file that is replaced as a whole: a crash leaves the old one or the new one, never a part.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::rotate::MODE;

/// Writes a file beside this one, sees it to the disk, and gives it this one's name.
///
/// # Errors
/// The folder cannot be written, or the disk refuses.
pub fn replace(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut aside = file.to_owned().into_os_string();
    aside.push(".new");
    let aside = PathBuf::from(aside);
    let mut new = OpenOptions::new().create(true).write(true).truncate(true).mode(MODE).open(&aside)?;
    new.write_all(bytes)?;
    new.sync_data()?;
    fs::rename(&aside, file)
}
