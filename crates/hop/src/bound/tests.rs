//! What a bound log says is what its lines said.

use std::fs::{self, File};
use std::io::Read as _;
use std::process::Command;

use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::RowAccessor as _;
use policy::{Candidate, DecisionLine, Facts, Kind, Outcome, Rules, decide};
use tempfile::TempDir;

use super::{GROUP_ROWS_MAX, Lines, bind, is_bound};

const POLICY: &str = r#"
schema = "causeway.policy/v1"
[[tier]]
name = "device"
kind = "device"
input_usd_per_million_tokens = 0
output_usd_per_million_tokens = 0
[[tier]]
name = "cloud"
kind = "cloud"
input_usd_per_million_tokens = 1
output_usd_per_million_tokens = 2
[[class]]
name = "default"
second_usd = 0.001
wrong_answer_usd = 0.01
"#;

fn line(number: u64) -> DecisionLine {
    let rules = Rules::parse("policy.toml", POLICY).unwrap();
    let places = ["device", "cloud"].map(|name| {
        let kind = if name == "device" { Kind::Device } else { Kind::Cloud };
        Candidate { healthy: name == "cloud" || number.is_multiple_of(2), ..Candidate::new(name, name, kind) }
    });
    let facts = Facts { prompt_tokens: 9, tenant: "tenant/ü".into(), ..Facts::default() };
    let decision = decide(&rules, &facts, &places, number);
    let outcome =
        Outcome { usd: 0.5, seconds: 2.0, output_tokens: 7, right: Some(false), ..Outcome::default() };
    let mut line = DecisionLine::new(&decision, 1_700_000_000_000 + number, "trace", "router");
    line.outcome = number.is_multiple_of(3).then_some(outcome);
    line
}

/// So many lines, a torn one among them, bound.
fn bound(count: u64) -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let mut text: String = (0..count).map(|number| line(number).to_json() + "\n").collect();
    text.push_str("{\"schema\":\"causeway.decision-log/v1\",\"ti\n");
    let (from, to) = (folder.path().join("log.1"), folder.path().join("log.1.parquet"));
    fs::write(&from, &text).unwrap();
    bind(&File::open(from).unwrap(), &File::create(to).unwrap()).unwrap();
    (folder, text)
}

#[test]
fn lines_come_back_as_they_were_and_columns_say_what_they_say() {
    let count = GROUP_ROWS_MAX as u64 + 10;
    let (folder, text) = bound(count);
    let file = || File::open(folder.path().join("log.1.parquet")).unwrap();
    assert!(
        is_bound(&file()).unwrap() && !is_bound(&File::open(folder.path().join("log.1")).unwrap()).unwrap()
    );
    let mut again = String::new();
    Lines::open(file()).unwrap().read_to_string(&mut again).unwrap();
    assert_eq!(again, text);
    assert!(file().metadata().unwrap().len() < text.len() as u64 / 2, "it is smaller");
    let reader = SerializedFileReader::new(file()).unwrap();
    assert_eq!(reader.metadata().num_row_groups(), 2);
    let names: Vec<String> = reader
        .metadata()
        .file_metadata()
        .schema()
        .get_fields()
        .iter()
        .map(|field| field.name().to_owned())
        .collect();
    let at = |name: &str| names.iter().position(|known| known == name).unwrap();
    let rows: Vec<_> = reader.get_row_iter(None).unwrap().map(Result::unwrap).collect();
    assert_eq!(rows.len() as u64, count + 1);
    for number in [0, 1, 3] {
        let (row, line) = (&rows[number as usize], line(number));
        let taken = line.weighed.iter().find(|one| Some(&one.place) == line.place.as_ref()).unwrap();
        assert_eq!(row.get_string(at("place")).unwrap(), line.place.as_ref().unwrap().as_str());
        assert_eq!(row.get_string(at("tenant")).unwrap(), "tenant/ü");
        assert_eq!(row.get_double(at("total_usd")).unwrap().to_bits(), taken.total_usd.to_bits());
        assert_eq!(row.get_double(at("outcome_seconds")).ok(), line.outcome.map(|outcome| outcome.seconds));
        assert_eq!(row.get_bool(at("outcome_right")).ok(), line.outcome.and_then(|outcome| outcome.right));
        let removals = row.get_string(at("removals")).ok().map(String::as_str);
        assert_eq!(removals, (number % 2 == 1).then_some(r#"{"device":"unhealthy"}"#));
    }
    let torn = rows.last().unwrap();
    assert!(torn.get_string(at("line")).unwrap().ends_with("\"ti") && torn.get_string(at("class")).is_err());
}

#[test]
fn an_empty_file_becomes_an_empty_table() {
    let (folder, _) = bound(0);
    let mut text = String::new();
    Lines::open(File::open(folder.path().join("log.1.parquet")).unwrap())
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    assert_eq!(text.lines().count(), 1);
    let wrong = folder.path().join("wrong");
    fs::write(&wrong, b"PAR1 and nothing more").unwrap();
    assert!(Lines::open(File::open(wrong).unwrap()).is_err());
}

/// Counts of a table; what `docs/policy.md` shows, which has a group for each place and one for the torn line.
const DUCKDB: &str = r#"
import sys, duckdb
count = duckdb.execute("""select count(*), count(outcome_right), count(removals), min(extract(year from time))
                          from read_parquet(?)""", [sys.argv[1]]).fetchall()[0]
all = sys.argv[1].replace(".1.", ".*.")
groups = duckdb.sql(f"""select class, place, count(*), avg(total_usd), avg(outcome_usd), avg(outcome_right::int)
                        from '{all}' group by all order by 3 desc""").fetchall()
print(*count, len(groups))
"#;
const PYARROW: &str = "
import sys, pyarrow.parquet
table = pyarrow.parquet.read_table(sys.argv[1])
print(table.num_rows, table['time'].type, table['outcome_right'].null_count)
";

/// Whoever has one of these readers in the Python named by `CAUSEWAY_TEST_PYTHON`, or in `python3`, sees it used.
#[test]
fn duckdb_and_pyarrow_read_it() {
    let (folder, _) = bound(30);
    let file = folder.path().join("log.1.parquet").display().to_string();
    let python = option_env!("CAUSEWAY_TEST_PYTHON").unwrap_or("python3");
    for (module, program, expect) in
        [("duckdb", DUCKDB, "31 10 15 2023 3"), ("pyarrow", PYARROW, "31 timestamp[ms, tz=UTC] 21")]
    {
        let has = Command::new(python).args(["-c", &format!("import {module}")]).output();
        if !has.is_ok_and(|output| output.status.success()) {
            eprintln!("skipped: {python} has no module {module}");
            continue;
        }
        let output = Command::new(python).args(["-c", program, &file]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(said.trim(), expect, "{module}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
