//! The lines of a bound log, as they were written.

use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom};

use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::RowAccessor as _;
use parquet::record::reader::RowIter;
use parquet::schema::parser::parse_message_type;

use super::column::LINE;

/// What a Parquet file begins with.
const MAGIC: [u8; 4] = *b"PAR1";

/// Reads the lines of a bound log, each with its end: what stood in the file before it was bound.
pub struct Lines {
    rows: RowIter<'static>,
    line: Vec<u8>,
    at: usize,
}

/// Whether a file is a bound log; it is then at its beginning again.
///
/// # Errors
/// The file cannot be read.
pub fn is_bound(mut file: &File) -> io::Result<bool> {
    let mut magic = [0; MAGIC.len()];
    let read = file.read(&mut magic);
    // A pipe cannot go back, and is no Parquet.
    let back = file.seek(SeekFrom::Start(0));
    Ok(back.is_ok() && read? == MAGIC.len() && magic == MAGIC)
}

// === impl Lines ===

impl Lines {
    /// The lines of this file.
    ///
    /// # Errors
    /// It is no Parquet file, or has no column of lines.
    pub fn open(file: File) -> io::Result<Self> {
        let reader = SerializedFileReader::new(file)?;
        let schema = reader.metadata().file_metadata().schema();
        if !schema.get_fields().iter().any(|field| field.name() == LINE) {
            return Err(io::Error::other(format!("the Parquet file has no column `{LINE}`")));
        }
        let wanted = format!("message decision {{ required byte_array {LINE} (UTF8); }}");
        let wanted = parse_message_type(&wanted).map_err(io::Error::other)?;
        let rows = RowIter::from_file_into(Box::new(reader)).project(Some(wanted))?;
        Ok(Self { rows, line: Vec::new(), at: 0 })
    }
}

impl Read for Lines {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.at == self.line.len() {
            let Some(row) = self.rows.next() else { return Ok(0) };
            self.line.clear();
            self.line.extend_from_slice(row?.get_string(0)?.as_bytes());
            self.line.push(b'\n');
            self.at = 0;
        }
        let count = into.len().min(self.line.len() - self.at);
        into[..count].copy_from_slice(&self.line[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

impl std::fmt::Debug for Lines {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Lines")
    }
}
