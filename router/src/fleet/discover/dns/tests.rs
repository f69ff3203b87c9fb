//! Answers that come and go.

use mesh::transport::Address;

use super::{Addresses, named};

fn answer(addresses: &mut Addresses, found: &[&str]) -> Vec<String> {
    addresses.answered(found.iter().map(|address| address.parse().unwrap()).collect());
    addresses.known.keys().map(Address::to_string).collect()
}

#[test]
fn an_address_is_gone_when_it_was_missing_twice_in_a_row() {
    let mut addresses = Addresses::default();
    assert_eq!(answer(&mut addresses, &["a:1", "b:1", "a:1"]), ["a:1", "b:1"]);
    assert_eq!(answer(&mut addresses, &["b:1"]), ["a:1", "b:1"]);
    assert_eq!(answer(&mut addresses, &["a:1", "b:1"]), ["a:1", "b:1"], "it was left out once");
    assert_eq!(answer(&mut addresses, &["c:1"]), ["a:1", "b:1", "c:1"]);
    assert_eq!(answer(&mut addresses, &["c:1"]), ["c:1"]);
}

#[test]
fn a_worker_without_a_name_is_called_by_its_address() {
    for (address, name) in [("10.0.0.1:50061", "10.0.0.1-50061"), ("[fd00::1]:50061", "fd00--1-50061")] {
        assert_eq!(named(&address.parse().unwrap()), name);
    }
}
