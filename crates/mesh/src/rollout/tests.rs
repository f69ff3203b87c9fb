//! Files that change under the rules, and canaries that go well and badly.

use std::fs;
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use super::*;

/// Reads texts that begin with `rules `.
#[derive(Debug)]
struct Plain;

impl Source for Plain {
    type Rules = String;
    type Error = String;

    const BYTES_MAX: usize = 1_000;

    fn read(&self, file: &str, text: &str) -> Result<String, String> {
        match text.strip_prefix("rules ") {
            Some(rest) if text.len() <= Self::BYTES_MAX => Ok(rest.trim().to_owned()),
            _ => Err(format!("{file}:1:1: these are no rules")),
        }
    }

    fn hash(rules: &String) -> String {
        rules.replace(' ', "-")
    }

    fn position(_: &String) -> Option<(usize, usize)> {
        Some((1, 1))
    }
}

fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("live"), "rules one, two, three\n").unwrap();
    folder
}

fn options(folder: &Path) -> RolloutOptions {
    RolloutOptions { file: folder.join("live"), ..RolloutOptions::default() }
}

fn load(options: &RolloutOptions) -> Rollout<Plain> {
    Rollout::load(options, Plain).unwrap()
}

/// Two looks: at the second a change has settled.
async fn look(rollout: &Rollout<Plain>) {
    for _ in 0..2 {
        rollout.live.look(&rollout.source).await;
        if let Some(canary) = &rollout.canary {
            canary.look(&rollout.source).await;
        }
    }
}

#[tokio::test]
async fn a_change_is_taken_when_it_has_settled_and_a_broken_one_never() {
    let folder = folder();
    let file = folder.path().join("live");
    let rollout = load(&options(folder.path()));
    fs::write(&file, "rules four\n").unwrap();
    rollout.live.look(&rollout.source).await;
    assert_eq!(*rollout.live(), "one, two, three", "the file may still be written");
    rollout.live.look(&rollout.source).await;
    assert_eq!(*rollout.live(), "four");
    let broken: [&[u8]; 5] = [b"", b"nonsense\n", b"rules \xff\n", &[b'r'; 2_000], b"rules five"];
    for (index, bytes) in broken.iter().enumerate() {
        fs::write(&file, bytes).unwrap();
        look(&rollout).await;
        look(&rollout).await;
        let report = rollout.report().live;
        assert_eq!((rollout.live().as_str(), report.refused), ("four", index as u64 + 1), "told once each");
        assert!(report.refusal.is_some());
    }
    fs::remove_file(&file).unwrap();
    look(&rollout).await;
    assert_eq!(rollout.report().live.refused, 6);
    fs::write(&file, "rules four\n").unwrap();
    look(&rollout).await;
    assert_eq!(rollout.report().live, FileReport { reloads: 1, refused: 6, refusal: None });
}

#[tokio::test]
async fn a_file_that_is_cut_off_anywhere_is_not_taken() {
    let folder = folder();
    let file = folder.path().join("live");
    let whole = "rules one\n# two\nthree\n";
    fs::write(&file, whole).unwrap();
    let rollout = load(&options(folder.path()));
    for cut in 0..whole.len() {
        fs::write(&file, &whole[..cut]).unwrap();
        look(&rollout).await;
        assert_eq!(rollout.report().live.reloads, 0, "cut at {cut}");
    }
    fs::write(&file, "rules one\n").unwrap();
    look(&rollout).await;
    fs::write(&file, "rules one\n# shorter\n").unwrap();
    look(&rollout).await;
    assert_eq!(rollout.report().live.reloads, 1);
}

#[tokio::test]
async fn a_file_behind_a_link_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    for name in ["v1", "v2"] {
        fs::create_dir(path(name)).unwrap();
        fs::write(path(name).join("live"), format!("rules {name}\n")).unwrap();
    }
    // As Kubernetes mounts a config map: the file is a link through a folder that is itself swapped.
    std::os::unix::fs::symlink("v1", path("data")).unwrap();
    std::os::unix::fs::symlink("data/live", path("live")).unwrap();
    let rollout = load(&options(folder.path()));
    std::os::unix::fs::symlink("v2", path("next")).unwrap();
    fs::rename(path("next"), path("data")).unwrap();
    fs::remove_dir_all(path("v1")).unwrap();
    look(&rollout).await;
    assert_eq!(*rollout.live(), "v2");
}

#[tokio::test(start_paused = true)]
async fn the_files_are_looked_after_while_watched() {
    let folder = folder();
    let rollout = load(&options(folder.path()));
    fs::write(folder.path().join("live"), "rules four\n").unwrap();
    tokio::select! {
        never = rollout.watch() => match never {},
        () = tokio::time::sleep(Duration::from_secs(5)) => {}
    }
    assert_eq!(*rollout.live(), "four");
}

#[test]
fn differences_are_counted_by_class_and_tiers() {
    let folder = folder();
    let rollout =
        load(&RolloutOptions { shadow: Some(folder.path().join("live")), ..options(folder.path()) });
    assert!(rollout.pick(0).shadow.is_some());
    rollout.compare("a", Some("x"), Some("x"));
    for _ in 0..2 {
        rollout.compare("a", Some("x"), Some("y"));
    }
    rollout.compare("a", Some("x"), None);
    let Report { shadowed, differences, .. } = rollout.report();
    let seen: Vec<_> = differences.iter().map(|one| (one.to.as_str(), one.count)).collect();
    assert_eq!((shadowed, seen), (4, vec![("-", 1), ("y", 2)]));
}

/// How the canary behaves: whether it fails, what an answer costs and how long it takes beside the other.
#[derive(Clone, Copy)]
struct Behaviour {
    fails_every: u64,
    usd: f64,
    took: Duration,
}

const SECOND: Duration = Duration::from_secs(1);
const WELL: Behaviour = Behaviour { fails_every: u64::MAX, usd: 1.0, took: SECOND };

fn with_canary() -> (TempDir, Rollout<Plain>) {
    let folder = folder();
    let canary = folder.path().join("canary");
    fs::write(&canary, "rules new\n").unwrap();
    let rollout = load(&RolloutOptions { canary: Some(canary), ..options(folder.path()) });
    (folder, rollout)
}

fn key(number: u64) -> u64 {
    number.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Asks 100 times a second, and returns after how long the canary was taken back.
async fn ask(rollout: &Arc<Rollout<Plain>>, canary: Behaviour, seconds: u64) -> Option<Duration> {
    let begun = tokio::time::Instant::now();
    for number in 0..seconds * 100 {
        let picked = rollout.pick(key(number));
        let new = *picked.rules == "new";
        let behaviour = if new { canary } else { WELL };
        tokio::spawn(async move {
            tokio::time::sleep(behaviour.took).await;
            let Some(trial) = picked.trial else { return };
            if new && number % behaviour.fails_every == 0 {
                trial.failed();
            } else {
                trial.answered(behaviour.usd);
            }
        });
        tokio::time::sleep(Duration::from_millis(10)).await;
        if number % 100 == 0 {
            look(rollout).await;
        }
        let report = rollout.report().canary.unwrap();
        assert!(report.exposed as f64 <= 0.05 * report.all as f64, "{} of {}", report.exposed, report.all);
        if report.rolled_back.is_some() {
            return Some(begun.elapsed());
        }
    }
    None
}

#[tokio::test(start_paused = true)]
async fn a_canary_that_does_well_stays_and_one_that_does_not_is_taken_back() {
    let check = async |canary: Behaviour, says: &str| {
        let (folder, rollout) = with_canary();
        let rollout = Arc::new(rollout);
        let after = ask(&rollout, canary, 60).await;
        let report = rollout.report().canary.unwrap();
        assert_eq!(after.is_some(), !says.is_empty(), "{report:?}");
        let Some(after) = after else {
            assert!(report.exposed > 200, "{report:?}");
            return;
        };
        let reason = report.rolled_back.unwrap();
        assert!(reason.contains(says) && after <= Duration::from_secs(30), "{reason} after {after:?}");
        // Nothing more is exposed, until the file says something else.
        let again = rollout.pick(0);
        assert!(*again.rules != "new" && again.trial.is_none() && again.instead.is_none());
        fs::write(folder.path().join("canary"), "rules newer\n").unwrap();
        look(&rollout).await;
        let report = rollout.report().canary.unwrap();
        assert_eq!((report.rolled_back, report.rollbacks, report.exposed), (None, 1, 0));
    };
    check(WELL, "").await;
    check(Behaviour { fails_every: 2, ..WELL }, "failed").await;
    check(Behaviour { usd: 2.0, ..WELL }, "USD").await;
    check(Behaviour { took: SECOND * 2, ..WELL }, "takes").await;
    check(Behaviour { took: SECOND * 3_600, ..WELL }, "takes").await;
}

#[tokio::test(start_paused = true)]
async fn the_same_one_is_treated_alike() {
    let (_folder, rollout) = with_canary();
    let new = |number: u64| *rollout.pick(key(number)).rules == "new";
    for number in 0..2_000 {
        new(number);
    }
    let chosen: Vec<u64> = (0..2_000).filter(|number| new(*number)).collect();
    let always: Vec<u64> = (0..2_000).filter(|number| new(*number)).collect();
    assert!(chosen.len() > 60 && chosen.len() <= 100, "{}", chosen.len());
    let kept = chosen.iter().filter(|number| always.contains(number)).count();
    assert!(kept * 10 >= chosen.len() * 9, "{kept} of {}", chosen.len());
}

#[tokio::test(start_paused = true)]
async fn a_canary_that_was_taken_back_is_not_tried_after_a_restart() {
    let (folder, rollout) = with_canary();
    let rollout = Arc::new(rollout);
    assert!(ask(&rollout, Behaviour { fails_every: 2, ..WELL }, 60).await.is_some());
    look(&rollout).await;
    drop(rollout);
    let canary = folder.path().join("canary");
    let options = RolloutOptions { canary: Some(canary.clone()), ..options(folder.path()) };
    let again = load(&options);
    let report = again.report().canary.unwrap();
    assert!(report.rolled_back.unwrap().contains("failed") && report.rollbacks == 0);
    assert!(again.pick(0).instead.is_none());
    fs::write(&canary, "rules newer\n").unwrap();
    look(&again).await;
    assert!(again.pick(0).instead.is_some(), "other rules are tried");
    fs::write(&canary, "rules new\n").unwrap();
    look(&again).await;
    assert!(again.pick(0).instead.is_none(), "and not the same ones once more");
    // A file that a crash has torn, or that is none, is no reason not to start.
    let verdicts = folder.path().join("canary.verdicts");
    for bytes in [&b"new"[..], b"\xff\xff\n", b""] {
        fs::write(&verdicts, bytes).unwrap();
        assert!(load(&options).pick(0).instead.is_some());
    }
}
