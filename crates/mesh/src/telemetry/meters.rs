//! Numbers that a process tells of its work, to the receiver of its traces. Without one there are no instruments, so that
//! nothing is counted that nobody reads.

use std::sync::OnceLock;

pub use opentelemetry::KeyValue as Attribute;
use opentelemetry::metrics as otel;

/// The meter of this process, once telemetry exports.
static METER: OnceLock<Meter> = OnceLock::new();

/// Makes instruments.
#[derive(Clone, Debug)]
pub struct Meter(otel::Meter);

/// Counts what happens.
#[derive(Clone, Debug)]
pub struct Counter(otel::Counter<u64>);

/// Keeps how often values fell between bounds.
#[derive(Clone, Debug)]
pub struct Histogram(otel::Histogram<f64>);

/// What an instrument is called and counts.
#[derive(Clone, Copy, Debug)]
pub struct About {
    /// Such as `gen_ai.client.operation.duration`.
    pub name: &'static str,
    /// In UCUM, such as `s`; what it has no unit for stands in braces, such as `{token}` or `{USD}`.
    pub unit: &'static str,
    /// One sentence for people.
    pub description: &'static str,
}

/// Values with their attributes, as they are now.
pub type Observed<T> = Vec<(T, Vec<Attribute>)>;

// === impl Meter ===

impl Meter {
    /// The meter of this process; `None`: its numbers go nowhere.
    #[must_use]
    pub fn of_process() -> Option<Self> {
        METER.get().cloned()
    }

    /// Takes the meter that telemetry was started with. The first one stays.
    pub(super) fn install(meter: otel::Meter) {
        METER.get_or_init(|| Self(meter));
    }

    /// A counter.
    #[must_use]
    pub fn counter(&self, about: About) -> Counter {
        let counter = self.0.u64_counter(about.name);
        Counter(counter.with_unit(about.unit).with_description(about.description).build())
    }

    /// A histogram with these bounds, in its unit and ascending.
    #[must_use]
    pub fn histogram(&self, about: About, bounds: &[f64]) -> Histogram {
        let histogram = self.0.f64_histogram(about.name).with_boundaries(bounds.to_vec());
        Histogram(histogram.with_unit(about.unit).with_description(about.description).build())
    }

    /// Counts that are kept elsewhere and read when they are sent.
    pub fn counts(&self, about: About, read: impl Fn() -> Observed<u64> + Send + Sync + 'static) {
        let counter = self.0.u64_observable_counter(about.name).with_callback(move |observer| {
            for (count, attributes) in read() {
                observer.observe(count, &attributes);
            }
        });
        let _ = counter.with_unit(about.unit).with_description(about.description).build();
    }

    /// Levels that are kept elsewhere and read when they are sent.
    pub fn levels(&self, about: About, read: impl Fn() -> Observed<f64> + Send + Sync + 'static) {
        let gauge = self.0.f64_observable_gauge(about.name).with_callback(move |observer| {
            for (level, attributes) in read() {
                observer.observe(level, &attributes);
            }
        });
        let _ = gauge.with_unit(about.unit).with_description(about.description).build();
    }
}

// === impl Counter ===

impl Counter {
    /// It happened once more.
    pub fn add(&self, count: u64, attributes: &[Attribute]) {
        self.0.add(count, attributes);
    }
}

// === impl Histogram ===

impl Histogram {
    /// This was measured.
    pub fn record(&self, value: f64, attributes: &[Attribute]) {
        self.0.record(value, attributes);
    }
}
