//! How long all signals of a text take: at most 100 µs is the aim, whatever the text.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};

const SHORT: &str = "Is it safe to take ibuprofen with 2 glasses of wine, or should I wait until tomorrow?";

fn read(criterion: &mut Criterion) {
    let models = signals::Models::shipped();
    let long =
        "In 1998 the committee published 12 findings about the river; what would change if it dried up? ";
    for (name, text) in
        [("a question", SHORT.to_owned()), ("2 KB", long.repeat(21)), ("16 KB", long.repeat(170))]
    {
        criterion.bench_function(&format!("read/{name}"), |bench| {
            bench.iter(|| signals::read(black_box(&text), black_box(&models)));
        });
    }
}

criterion_group!(benches, read);
criterion_main!(benches);
