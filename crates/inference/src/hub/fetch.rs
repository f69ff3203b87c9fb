//! Finding a model's files in the cache, and fetching and checking those that are not there.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, Read},
    path::{Component, Path, PathBuf},
};

use hf_hub::{
    Cache, Repo, RepoType,
    api::sync::{Api, ApiBuilder, ApiError, ApiRepo},
};
use ring::digest;
use serde_json::Value;

use super::{
    HubOptions,
    choice::{Choice, INDEX, WEIGHTS, choose},
    name::{Name, is_path},
};
use crate::Error;

/// A larger file is none of a model that fits a machine.
const FILE_BYTES_MAX: u64 = 1 << 42;
/// A longer index is none.
const INDEX_BYTES_MAX: u64 = 64 << 20;

/// The model's file or folder.
pub(super) fn find(name: &Name, options: &HubOptions) -> Result<PathBuf, Error> {
    let cache = options.cache.clone().map_or_else(Cache::default, Cache::new);
    let place = Place { name, cache };
    if let Some(found) = place.cached() {
        return Ok(found);
    }
    if options.offline {
        let problem = format!("is not in {}, and `hub.offline` is set", place.cache.path().display());
        return Err(place.refused("files", problem));
    }
    match place.fetch(&options.endpoint) {
        Err(Trouble::NoHub(error)) => place.single_gguf().ok_or(error),
        Err(Trouble::Other(error)) => Err(error),
        Ok(found) => Ok(found),
    }
}

/// Why nothing was fetched.
enum Trouble {
    /// The hub could not be asked at all.
    NoHub(Error),
    Other(Error),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

/// A model's place in the cache.
struct Place<'a> {
    name: &'a Name,
    cache: Cache,
}

impl Place<'_> {
    fn refused(&self, part: impl Into<String>, problem: impl Into<String>) -> Error {
        Error::model(&self.name.path(), part, problem)
    }

    fn repo(&self, revision: &str) -> Repo {
        Repo::with_revision(self.name.repository.clone(), RepoType::Model, revision.to_owned())
    }

    /// The folder of the revision's files, if any of them was fetched.
    fn snapshot(&self) -> Option<PathBuf> {
        let repo = self.repo(&self.name.revision);
        let commit = self.cache.path().join(repo.folder_name()).join("refs").join(&self.name.revision);
        // A commit may be named itself.
        let commit = fs::read_to_string(commit).unwrap_or_else(|_| self.name.revision.clone());
        let commit = commit.trim();
        let folder = is_path(commit).then(|| self.cache.repo(repo).pointer_path(commit))?;
        folder.is_dir().then_some(folder)
    }

    /// What was named, where all of it is there.
    fn cached(&self) -> Option<PathBuf> {
        let snapshot = self.snapshot()?;
        if let Some(file) = &self.name.file {
            let path = snapshot.join(file);
            return path.is_file().then_some(path);
        }
        let has = |file: &str| snapshot.join(file).is_file();
        let whole = if has(WEIGHTS) {
            true
        } else {
            let shards = shards(&snapshot.join(INDEX)).ok()?;
            shards.iter().all(|shard| has(shard))
        };
        (whole && has("config.json") && has("tokenizer.json")).then_some(snapshot)
    }

    /// The only GGUF file that was fetched, where none was named.
    fn single_gguf(&self) -> Option<PathBuf> {
        let files = fs::read_dir(self.snapshot()?).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
        let mut files = files.filter(|path| path.extension().is_some_and(|ending| ending == "gguf"));
        let first = files.next().filter(|_| self.name.file.is_none())?;
        files.next().is_none().then_some(first)
    }

    fn fetch(&self, endpoint: &str) -> Result<PathBuf, Trouble> {
        let api = ApiBuilder::from_cache(self.cache.clone())
            .with_progress(false)
            .with_endpoint(endpoint.trim_end_matches('/').to_owned())
            .build()
            .map_err(|error| self.trouble("hub", &error))?;
        let info = api.repo(self.repo(&self.name.revision)).info();
        let info = info.map_err(|error| self.trouble("repository", &error))?;
        let files: Vec<String> = info.siblings.into_iter().map(|file| file.rfilename).collect();
        if !is_path(&info.sha) {
            return Err(self.refused("repository", "has a commit that is no name").into());
        }
        // All files are of one commit, whatever happens to the branch meanwhile.
        let source = Source { place: self, repo: api.repo(self.repo(&info.sha)), api, commit: &info.sha };
        let choice = choose(self.name, &files).map_err(|(part, problem)| self.refused(part, problem))?;
        let found = match choice {
            Choice::Gguf(file) => source.file(&file)?,
            Choice::Folder(wanted) => source.folder(&wanted, &files)?,
        };
        let refs = self.cache.repo(self.repo(&self.name.revision)).create_ref(&info.sha);
        refs.map_err(|error| self.refused("cache", format!("cannot be written: {error}")))?;
        Ok(found)
    }

    /// What the hub's answer, or its absence, means.
    fn trouble(&self, part: &str, error: &ApiError) -> Trouble {
        let ApiError::RequestError(request) = error else {
            return Trouble::Other(self.refused(part, format!("cannot be fetched: {error}")));
        };
        match &**request {
            ureq::Error::StatusCode(404) => Trouble::Other(self.refused(
                part,
                format!("is not on the hub; check owner, name and revision ({})", self.name.revision),
            )),
            ureq::Error::StatusCode(401 | 403) => {
                let token = self.cache.token_path();
                let problem = format!(
                    "does not exist or is not for everyone; if it does, accept its terms on the hub and put a token in {}",
                    token.display()
                );
                Trouble::Other(self.refused(part, problem))
            }
            ureq::Error::StatusCode(code) => {
                Trouble::NoHub(self.refused(part, format!("cannot be fetched: the hub answers {code}")))
            }
            other => Trouble::NoHub(self.refused(
                part,
                format!("cannot be fetched: {other}; without the hub only what is in its cache can be used"),
            )),
        }
    }
}

/// One commit of a repository on the hub.
struct Source<'a> {
    place: &'a Place<'a>,
    api: Api,
    repo: ApiRepo,
    commit: &'a str,
}

impl Source<'_> {
    fn folder(&self, wanted: &[String], files: &[String]) -> Result<PathBuf, Trouble> {
        for file in wanted {
            let path = self.file(file)?;
            if file != INDEX {
                continue;
            }
            for shard in shards(&path).map_err(|problem| self.place.refused(INDEX, problem))? {
                if !files.contains(&shard) {
                    let problem = format!("is named by {INDEX} and not in the repository");
                    return Err(self.place.refused(shard, problem).into());
                }
                self.file(&shard)?;
            }
        }
        Ok(self.place.cache.repo(self.place.repo(self.commit)).pointer_path(self.commit))
    }

    /// One file, from the cache or fetched and checked.
    fn file(&self, file: &str) -> Result<PathBuf, Trouble> {
        let refused = |problem: String| self.place.refused(file, problem);
        let path = self.place.cache.repo(self.place.repo(self.commit)).pointer_path(self.commit).join(file);
        if path.is_file() {
            return Ok(path);
        }
        let about = self.api.metadata(&self.repo.url(file)).map_err(|e| self.place.trouble(file, &e))?;
        let (etag, size) = (about.etag(), about.size() as u64);
        if !is_path(etag) || etag.contains('/') || about.commit_hash() != self.commit {
            return Err(refused("is described by headers that are none of a hub's".into()).into());
        }
        if size > FILE_BYTES_MAX {
            return Err(refused(format!("is {size} bytes long; at most {FILE_BYTES_MAX} are fetched")).into());
        }
        let path = self.repo.download(file).map_err(|error| self.place.trouble(file, &error))?;
        if let Err(problem) = check(&path, etag, size) {
            // Both the link and what it leads to, so that it is fetched anew next time.
            let blob = fs::canonicalize(&path);
            let _gone = fs::remove_file(&path).and(blob.and_then(fs::remove_file));
            let problem =
                format!("{problem}; it was removed from the cache, and the next start fetches it anew");
            return Err(refused(problem).into());
        }
        Ok(path)
    }
}

/// The files that an index names.
fn shards(index: &Path) -> Result<BTreeSet<String>, String> {
    let length = fs::metadata(index).map_err(|error| error.to_string())?.len();
    if length > INDEX_BYTES_MAX {
        return Err(format!("is {length} bytes long; at most {INDEX_BYTES_MAX} are read"));
    }
    let text = fs::read(index).map_err(|error| format!("cannot be read: {error}"))?;
    let json: Value = serde_json::from_slice(&text).map_err(|error| format!("cannot be parsed: {error}"))?;
    let map = json.get("weight_map").and_then(Value::as_object).ok_or("has no weight_map")?;
    let plain =
        |name: &&str| Path::new(name).components().eq([Component::Normal(name.as_ref())]) && is_path(name);
    let name = |value: &Value| value.as_str().filter(plain).map(str::to_owned);
    map.values()
        .map(name)
        .collect::<Option<_>>()
        .ok_or_else(|| "names a file that is no file name".to_owned())
}

/// Whether a file is the one that the hub described: by length, and by the hash that it goes by, SHA-256 of large files
/// and git's of small ones.
fn check(path: &Path, etag: &str, size: u64) -> Result<(), String> {
    let unread = |error: io::Error| format!("cannot be read back: {error}");
    let mut file = File::open(path).map_err(unread)?;
    let length = file.metadata().map_err(unread)?.len();
    if length != size {
        return Err(format!("has {length} bytes instead of {size}"));
    }
    if !etag.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Ok(());
    }
    let mut hash = match etag.len() {
        64 => digest::Context::new(&digest::SHA256),
        40 => {
            let mut hash = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
            hash.update(format!("blob {size}\0").as_bytes());
            hash
        }
        _ => return Ok(()),
    };
    let mut piece = vec![0; 1 << 20];
    loop {
        match file.read(&mut piece).map_err(unread)? {
            0 => break,
            length => hash.update(&piece[..length]),
        }
    }
    let hex: String = hash.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    if hex == etag.to_ascii_lowercase() {
        Ok(())
    } else {
        Err(format!("has the hash {hex} instead of {etag}"))
    }
}
