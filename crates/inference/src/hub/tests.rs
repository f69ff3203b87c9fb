//! Names, and models fetched from a double of a hub: whole or not at all, and without it once they are there.

#[cfg(feature = "hub")]
mod double;

use super::name::Name;

#[test]
fn a_name_is_a_repository_a_revision_and_a_file() {
    let check = |text: &str, repository: &str, revision: &str, file: Option<&str>| {
        let name = Name::parse(text).unwrap();
        assert_eq!(
            (name.repository.as_str(), name.revision.as_str(), name.file.as_deref()),
            (repository, revision, file)
        );
    };
    check("o/n", "o/n", "main", None);
    check("o/n@v1.0", "o/n", "v1.0", None);
    check("o/n@refs/pr/1", "o/n", "refs/pr/1", None);
    check("Own-er/n_m.e:sub/a-Q4_K_M.gguf", "Own-er/n_m.e", "main", Some("sub/a-Q4_K_M.gguf"));
    check("o/n@0123abc:a.gguf", "o/n", "0123abc", Some("a.gguf"));
    for text in [
        "",
        "n",
        "o/",
        "/n",
        "o/n/m",
        "../n",
        "o/..",
        "o/n@",
        "o/n@../../x",
        "o/n:",
        "o/n:../a.gguf",
        "o/n:/a.gguf",
        "o/n:a.bin",
        "o n/m",
        "o/n@a b",
        "o/n:a%2f.gguf",
        "o/.n",
        "o/n@a@b",
    ] {
        let problem = Name::parse(text).unwrap_err();
        assert!(problem.contains("hf:owner/name"), "{text}: {problem}");
    }
    assert!(Name::parse(&"a".repeat(9_999)).is_err());
    assert_eq!(Name::parse("o/n@v1:a.gguf").unwrap().path().to_str(), Some("hf:o/n@v1:a.gguf"));
}

#[cfg(not(feature = "hub"))]
#[test]
fn a_program_without_the_feature_says_so() {
    let problem = super::resolve("hf:o/n".as_ref(), &super::HubOptions::default()).unwrap_err().to_string();
    assert!(problem.contains("without the feature `hub`"), "{problem}");
}

#[cfg(feature = "hub")]
mod fetched {
    use std::{collections::BTreeMap, fs, path::Path};

    use candle_core::quantized::GgmlDType;
    use safetensors::Dtype;
    use serde_json::json;

    use super::{
        super::HubOptions,
        double::{COMMIT, Double, Fault, REPOSITORY},
    };
    use crate::{Options, tiny::Tiny};

    type Files = BTreeMap<String, Vec<u8>>;

    /// A tiny folder's files, its weights in two shards.
    fn folder() -> Files {
        let folder = tempfile::tempdir().unwrap();
        let path = Tiny::dense().folder(folder.path(), Dtype::BF16);
        let mut files = read(&path);
        let weights = files.remove("model.safetensors").unwrap();
        files.insert("model-00001-of-00001.safetensors".into(), weights);
        let map: BTreeMap<String, &str> = Tiny::dense()
            .weights()
            .into_keys()
            .map(|name| (name, "model-00001-of-00001.safetensors"))
            .collect();
        let index = json!({ "weight_map": map }).to_string();
        files.insert("model.safetensors.index.json".into(), index.into());
        files.insert("README.md".into(), b"not fetched".to_vec());
        files
    }

    fn gguf() -> Files {
        let folder = tempfile::tempdir().unwrap();
        Tiny::dense().gguf(folder.path(), GgmlDType::Q4_0);
        read(folder.path())
    }

    fn read(folder: &Path) -> Files {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
        entries.map(|path| (name(&path), fs::read(&path).unwrap())).collect()
    }

    fn options(model: &str, endpoint: &str, cache: &Path) -> Options {
        let hub = HubOptions { endpoint: endpoint.to_owned(), cache: Some(cache.to_owned()), offline: false };
        Options { model: model.into(), hub, threads: 1, ..Options::default() }
    }

    fn build(model: &str, endpoint: &str, cache: &Path) -> Result<[u8; 32], String> {
        let built = options(model, endpoint, cache).build();
        built.map(|(_, handle)| handle.model().hash).map_err(|error| error.to_string())
    }

    #[test]
    fn a_folder_is_fetched_once_and_then_needs_no_hub() {
        let cache = tempfile::tempdir().unwrap();
        let cache = cache.path().join("hub");
        let double = Double::new(folder());
        let name = format!("hf:{REPOSITORY}");
        let first = build(&name, &double.endpoint, &cache).unwrap();
        let asked = double.asked();
        assert_eq!(build(&name, &double.endpoint, &cache).unwrap(), first);
        assert_eq!(double.asked(), asked, "nothing is asked for what is there");
        let nowhere = "http://127.0.0.1:1";
        assert_eq!(build(&name, nowhere, &cache).unwrap(), first);
        assert_eq!(build(&format!("{name}@{COMMIT}"), nowhere, &cache).unwrap(), first, "by its commit too");
        let snapshot = cache.join("models--owner--tiny-model/snapshots").join(COMMIT);
        assert!(!snapshot.join("README.md").exists());
        // A shard that went missing is fetched again.
        fs::remove_file(snapshot.join("model-00001-of-00001.safetensors")).unwrap();
        assert!(build(&name, nowhere, &cache).unwrap_err().contains("cannot be fetched"));
        assert_eq!(build(&name, &double.endpoint, &cache).unwrap(), first);
    }

    #[test]
    fn a_gguf_file_is_fetched_by_its_name_or_as_the_only_one() {
        let cache = tempfile::tempdir().unwrap();
        let double = Double::new(gguf());
        let first = build(&format!("hf:{REPOSITORY}"), &double.endpoint, cache.path()).unwrap();
        assert_eq!(build(&format!("hf:{REPOSITORY}"), "http://127.0.0.1:1", cache.path()).unwrap(), first);
        let name = format!("hf:{REPOSITORY}@{COMMIT}:tiny.gguf");
        assert_eq!(build(&name, "http://127.0.0.1:1", cache.path()).unwrap(), first);
    }

    #[test]
    fn bytes_that_are_not_those_of_the_hash_are_not_kept() {
        let cache = tempfile::tempdir().unwrap();
        let double = Double::new(gguf());
        let name = format!("hf:{REPOSITORY}:tiny.gguf");
        double.fail(Fault::Bytes);
        let problem = build(&name, &double.endpoint, cache.path()).unwrap_err();
        assert!(
            problem.contains("tiny.gguf: has the hash") && problem.contains("fetches it anew"),
            "{problem}"
        );
        assert!(build(&name, "http://127.0.0.1:1", cache.path()).is_err());
        double.fail(Fault::None);
        build(&name, &double.endpoint, cache.path()).unwrap();
    }

    #[test]
    fn what_cannot_be_had_is_refused_with_what_to_do() {
        let check = |files: Files, name: &str, fault: Fault, expect: &[&str]| {
            let cache = tempfile::tempdir().unwrap();
            let double = Double::new(files);
            double.fail(fault);
            let problem = build(name, &double.endpoint, cache.path()).unwrap_err();
            assert!(expect.iter().all(|expect| problem.contains(expect)), "{problem}");
            let offline =
                HubOptions { cache: Some(cache.path().into()), offline: true, ..HubOptions::default() };
            let options = Options { model: name.into(), hub: offline, ..Options::default() };
            assert!(options.build().unwrap_err().to_string().contains("`hub.offline` is set"));
        };
        let own = format!("hf:{REPOSITORY}");
        check(folder(), "hf:owner/other", Fault::None, &["hf:owner/other", "repository: is not on the hub"]);
        check(folder(), &format!("{own}@v9"), Fault::None, &["@v9", "is not on the hub", "(v9)"]);
        check(folder(), &own, Fault::Gated, &["is not for everyone", "token"]);
        check(folder(), &own, Fault::Nonsense, &[REPOSITORY]);
        check(
            gguf(),
            &format!("{own}:b.gguf"),
            Fault::None,
            &["b.gguf: is not in the repository", "it has tiny.gguf"],
        );
        check(folder(), &format!("{own}:b.gguf"), Fault::None, &["it has no .gguf file"]);
        let with = |change: &dyn Fn(&mut Files), mut files: Files| {
            change(&mut files);
            files
        };
        let files = with(&|files| drop(files.remove("tokenizer.json")), folder());
        check(files, &own, Fault::None, &["tokenizer.json: is not in the repository", "save_pretrained"]);
        let files = with(&|files| drop(files.remove("model-00001-of-00001.safetensors")), folder());
        check(
            files,
            &own,
            Fault::None,
            &["model-00001-of-00001.safetensors: is named by", "not in the repository"],
        );
        let files = with(&|files| drop(files.remove("config.json")), folder());
        check(files, &own, Fault::None, &["neither config.json"]);
        let two = with(&|files| drop(files.insert("b.gguf".into(), Vec::new())), gguf());
        check(two, &own, Fault::None, &["several models", "b.gguf, tiny.gguf"]);
        let part = "big-00001-of-00002.gguf";
        let split = with(&|files| drop(files.insert(part.into(), Vec::new())), Files::new());
        check(split.clone(), &own, Fault::None, &[part, "--merge"]);
        check(split, &format!("{own}:{part}"), Fault::None, &[part, "--merge"]);
    }
}
