//! Tries inputs that are changed by chance, and keeps to those that reach new edges.
//! `integration/fuzz/run` builds and starts it.
#![allow(clippy::print_stderr, clippy::disallowed_methods, reason = "no part of knarr")]

mod coverage;
mod mutate;
mod targets;

use coverage::Coverage;
use mutate::{Chance, mutate};
use nix::sys::resource::{Resource, UsageWho, getrusage, setrlimit};
use nix::sys::time::TimeValLike;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use targets::{TARGETS, Target};

/// How much of a processor's time one input may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long one input may wait: what runs beside it can take the processors from it.
const PATIENCE_ASLEEP: Duration = Duration::from_secs(300);

/// The memory that one target may have, in bytes.
const MEMORY: u64 = 2 << 30;

/// What the command line says.
struct Asked {
    seconds: u64,
    jobs: usize,
    /// Where inputs that reach something new, and findings, are kept.
    out: PathBuf,
    /// Whether what is found is for the corpus: few, small ones.
    distil: bool,
    /// The target that this process tries itself.
    own: Option<String>,
    names: Vec<String>,
}

fn asked() -> Option<Asked> {
    let mut asked =
        Asked { seconds: 10, jobs: 1, out: PathBuf::new(), distil: false, own: None, names: Vec::new() };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "-t" => asked.seconds = words.next()?.parse().ok()?,
            "-j" => asked.jobs = words.next()?.parse().ok().filter(|jobs| *jobs > 0)?,
            "-o" => asked.out = words.next()?.into(),
            "-d" => asked.distil = true,
            "--own" => asked.own = Some(words.next()?),
            name if TARGETS.iter().any(|target| target.name == name) => asked.names.push(word),
            _ => return None,
        }
    }
    (!asked.out.as_os_str().is_empty()).then_some(asked)
}

fn main() -> ExitCode {
    let Some(asked) = asked() else {
        let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
        eprintln!("fuzz -o FOLDER [-t SECONDS] [-j JOBS] [-d] [TARGET...]\ntargets: {}", names.join(" "));
        return ExitCode::from(2);
    };
    match &asked.own {
        Some(name) => {
            let target = TARGETS.iter().find(|target| target.name == *name).expect("it was looked up");
            if asked.distil { distil(target, &asked) } else { try_one(target, &asked) }
        }
        None => try_all(&asked),
    }
}

// ---- all targets, each in a process of its own ----

fn begin(name: &'static str, asked: &Asked) -> (&'static str, Child) {
    let mut command = Command::new(std::env::current_exe().expect("/proc"));
    command.args(["-t", &asked.seconds.to_string(), "--own", name, "-o"]).arg(&asked.out);
    if asked.distil {
        command.arg("-d");
    }
    (name, command.spawn().expect("a process"))
}

fn try_all(asked: &Asked) -> ExitCode {
    let chosen = |target: &&Target| asked.names.is_empty() || asked.names.iter().any(|n| n == target.name);
    let mut waiting = TARGETS.iter().filter(chosen).map(|target| target.name);
    let mut running: Vec<(&str, Child)> = Vec::new();
    let (mut passed, mut failed) = (0, Vec::new());
    loop {
        while running.len() < asked.jobs
            && let Some(name) = waiting.next()
        {
            running.push(begin(name, asked));
        }
        if running.is_empty() {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
        running.retain_mut(|(name, child)| match child.try_wait().expect("waitid") {
            None => true,
            Some(status) => {
                if status.success() {
                    passed += 1;
                } else {
                    // One that has panicked has said what it was; one that was ended by a signal
                    // has not.
                    if status.code() != Some(1) {
                        let finding = finding(asked, name, "died");
                        let _ = fs::copy(current(asked, name), &finding);
                        println!("not ok - fuzz: {name}: {status}, with {}", finding.display());
                    }
                    failed.push(*name);
                }
                false
            }
        });
    }
    if !failed.is_empty() {
        println!("# What failed, and how to run it alone");
        failed.iter().for_each(|name| println!("not ok - fuzz: {name}\n    integration/fuzz/run {name}"));
    }
    println!("# fuzz: {passed} passed, {} failed, 0 skipped", failed.len());
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

// ---- one target ----

/// The input that is tried right now, should it end the process.
fn current(asked: &Asked, name: &str) -> PathBuf {
    asked.out.join(format!("{name}.current"))
}

fn finding(asked: &Asked, name: &str, what: &str) -> PathBuf {
    asked.out.join(format!("{name}.{what}"))
}

/// What is kept of a target, and other files that it can begin with; small ones first.
fn seeds(target: &Target, asked: &Asked) -> Vec<Vec<u8>> {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let kept = [project.join("integration/fuzz/corpus").join(target.name), asked.out.join(target.name)];
    let others = target.seeds.iter().map(|folder| project.join(folder));
    let files = kept
        .into_iter()
        .chain(others)
        .flat_map(|folder| fs::read_dir(folder).into_iter().flatten().flatten());
    let mut seeds: Vec<_> = files.filter_map(|file| fs::read(file.path()).ok()).collect();
    seeds.push(Vec::new());
    seeds.sort_by_key(Vec::len);
    seeds
}

/// The time of a processor that this process has had: programs beside it take nothing from a
/// target.
fn spent() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_SELF).expect("getrusage");
    let micros = [usage.user_time(), usage.system_time()].map(|time| time.num_microseconds());
    Duration::from_micros(micros.iter().sum::<i64>() as u64)
}

/// Since when the current input is tried, in milliseconds of what was spent.
static SINCE: AtomicU64 = AtomicU64::new(0);

/// Ends the process where an input takes too long, or is more than it was given memory for.
fn guard(target: &'static str, current: PathBuf, hung: PathBuf) {
    setrlimit(Resource::RLIMIT_AS, MEMORY, MEMORY).expect("setrlimit");
    std::thread::spawn(move || {
        let (mut last, mut asleep) = (Duration::MAX, Duration::ZERO);
        loop {
            std::thread::sleep(Duration::from_secs(1));
            let since = Duration::from_millis(SINCE.load(Ordering::Relaxed));
            asleep = if since == last { asleep + Duration::from_secs(1) } else { Duration::ZERO };
            last = since;
            if spent().saturating_sub(since) > PATIENCE || asleep > PATIENCE_ASLEEP {
                let _ = fs::copy(&current, &hung);
                println!("not ok - fuzz: {target}: no end within {PATIENCE:?}, with {}", hung.display());
                std::process::exit(1);
            }
        }
    });
}

/// Tries inputs, and knows what they have reached.
struct Trial<'a> {
    target: &'static Target,
    asked: &'a Asked,
    coverage: Coverage,
    current: File,
    inputs: u64,
}

impl Trial<'_> {
    fn new<'a>(target: &'static Target, asked: &'a Asked) -> Trial<'a> {
        fs::create_dir_all(asked.out.join(target.name)).expect("a folder for what is found");
        let path = current(asked, target.name);
        let file = File::create(&path).expect("a file for the current input");
        guard(target.name, path, finding(asked, target.name, "hung"));
        std::panic::set_hook(Box::new(|_| {}));
        Trial { target, asked, coverage: Coverage::new(), current: file, inputs: 0 }
    }

    /// Whether it panics, and with what.
    fn panics(&self, input: &[u8]) -> Option<String> {
        let panic = catch_unwind(|| (self.target.run)(input)).err()?;
        let text = panic.downcast_ref::<String>().cloned();
        text.or(panic.downcast_ref::<&str>().map(|text| (*text).into())).or(Some("a panic".into()))
    }

    /// Try one; whether it reaches something new. One that panics is made smaller, kept, and the
    /// end.
    fn take(&mut self, input: &[u8], by_class: bool) -> Result<bool, String> {
        self.inputs += 1;
        SINCE.store(spent().as_millis() as u64, Ordering::Relaxed);
        self.current.set_len(input.len() as u64).expect("a file");
        self.current.write_all_at(input, 0).expect("a file");
        self.coverage.clear();
        match self.panics(input) {
            None => Ok(self.coverage.add(by_class)),
            Some(_) => Err(self.found(input)),
        }
    }

    fn found(&self, input: &[u8]) -> String {
        let mut small = input.to_vec();
        let mut part = small.len() / 2;
        while part > 0 {
            let mut at = 0;
            while at < small.len() {
                let less = [&small[..at], &small[(at + part).min(small.len())..]].concat();
                if self.panics(&less).is_some() {
                    small = less;
                } else {
                    at += part;
                }
            }
            part /= 2;
        }
        let path = finding(self.asked, self.target.name, "panics");
        let _ = fs::write(&path, &small);
        let text = self.panics(&small).unwrap_or_default().replace('\n', " ");
        format!("{}, with {}", text.chars().take(2000).collect::<String>(), path.display())
    }
}

fn try_one(target: &'static Target, asked: &Asked) -> ExitCode {
    let mut trial = Trial::new(target, asked);
    let chance = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let mut chance = Chance(chance.map_or(0, |time| time.as_nanos() as u64));
    match try_for(&mut trial, &mut chance) {
        Ok(kept) => {
            let ((taken, all), inputs) = (trial.coverage.edges(), trial.inputs);
            let seconds = spent().as_secs();
            println!(
                "ok - fuzz: {}: {inputs} inputs in {seconds} s, {taken} of {all} edges, {kept} kept",
                target.name
            );
            ExitCode::SUCCESS
        }
        Err(what) => {
            println!("not ok - fuzz: {}: {what}", target.name);
            ExitCode::FAILURE
        }
    }
}

fn try_for(trial: &mut Trial<'_>, chance: &mut Chance) -> Result<usize, String> {
    let mut inputs = Vec::new();
    for seed in seeds(trial.target, trial.asked) {
        trial.take(&seed, true)?;
        inputs.push(seed);
    }
    let seeds = inputs.len();
    let folder = trial.asked.out.join(trial.target.name);
    while spent() < Duration::from_secs(trial.asked.seconds) {
        // Those that were found last more often than others.
        let newest = inputs.len().saturating_sub(1 + inputs.len() / 8);
        let from = if chance.below(2) == 0 { newest } else { 0 };
        let (input, other) = (from + chance.below(inputs.len() - from), chance.below(inputs.len()));
        let changed = mutate(trial.target.shape, &inputs[input], &inputs[other], chance);
        if trial.take(&changed, true)? {
            let _ = fs::write(folder.join(format!("{:016x}", trial.inputs)), &changed);
            inputs.push(changed);
        }
    }
    Ok(inputs.len() - seeds)
}

/// Of all that there is, the few small ones that reach each edge, into a folder beside.
fn distil(target: &'static Target, asked: &Asked) -> ExitCode {
    let mut trial = Trial::new(target, asked);
    let folder = asked.out.join(format!("{}.distilled", target.name));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder");
    let (mut files, mut size) = (0, 0);
    for seed in seeds(target, asked) {
        if trial.take(&seed, false) == Ok(true) {
            files += 1;
            size += seed.len();
            let _ = fs::write(folder.join(format!("{files:03}")), &seed);
        }
    }
    println!("ok - fuzz: {}: {files} inputs, {size} bytes, {:?} edges", target.name, trial.coverage.edges());
    ExitCode::SUCCESS
}
