//! Writes items of one split, or drills, as JSON lines and prints their hash and mean lengths.

use std::{
    collections::BTreeMap,
    error::Error,
    fs::File,
    io::{BufWriter, Write, stdout},
    path::PathBuf,
};

use skills::{Skill, Split, VERSION, drills, items};

/// What to write, and where.
struct Options {
    split: Split,
    items: usize,
    seed: u64,
    out: PathBuf,
    drills: bool,
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = options(std::env::args().skip(1))?;
    if options.drills {
        return write_drills(&options);
    }
    let mut out = BufWriter::new(File::create(&options.out)?);
    let mut hash = blake3::Hasher::new();
    let mut lengths: BTreeMap<Skill, [usize; 3]> = BTreeMap::new();
    for item in items(options.split, options.seed).take(options.items) {
        let line = serde_json::to_string(&item)? + "\n";
        hash.update(line.as_bytes());
        out.write_all(line.as_bytes())?;
        let [count, prompt, answer] = lengths.entry(item.skill).or_default();
        *count += 1;
        *prompt += item.prompt.chars().count();
        *answer += item.answer.chars().count();
    }
    out.flush()?;
    report(&options, hash.finalize(), &lengths)
}

fn write_drills(options: &Options) -> Result<(), Box<dyn Error>> {
    let mut out = BufWriter::new(File::create(&options.out)?);
    let mut hash = blake3::Hasher::new();
    for drill in drills(options.seed).take(options.items) {
        let line = serde_json::to_string(&drill)? + "\n";
        hash.update(line.as_bytes());
        out.write_all(line.as_bytes())?;
    }
    out.flush()?;
    let Options { items, seed, out: path, .. } = options;
    writeln!(stdout(), "{items} drills, seed {seed}, version {VERSION}: {}", path.display())?;
    writeln!(stdout(), "blake3 {}", hash.finalize())?;
    Ok(())
}

fn report(
    options: &Options,
    hash: blake3::Hash,
    lengths: &BTreeMap<Skill, [usize; 3]>,
) -> Result<(), Box<dyn Error>> {
    let mut out = stdout().lock();
    let Options { split, items, seed, out: path, .. } = options;
    writeln!(out, "{items} items, split {split}, seed {seed}, version {VERSION}: {}", path.display())?;
    writeln!(out, "blake3 {hash}")?;
    writeln!(out, "{:<14} {:>8} {:>8} {:>8}", "skill", "items", "prompt", "answer")?;
    for (skill, [count, prompt, answer]) in lengths {
        let mean = |total: &usize| *total as f64 / *count as f64;
        writeln!(out, "{:<14} {count:>8} {:>8.1} {:>8.1}", skill.name(), mean(prompt), mean(answer))?;
    }
    writeln!(out, "lengths are mean characters")?;
    Ok(())
}

fn options(mut args: impl Iterator<Item = String>) -> Result<Options, Box<dyn Error>> {
    let (mut split, mut items, mut seed, mut out, mut drills) = (Split::Train, 1000, 1, None, false);
    while let Some(name) = args.next() {
        if name == "--drills" {
            drills = true;
            continue;
        }
        let value = args.next().ok_or_else(|| format!("`{name}` needs a value"))?;
        match name.as_str() {
            "--split" => split = value.parse()?,
            "--items" => items = value.parse()?,
            "--seed" => seed = value.parse()?,
            "--out" => out = Some(PathBuf::from(value)),
            _ => {
                return Err(format!(
                    "`{name}` is no option: say --split, --drills, --items, --seed or --out"
                )
                .into());
            }
        }
    }
    Ok(Options { split, items, seed, out: out.ok_or("--out names the file to write")?, drills })
}
