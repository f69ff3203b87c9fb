//! What is kept comes back, or is put aside.

use std::fs;

use mesh::journal::JournalOptions;
use policy::ledger::Kept;

use super::{Books, file, read, write};
use crate::options::BudgetOptions;

#[test]
fn books_come_back_and_broken_ones_are_put_aside() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("books");
    let kept = Kept { name: "day".into(), key: "tenant".into(), window: 7, usd_micros: 9 };
    let books = || Books::new(vec![kept.clone()], Vec::new());
    assert_eq!(read(&path), Books::new(Vec::new(), Vec::new()), "there are none yet");
    write(&path, &books()).unwrap();
    assert_eq!(read(&path), books());
    let whole = fs::read(&path).unwrap();
    for cut in [0, 1, whole.len() / 2, whole.len() - 1] {
        fs::write(&path, &whole[..cut]).unwrap();
        assert!(read(&path).accounts.is_empty() && !path.exists(), "cut at {cut}");
        assert_eq!(fs::read(folder.path().join("books.broken")).unwrap(), &whole[..cut]);
    }
    fs::write(&path, String::from_utf8(whole).unwrap().replace("v1", "v9")).unwrap();
    assert!(read(&path).accounts.is_empty(), "another edition");
}

#[test]
fn books_stand_beside_the_log_unless_they_are_told_where() {
    let log = |path: &str| JournalOptions { path: path.into(), ..JournalOptions::default() };
    let told = BudgetOptions { path: Some("there".into()), ..BudgetOptions::default() };
    assert_eq!(file(&BudgetOptions::default(), &log("")), None);
    assert_eq!(file(&BudgetOptions::default(), &log("a/log")), Some("a/log.books".into()));
    assert_eq!(file(&told, &log("a/log")), Some("there".into()));
}
