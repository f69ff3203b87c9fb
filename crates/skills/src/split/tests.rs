//! Checks that names round-trip and that keys are dealt in the promised shares.

use super::*;
use crate::Skill;

#[test]
fn names_round_trip_and_others_are_refused() {
    for split in Split::ALL {
        assert_eq!(split.to_string().parse(), Ok(split));
    }
    for skill in Skill::ALL {
        assert_eq!(skill.to_string().parse(), Ok(skill));
        assert_eq!(serde_json::to_string(&skill).unwrap(), format!("\"{skill}\""));
    }
    assert_eq!("dev".parse::<Split>(), Err(Error::UnknownSplit("dev".to_owned())));
    assert_eq!("Home".parse::<Skill>(), Err(Error::UnknownSkill("Home".to_owned())));
}

#[test]
fn keys_are_dealt_in_the_promised_shares() {
    let dealt = (0..100_000).map(|n| Split::of(Key::new("share").number(n).done()));
    let mut counts = [0; 3];
    dealt.for_each(|split| counts[split as usize] += 1);
    for (count, share) in counts.into_iter().zip([85_000_i32, 7_000, 8_000]) {
        assert!((count - share).abs() < 500, "{counts:?}");
    }
}

#[test]
fn a_key_minds_where_a_text_ends() {
    let key = |a, b| Key::new("t").text(a).text(b).done();
    assert_ne!(key("ab", "c"), key("a", "bc"));
    assert_ne!(Key::new("t").done(), Key::new("u").done());
}

#[test]
fn the_skills_shares_are_percent() {
    assert_eq!(Skill::ALL.map(Skill::share).iter().sum::<usize>(), 100);
}
