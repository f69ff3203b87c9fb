//! Finished files of the decision log as Parquet, for DuckDB, Spark and their like: a column for each thing that is asked
//! of a log, and the whole line as JSON, so that nothing that a line says is lost.

mod column;
mod read;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::sync::Arc;

use parquet::basic::Compression;
use parquet::column::writer::ColumnWriterImpl;
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::parser::parse_message_type;
use policy::{DecisionLine, LINE_BYTES_MAX};

use self::column::{COLUMNS, Kind, LINE};
pub use self::read::{Lines, is_bound};

/// Rows of a group, and bytes of their lines: what is in memory at once.
const GROUP_ROWS_MAX: usize = 4_096;
const GROUP_BYTES_MAX: usize = 8 << 20;

/// A line, and what it says; `None`: it cannot be read, as one that a crash has torn.
struct Row {
    line: String,
    said: Option<DecisionLine>,
}

/// Reads a finished file of lines and writes it as Parquet. A line that cannot be read has its text only.
///
/// # Errors
/// The one cannot be read, or the other not written.
pub fn bind(from: &File, to: &File) -> io::Result<()> {
    let schema = parse_message_type(&column::schema()).map_err(io::Error::other)?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        // Two lines are never the same.
        .set_column_dictionary_enabled(LINE.into(), false)
        .build();
    let target = to.try_clone()?;
    let mut writer = SerializedFileWriter::new(target, Arc::new(schema), Arc::new(properties))?;
    let mut lines = BufReader::new(from);
    loop {
        let rows = group(&mut lines)?;
        if rows.is_empty() {
            break;
        }
        let mut group = writer.next_row_group()?;
        for (_, kind) in COLUMNS {
            let Some(mut column) = group.next_column()? else { break };
            write(&mut column, *kind, &rows)?;
            column.close()?;
        }
        group.close()?;
    }
    writer.close()?;
    Ok(())
}

/// The next lines, as many as go into one group.
fn group(lines: &mut BufReader<&File>) -> io::Result<Vec<Row>> {
    let (mut rows, mut bytes) = (Vec::new(), 0);
    while rows.len() < GROUP_ROWS_MAX && bytes < GROUP_BYTES_MAX {
        let mut line = Vec::new();
        let read = lines.by_ref().take(LINE_BYTES_MAX as u64 + 1).read_until(b'\n', &mut line)?;
        if read == 0 {
            break;
        }
        bytes += read;
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        if !line.is_empty() {
            let said = DecisionLine::parse(&line).ok();
            rows.push(Row { line, said });
        }
    }
    Ok(rows)
}

fn write(column: &mut SerializedColumnWriter<'_>, kind: Kind, rows: &[Row]) -> Result<(), ParquetError> {
    match kind {
        Kind::Line => {
            let lines: Vec<_> = rows.iter().map(|row| ByteArray::from(row.line.as_str())).collect();
            column.typed::<ByteArrayType>().write_batch(&lines, None, None).map(drop)
        }
        Kind::Text(of) => {
            let text = |line: &DecisionLine| of(line).filter(|text| !text.is_empty());
            let texts = rows.iter().map(|row| row.said.as_ref().and_then(text));
            values(
                column.typed::<ByteArrayType>(),
                texts.map(|text| Some(ByteArray::from(text?.into_bytes()))),
            )
        }
        Kind::Time(of) | Kind::Whole(of) => {
            let numbers = rows.iter().map(|row| row.said.as_ref().and_then(of));
            values(column.typed::<Int64Type>(), numbers.map(|number| i64::try_from(number?).ok()))
        }
        Kind::Number(of) => {
            let number = |line: &DecisionLine| of(line).filter(|number| number.is_finite());
            values(column.typed::<DoubleType>(), rows.iter().map(|row| row.said.as_ref().and_then(number)))
        }
        Kind::Truth(of) => {
            values(column.typed::<BoolType>(), rows.iter().map(|row| row.said.as_ref().and_then(of)))
        }
    }
}

fn values<T: DataType>(
    column: &mut ColumnWriterImpl<'_, T>,
    all: impl Iterator<Item = Option<T::T>>,
) -> Result<(), ParquetError> {
    let (mut present, mut known) = (Vec::new(), Vec::new());
    for value in all {
        known.push(i16::from(value.is_some()));
        present.extend(value);
    }
    column.write_batch(&present, Some(&known), None)?;
    Ok(())
}
