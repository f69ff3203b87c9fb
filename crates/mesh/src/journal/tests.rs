//! What is in the files after everything that can happen to them.

use std::fs;
use std::path::{Path, PathBuf};

use super::*;

struct Said(String, Option<u32>);

impl Entry for Said {
    type Word = u32;

    fn hear(&mut self, word: u32) {
        self.1 = Some(word);
    }

    fn line(&self) -> String {
        format!("{}={:?}", self.0, self.1)
    }
}

fn said(text: &str) -> Said {
    Said(text.to_owned(), None)
}

fn options(folder: &Path) -> JournalOptions {
    JournalOptions { path: folder.join("log.jsonl"), ..JournalOptions::default() }
}

fn open(options: &JournalOptions) -> Journal<Said> {
    Journal::open(options, None).unwrap().unwrap()
}

fn lines(file: PathBuf) -> Vec<String> {
    fs::read_to_string(file).unwrap().lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn a_line_waits_for_its_word_and_no_longer() {
    let folder = tempfile::tempdir().unwrap();
    let options =
        JournalOptions { feedback_wait_ms: 600_000, feedback_waiting_max: 2, ..options(folder.path()) };
    let journal = open(&options);
    for id in ["a", "b", "c", "d"] {
        journal.hold(id, said(id));
    }
    journal.put(said("at once"));
    journal.tell("c", 7);
    journal.tell("a", 7);
    journal.end().await;
    // Only two wait: `a` and `b` were written when `c` and `d` came, and a word for `a` came too late.
    assert_eq!(lines(options.path), ["a=None", "b=None", "at once=None", "c=Some(7)", "d=None"]);
    assert_eq!(journal.written(), Written { written: 5, dropped: 0 });
    journal.put(said("late"));
    assert_eq!(journal.written().dropped, 1);
}

#[tokio::test]
async fn files_rotate_by_bytes_and_are_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let options = JournalOptions { file_bytes_max: 20, files_max: 3, ..options(folder.path()) };
    fs::write(folder.path().join("log.jsonl.7"), "old").unwrap();
    fs::write(folder.path().join("log.jsonl.other"), "kept").unwrap();
    let journal = open(&options);
    for number in 0..9 {
        journal.put(said(&number.to_string()));
    }
    journal.end().await;
    let names = |end: &str| folder.path().join(format!("log.jsonl{end}"));
    assert_eq!(lines(names("")), ["8=None"]);
    assert_eq!(lines(names(".1")), ["6=None", "7=None"]);
    assert_eq!(lines(names(".2")), ["4=None", "5=None"]);
    assert!(!names(".3").exists() && !names(".7").exists() && names(".other").exists());
}

#[tokio::test]
async fn a_torn_line_is_closed_off_wherever_it_was_cut() {
    let whole = "first=None\nsecond=None\n";
    for cut in 0..=whole.len() {
        let folder = tempfile::tempdir().unwrap();
        let options = options(folder.path());
        fs::write(&options.path, &whole[..cut]).unwrap();
        let journal = open(&options);
        journal.put(said("next"));
        journal.end().await;
        let text = fs::read_to_string(&options.path).unwrap();
        assert!(text.ends_with('\n') && text.starts_with(&whole[..cut]), "{text:?}");
        assert_eq!(text.lines().last(), Some("next=None"), "cut at {cut}");
    }
}

#[tokio::test]
async fn two_writers_of_one_file_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(folder.path());
    let journal = open(&options);
    assert!(matches!(Journal::<Said>::open(&options, None), Err(Error::Taken { .. })));
    journal.end().await;
    drop(journal);
    open(&options).end().await;
    assert!(Journal::<Said>::open(&JournalOptions::default(), None).unwrap().is_none());
}

#[tokio::test]
async fn a_full_queue_drops_and_counts_and_never_waits() {
    struct Slow(std::sync::mpsc::Receiver<()>);
    impl Entry for Slow {
        type Word = ();
        fn hear(&mut self, (): ()) {}
        fn line(&self) -> String {
            let _ = self.0.recv();
            "slow".to_owned()
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let options = JournalOptions { queue_len_max: 2, ..options(folder.path()) };
    let journal = Journal::open(&options, None).unwrap().unwrap();
    let mut gates = Vec::new();
    for _ in 0..50 {
        let (gate, wait) = std::sync::mpsc::channel();
        gates.push(gate);
        journal.put(Slow(wait));
    }
    assert!(journal.written().dropped >= 47);
    drop(gates);
    journal.end().await;
    let Written { written, dropped } = journal.written();
    assert!(written + dropped == 50 && written >= 2, "{written} written, {dropped} dropped");
}

/// Binds by writing the lines in capitals.
fn capitals(mut from: &fs::File, mut to: &fs::File) -> std::io::Result<()> {
    use std::io::{Read as _, Write as _};
    let mut text = String::new();
    from.read_to_string(&mut text)?;
    to.write_all(text.to_uppercase().as_bytes())
}

#[tokio::test]
async fn finished_files_are_bound_and_nothing_is_lost() {
    for format in [JournalFormat::Parquet, JournalFormat::Both] {
        let folder = tempfile::tempdir().unwrap();
        let options = JournalOptions { file_bytes_max: 20, files_max: 4, format, ..options(folder.path()) };
        assert!(matches!(Journal::<Said>::open(&options, None), Err(Error::Format)));
        let names = |end: &str| folder.path().join(format!("log.jsonl{end}"));
        // A kill left a full file, the beginning of another's binding, and a present one.
        fs::write(names(""), "now=None\n").unwrap();
        fs::write(names(".1"), "left=None\n").unwrap();
        fs::write(names(".1.parquet.new"), "LE").unwrap();
        let journal = Journal::open(&options, Some(capitals)).unwrap().unwrap();
        for text in ["a", "b", "c"] {
            journal.put(said(text));
        }
        journal.end().await;
        assert_eq!(lines(names(".1.parquet")), ["B=NONE", "C=NONE"]);
        assert_eq!(lines(names(".2.parquet")), ["NOW=NONE", "A=NONE"]);
        assert_eq!(lines(names(".3.parquet")), ["LEFT=NONE"]);
        assert_eq!(lines(names("")), [""; 0]);
        for number in 1..=3 {
            assert_eq!(names(&format!(".{number}")).exists(), format == JournalFormat::Both, "{number}");
        }
    }
}

#[tokio::test]
async fn lines_that_cannot_be_bound_stay() {
    let folder = tempfile::tempdir().unwrap();
    let options = JournalOptions { format: JournalFormat::Parquet, ..options(folder.path()) };
    let refuse: Bind = |_, _| Err(std::io::Error::other("no room"));
    let journal = Journal::open(&options, Some(refuse)).unwrap().unwrap();
    journal.put(said("a"));
    journal.end().await;
    let older = folder.path().join("log.jsonl.1");
    assert_eq!(lines(older.clone()), ["a=None"]);
    open_with(&options, capitals).end().await;
    assert!(!older.exists() && folder.path().join("log.jsonl.1.parquet").exists(), "bound at the next start");
}

fn open_with(options: &JournalOptions, bind: Bind) -> Journal<Said> {
    Journal::open(options, Some(bind)).unwrap().unwrap()
}
