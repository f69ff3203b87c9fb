use super::Told;

#[test]
fn what_is_told_is_read_wherever_it_stands() {
    let told = Told { id: "B1".into(), measured: "3 \"of\" 4 µs\n".into(), pass: true };
    let line = told.line();
    assert_eq!(line.lines().count(), 1);
    assert_eq!(Told::read(&line), Some(told.clone()));
    // Test runners name the test in the same line.
    assert_eq!(Told::read(&format!("test a::b ... {line}")), Some(told));
    for other in ["", "test a::b ... ok", "scorecard: ", "scorecard: {\"id\":\"B1\"}", "scorecard: 3"] {
        assert_eq!(Told::read(other), None, "{other}");
    }
}
