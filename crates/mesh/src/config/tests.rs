use std::collections::BTreeMap;
use std::io::Write as _;

use serde::{Deserialize, Serialize};

use super::*;
use crate::telemetry::TelemetryOptions;

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Config {
    listen: Listen,
    tls: Option<Tls>,
    fleet: Fleet,
    telemetry: TelemetryOptions,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Listen {
    address: String,
    name: String,
    port: u16,
    ratio: f64,
    mode: Mode,
    verbose: bool,
    admin_port: Option<u16>,
}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    #[default]
    Fast,
    Careful,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tls {
    certificate: String,
    #[serde(default)]
    key: Option<String>,
}

/// Refuses no unknown keys by itself, as a forgotten attribute would have it.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Fleet {
    workers: Vec<Worker>,
    tiers: BTreeMap<String, Tier>,
    regions: Vec<String>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Worker {
    address: String,
    #[serde(default)]
    weight: u32,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Tier {
    price: f64,
}

impl Default for Listen {
    fn default() -> Self {
        Listen {
            address: "127.0.0.1:1".to_owned(),
            name: "one".to_owned(),
            port: 8080,
            ratio: 0.5,
            mode: Mode::Fast,
            verbose: false,
            admin_port: None,
        }
    }
}

impl Configure for Config {
    fn validate(&self) -> Result<(), Vec<Invalid>> {
        let mut found = Vec::new();
        Invalid::unless(&mut found, self.listen.port != 0, "listen.port", "is zero", "give 1 to 65535");
        let ratio = (0.0..=1.0).contains(&self.listen.ratio);
        Invalid::unless(&mut found, ratio, "listen.ratio", "is not from 0 to 1", "give a fraction");
        if found.is_empty() { Ok(()) } else { Err(found) }
    }
}

/// Loads from text, variables and flags; errors name the file `c.toml`.
fn load_from(file: &str, env: &[(&str, &str)], flags: &[(&str, &str)]) -> Result<Loaded<Config>, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.toml");
    std::fs::File::create(&path).unwrap().write_all(file.as_bytes()).unwrap();
    let owned = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    let sources = Sources { file: Some(&path), env: owned(env), flags: owned(flags) };
    let folder = format!("{}/", folder.path().display());
    load(sources).map_err(|error| error.to_string().replace(&folder, ""))
}

#[test]
fn later_sources_win_key_by_key() {
    let file = "listen.port = 1\nlisten.name = 'file'\nlisten.address = 'a:1'\n";
    let env = [("CAUSEWAY_LISTEN__NAME", "env"), ("CAUSEWAY_LISTEN__ADDRESS", "b:2"), ("PATH", "/bin")];
    let loaded = load_from(file, &env, &[("listen.address", "c:3")]).unwrap();
    let listen = &loaded.value.listen;
    assert_eq!((listen.port, &*listen.name, &*listen.address, listen.ratio), (1, "env", "c:3", 0.5));
    assert_eq!(loaded.origin("listen.address"), &Origin::Flag("listen.address".to_owned()));
    assert_eq!(loaded.origin("listen.ratio"), &Origin::Default);
}

#[test]
fn text_takes_the_type_of_its_key() {
    let env = [
        ("CAUSEWAY_LISTEN__NAME", "123"),
        ("CAUSEWAY_LISTEN__PORT", "9"),
        ("CAUSEWAY_LISTEN__RATIO", "1"),
        ("CAUSEWAY_LISTEN__MODE", "careful"),
        ("CAUSEWAY_LISTEN__VERBOSE", "true"),
        ("CAUSEWAY_LISTEN__ADMIN_PORT", "7"),
        ("CAUSEWAY_TLS__CERTIFICATE", "true"),
        ("CAUSEWAY_FLEET__REGIONS", "['eu', 'us']"),
        ("CAUSEWAY_FLEET__WORKERS", "[{ address = 'w:1', weight = 2 }]"),
    ];
    let value = load_from("", &env, &[]).unwrap().value;
    let listen = Listen {
        address: "127.0.0.1:1".to_owned(),
        name: "123".to_owned(),
        port: 9,
        ratio: 1.0,
        mode: Mode::Careful,
        verbose: true,
        admin_port: Some(7),
    };
    assert_eq!(value.listen, listen);
    assert_eq!(value.tls, Some(Tls { certificate: "true".to_owned(), key: None }));
    assert_eq!(value.fleet.regions, ["eu", "us"]);
    assert_eq!(value.fleet.workers, [Worker { address: "w:1".to_owned(), weight: 2 }]);
}

#[test]
fn mistakes_in_files_are_named_with_line_and_column() {
    let check = |file: &str, expect: &str| {
        let error = load_from(file, &[], &[]).unwrap_err();
        assert_eq!(error, format!("c.toml:{expect}"), "{file}");
    };
    check("[listen]\nadress = 'x:1'", "2:1: unknown key `listen.adress`; did you mean `listen.address`?");
    check("\nlisen.port = 1", "2:1: unknown key `lisen`; did you mean `listen`?");
    check("[lisen]\nport = 1", "1:2: unknown key `lisen`; did you mean `listen`?");
    check("[zzz]\na = 1\nb = 2", "1:2: unknown key `zzz`");
    check("fleet.worker = []", "1:7: unknown key `fleet.worker`; did you mean `fleet.workers`?");
    check(
        "[[fleet.workers]]\naddress = 'a:1'\n[[fleet.workers]]\naddress = 'b:1'\nwieght = 2",
        "5:1: unknown key `fleet.workers.1.wieght`; did you mean `fleet.workers.1.weight`?",
    );
    check(
        "fleet.tiers.'gpt-4.1' = { price = 1, prize = 2 }",
        "1:38: unknown key `fleet.tiers.\"gpt-4.1\".prize`; did you mean `fleet.tiers.\"gpt-4.1\".price`?",
    );
    check(
        "fleet.workers = [{ weight = 1 }]",
        "1:18: `fleet.workers.0.address` is missing; it has no default",
    );
    check("[tls]\nkey = 'k'", "1:2: `tls.certificate` is missing; it has no default");
    check("listen.port = 'x'", "1:8: `listen.port` is \"x\", expected a whole number from 0 to 65535");
    check("listen.port = 70000", "1:8: `listen.port` is 70000, expected a whole number from 0 to 65535");
    check("listen.port = -1", "1:8: `listen.port` is -1, expected a whole number from 0 to 65535");
    check("listen.ratio = 'x'", "1:8: `listen.ratio` is \"x\", expected a number");
    check("listen.verbose = []", "1:8: `listen.verbose` is a list, expected true or false");
    check("listen.name = 1", "1:8: `listen.name` is 1, expected text");
    check(
        "telemetry.queue_len_max = -1",
        "1:11: `telemetry.queue_len_max` is -1, expected a whole number, 0 or more",
    );
    check("listen.mode = 'slow'", "1:8: `listen.mode` is `slow`; it is one of `fast`, `careful`");
    check("listen.port = 0", "1:8: `listen.port` is zero; give 1 to 65535");
}

#[test]
fn mistakes_in_variables_are_named() {
    let check = |env: &[(&str, &str)], expect: &[&str]| {
        let error = load_from("", env, &[]).unwrap_err();
        let expect: Vec<_> =
            expect.iter().map(|line| format!("environment variable CAUSEWAY_{line}")).collect();
        assert_eq!(error, expect.join("\n"), "{env:?}");
    };
    check(
        &[("CAUSEWAY_LISTEN__PORT", "x")],
        &["LISTEN__PORT: `listen.port` is \"x\", expected a whole number from 0 to 65535"],
    );
    check(
        &[("CAUSEWAY_NONSENSE", "x")],
        &["NONSENSE: does not name a key of the configuration; levels are joined by two underscores, as in \
             CAUSEWAY_LISTEN__ADDRESS"],
    );
    check(
        &[("CAUSEWAY_LISTEN__ADRESS", "x")],
        &["LISTEN__ADRESS: unknown key `listen.adress`; did you mean `CAUSEWAY_LISTEN__ADDRESS`?"],
    );
    check(
        &[("CAUSEWAY_LISTEN_ADDRESS", "x")],
        &[
            "LISTEN_ADDRESS: does not name a key of the configuration; did you mean `CAUSEWAY_LISTEN__ADDRESS`?",
        ],
    );
    check(
        &[("CAUSEWAY_LISTN__ADDRESS", "x"), ("CAUSEWAY_LISTN__PORT", "1")],
        &[
            "LISTN__ADDRESS: unknown key `listn.address`; did you mean `CAUSEWAY_LISTEN__ADDRESS`?",
            "LISTN__PORT: unknown key `listn.port`; did you mean `CAUSEWAY_LISTEN__PORT`?",
        ],
    );
    check(&[("CAUSEWAY_TLS__KEY", "k")], &["TLS__KEY: `tls.certificate` is missing; it has no default"]);
}

#[test]
fn mistakes_in_flags_are_named() {
    let check = |key: &str, value: &str, expect: &str| {
        assert_eq!(load_from("", &[], &[(key, value)]).unwrap_err(), expect);
    };
    let unknown = "flag --set listen.prt: unknown key `listen.prt`; did you mean `listen.port`?";
    check("listen.prt", "1", unknown);
    let range = "flag --set listen.ratio: `listen.ratio` is not from 0 to 1; give a fraction";
    check("listen.ratio", "nan", range);
}

#[test]
fn syntax_errors_have_line_and_column() {
    let check = |file: &str, start: &str| {
        let error = load_from(file, &[], &[]).unwrap_err();
        assert!(error.starts_with(start), "{error}");
    };
    check("listen.port = 1\nlisten.name = \n", "c.toml:2:15: not valid TOML: ");
    check("[listen]\nport = 1\nport = 2\n", "c.toml:3:1: not valid TOML: duplicate key");
    check("é = [", "c.toml:1:");
}

#[test]
fn all_mistakes_are_told_at_once() {
    let file = "listen.port = 'x'\nlisten.adress = 'y'\nlisten.ratio = 7\nfleet.zones = 1\n";
    let env = [("CAUSEWAY_LISTEN__VERBOSE", "perhaps"), ("CAUSEWAY_NOTHING", "1")];
    let error = load_from(file, &env, &[("tls.nothing", "1")]).unwrap_err();
    let named =
        ["listen.port", "listen.adress", "listen.ratio", "fleet.zones", "VERBOSE", "NOTHING", "tls.nothing"];
    for name in named {
        assert!(error.contains(name), "{name} is not in:\n{error}");
    }
    assert_eq!(error.lines().count(), 8, "{error}");
}

#[test]
fn variables_of_kubernetes_break_nothing() {
    let services =
        ["CAUSEWAY_ROUTER", "CAUSEWAY", "CAUSEWAY_LISTEN__ADMIN", "CAUSEWAY__X", "CAUSEWAY_A__B_C"];
    let mut env = Vec::new();
    for service in services {
        for (suffix, value) in [
            ("_SERVICE_HOST", "10.0.0.7"),
            ("_SERVICE_PORT", "50051"),
            ("_SERVICE_PORT_GRPC", "50051"),
            ("_SERVICE_PORT_GRPC_WEB", "80"),
            ("_PORT", "tcp://10.0.0.7:50051"),
            ("_PORT_50051_TCP", "tcp://10.0.0.7:50051"),
            ("_PORT_50051_TCP_PROTO", "tcp"),
            ("_PORT_50051_TCP_PORT", "50051"),
            ("_PORT_50051_TCP_ADDR", "10.0.0.7"),
            ("_PORT_53_UDP", "udp://10.0.0.7:53"),
        ] {
            env.push((format!("{service}{suffix}"), value));
        }
    }
    env.push(("CAUSEWAY_EMPTIED_PORT".to_owned(), ""));
    let env: Vec<_> = env.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    assert_eq!(load_from("", &env, &[]).unwrap().value, Config::default());

    // Without such a service the same name is a key like any other.
    let set = load_from("", &[("CAUSEWAY_LISTEN__ADMIN_PORT", "7")], &[]).unwrap();
    assert_eq!(set.value.listen.admin_port, Some(7));
    let error = load_from("", &[("CAUSEWAY_LISTEN__ADMN_PORT", "7")], &[]).unwrap_err();
    assert!(error.contains("did you mean `CAUSEWAY_LISTEN__ADMIN_PORT`?"), "{error}");
}

#[test]
fn rendering_names_each_origin_and_loads_again() {
    let file =
        "[listen]\nname = 'a \"b\"'\n[[fleet.workers]]\naddress = 'w:1'\n[fleet.tiers.'x.y']\nprice = 2\n";
    let loaded = load_from(file, &[("CAUSEWAY_LISTEN__PORT", "9")], &[("listen.verbose", "true")]).unwrap();
    let rendered = loaded.render();
    let lines: Vec<String> =
        rendered.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    let folder = |line: &String| match line.split_once("# from /") {
        Some((before, after)) => format!("{before}# from {}", after.rsplit('/').next().unwrap()),
        None => line.clone(),
    };
    let lines: Vec<String> = lines.iter().map(folder).collect();
    let telemetry = lines.iter().position(|line| line.contains("telemetry."));
    let lines = &lines[..telemetry.unwrap_or(lines.len())];
    assert_eq!(
        lines,
        [
            "fleet.regions = [] # from default",
            "fleet.tiers.\"x.y\".price = 2.0 # from c.toml:6",
            "fleet.workers = [{ address = \"w:1\", weight = 0 }] # from c.toml:3",
            "listen.address = \"127.0.0.1:1\" # from default",
            "# listen.admin_port is unset # from default",
            "listen.mode = \"fast\" # from default",
            "listen.name = 'a \"b\"' # from c.toml:2",
            "listen.port = 9 # from CAUSEWAY_LISTEN__PORT",
            "listen.ratio = 0.5 # from default",
            "listen.verbose = true # from flag --set listen.verbose",
        ]
    );
    assert_eq!(load_from(&rendered, &[], &[]).unwrap().value, loaded.value);
}

#[test]
fn keys_that_serialising_leaves_out_are_known_by_name() {
    #[derive(Debug, Default, Serialize, Deserialize)]
    #[serde(default)]
    struct Sparse {
        tiers: BTreeMap<String, Hidden>,
    }
    #[derive(Debug, Default, Serialize, Deserialize)]
    struct Hidden {
        #[serde(skip_serializing_if = "Option::is_none")]
        note: Option<String>,
    }
    impl Configure for Sparse {
        fn validate(&self) -> Result<(), Vec<Invalid>> {
            Ok(())
        }
        fn optional_keys() -> &'static [&'static str] {
            &["tiers.*.retired"]
        }
    }
    let check = |flag: &str, known: bool| {
        let sources = Sources { flags: vec![(flag.to_owned(), "x".to_owned())], ..Sources::default() };
        assert_eq!(load::<Sparse>(sources).is_ok(), known, "{flag}");
    };
    check("tiers.a.note", true);
    check("tiers.a.retired", true);
    check("tiers.a.retried", false);
    check("retired.a.tiers", false);
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let check = |path: &Path, expect: &str| {
        let error =
            load::<Config>(Sources { file: Some(path), ..Sources::default() }).unwrap_err().to_string();
        assert!(error.starts_with(&path.display().to_string()) && error.contains(expect), "{error}");
    };
    check(&folder.path().join("none.toml"), "cannot be read");
    check(folder.path(), "cannot be read");
    let large = folder.path().join("large.toml");
    std::fs::write(&large, vec![b'#'; 1024 * 1024 + 1]).unwrap();
    check(&large, "larger than 1048576 bytes");
    let binary = folder.path().join("binary.toml");
    std::fs::write(&binary, [0xff, 0xfe, 0x00]).unwrap();
    check(&binary, "cannot be read");
}

#[test]
fn a_fault_of_the_file_is_told_alone_and_without_a_place_that_it_does_not_have() {
    let missing = Path::new("none/at/all.toml");
    let check = |path: &Path, expect: &str| {
        let env = vec![("CAUSEWAY_LISTEN__PORT".to_owned(), "0".to_owned())];
        let error = draft::<Config>(Sources { file: Some(path), env, ..Sources::default() }).unwrap_err();
        assert_eq!(error.problems.len(), 1, "{error}");
        assert!(error.to_string().starts_with(&format!("{}:{expect}", path.display())), "{error}");
    };
    check(missing, " the configuration file cannot be read: ");
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("broken.toml");
    std::fs::write(&broken, "a = 1\nb = \n").unwrap();
    check(&broken, "2:5: not valid TOML");
}

#[test]
fn a_configuration_with_faults_can_still_be_shown() {
    let env =
        [("CAUSEWAY_LISTEN__PORT", "0"), ("CAUSEWAY_LISTEN__RATIO", "x"), ("CAUSEWAY_LISTEN__NAME", "n")];
    let env = env.map(|(name, text)| (name.to_owned(), text.to_owned())).to_vec();
    let draft = draft::<Config>(Sources { env, ..Sources::default() }).unwrap();
    let shown = draft.render();
    for (line, origin) in
        [("listen.name = \"n\"", "CAUSEWAY_LISTEN__NAME"), ("listen.ratio = 0.5", "default")]
    {
        let found = shown.lines().find(|shown| shown.starts_with(line));
        assert!(found.is_some_and(|found| found.ends_with(&format!("# from {origin}"))), "{line}:\n{shown}");
    }
    assert_eq!(draft.finish().unwrap_err().problems.len(), 2);
}

#[test]
fn the_log_filter_of_rust_programs_gives_way_to_any_written_for_this_one() {
    let check = |file: &str, env: &[(&str, &str)], filter: &str, origin: &str| {
        let loaded = load_from(file, env, &[]).unwrap();
        assert_eq!(loaded.value.telemetry.log_filter, filter);
        assert_eq!(loaded.origin("telemetry.log_filter").to_string().rsplit('/').next(), Some(origin));
    };
    check("", &[("RUST_LOG", "h2=debug")], "h2=debug", "RUST_LOG");
    check("", &[("RUST_LOG", " ")], "info", "default");
    check("telemetry.log_filter = 'warn'", &[("RUST_LOG", "debug")], "warn", "c.toml:1");
    let both = [("RUST_LOG", "debug"), ("CAUSEWAY_TELEMETRY__LOG_FILTER", "error")];
    check("", &both, "error", "CAUSEWAY_TELEMETRY__LOG_FILTER");
}
