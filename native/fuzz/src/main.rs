//! Drives the targets by a seed, on a stable toolchain. `npm run fuzz -- --help` tells how.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant, SystemTime};

use conclave_fuzz::meter::{self, CountingAllocator};
use conclave_fuzz::targets::{ALL, Target};
use conclave_fuzz::{outcomes, panics};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const HELP: &str = "\
npm run fuzz -- [options]

  --target NAME    only this one of: frame outsider member files rows split entry large
  --seconds N      for so long, in all (120)
  --runs N         so many times, of each target, instead of --seconds
  --seed N         what is made is decided by it (another one each time, printed)
  --replay         only the files of the corpus
  --input FILE     only this file; wants --target
  --memory MIB     what unauthenticated input may take beyond its size (16)
  --time MS        how long it may take (50)
  --grow           write inputs that reach together what none of the corpus does to native/fuzz/found/";

/// More than this is the end of the process: nobody should lose a machine for a finding.
const CEILING: usize = 1 << 30;
/// What authenticated or stored input may take, in bytes: a member can fill a group.
const TRUSTED_MEMORY: usize = 256 << 20;
const LONGEST_INPUT: usize = 160;

#[derive(Clone)]
struct Options {
    targets: Vec<&'static Target>,
    seconds: f64,
    runs: Option<u64>,
    seed: u64,
    replay: bool,
    input: Option<PathBuf>,
    memory: usize,
    time: Duration,
    grow: bool,
    is_child: bool,
}

fn main() -> ExitCode {
    let options = match Options::read(std::env::args().skip(1).collect()) {
        Ok(options) => options,
        Err(what) => {
            eprintln!("{what}\n\n{HELP}");
            return ExitCode::FAILURE;
        }
    };
    if options.is_child {
        return Runner::new(options.targets[0], &options).run();
    }
    println!("seed {}", options.seed);
    // Each in a process of its own: a finding may be its end.
    let shares: u32 = options.targets.iter().map(|target| target.share).sum();
    let failed = options.targets.iter().filter(|target| {
        let seconds = options.seconds * f64::from(target.share) / f64::from(shares);
        !options.run_in_child(target, seconds)
    });
    let failed: Vec<&str> = failed.map(|target| target.name).collect();
    if failed.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("findings in: {}", failed.join(", "));
    ExitCode::FAILURE
}

impl Options {
    fn read(arguments: Vec<String>) -> Result<Options, String> {
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        let mut options = Options {
            targets: ALL.iter().collect(),
            seconds: 120.0,
            runs: None,
            seed: now.as_millis() as u64,
            replay: false,
            input: None,
            memory: 16 << 20,
            time: Duration::from_millis(50),
            grow: false,
            is_child: false,
        };
        let mut arguments = arguments.into_iter();
        while let Some(name) = arguments.next() {
            let mut number = || {
                let value = arguments.next().and_then(|value| value.parse::<u64>().ok());
                value.ok_or_else(|| format!("{name} wants a number"))
            };
            match name.as_str() {
                "--seconds" => options.seconds = number()? as f64,
                "--runs" => options.runs = Some(number()?),
                "--seed" => options.seed = number()?,
                "--memory" => options.memory = (number()? as usize) << 20,
                "--time" => options.time = Duration::from_millis(number()?),
                "--milliseconds" => options.seconds = number()? as f64 / 1000.0,
                "--replay" => options.replay = true,
                "--grow" => options.grow = true,
                "--child" => options.is_child = true,
                "--input" => options.input = arguments.next().map(PathBuf::from),
                "--target" => {
                    let wanted = arguments.next().unwrap_or_default();
                    let target = ALL.iter().find(|target| target.name == wanted);
                    options.targets = vec![target.ok_or_else(|| format!("there is no target {wanted:?}"))?];
                }
                _ => return Err(format!("{name} is no option")),
            }
        }
        Ok(options)
    }

    fn run_in_child(&self, target: &Target, seconds: f64) -> bool {
        let itself = std::env::current_exe().expect("the system knows this program");
        let mut child = Command::new(itself);
        child.args(["--child", "--target", target.name]);
        child.args(["--milliseconds", &((seconds * 1000.0) as u64).to_string()]);
        child.args(["--seed", &self.seed.to_string()]);
        child.args(["--memory", &(self.memory >> 20).to_string()]);
        child.args(["--time", &self.time.as_millis().to_string()]);
        if let Some(runs) = self.runs {
            child.args(["--runs", &runs.to_string()]);
        }
        if let Some(input) = &self.input {
            child.arg("--input").arg(input);
        }
        for (name, is_set) in [("--replay", self.replay), ("--grow", self.grow)] {
            if is_set {
                child.arg(name);
            }
        }
        match child.status() {
            Ok(status) if status.code().is_some() => status.success(),
            Ok(status) => {
                println!("FINDING {}: the process has ended with {status}", target.name);
                let name = format!("{}-last", target.name);
                println!("  input: {}", folder("findings").join(name).display());
                false
            }
            Err(error) => {
                eprintln!("the target {} cannot be run: {error}", target.name);
                false
            }
        }
    }
}

/// Runs one target.
struct Runner<'o> {
    target: &'static Target,
    options: &'o Options,
    random: Random,
    corpus: Vec<Vec<u8>>,
    outcomes: BTreeMap<String, u64>,
    /// Which outcomes runs had together.
    signatures: BTreeSet<String>,
    findings: BTreeSet<String>,
    runs: u64,
    highest: meter::Cost,
}

/// What is written before the process ends, and where to.
static LAST_INPUT: std::sync::Mutex<(Vec<u8>, Option<PathBuf>)> = std::sync::Mutex::new((Vec::new(), None));

impl<'o> Runner<'o> {
    fn new(target: &'static Target, options: &'o Options) -> Self {
        Runner {
            target,
            options,
            random: Random(options.seed ^ u64::from(target.name.as_bytes()[0]) << 32),
            corpus: Vec::new(),
            outcomes: BTreeMap::new(),
            signatures: BTreeSet::new(),
            findings: BTreeSet::new(),
            runs: 0,
            highest: meter::Cost::default(),
        }
    }

    fn run(mut self) -> ExitCode {
        panics::remember();
        panics::set_last_words(write_last_words);
        meter::set_ceiling(CEILING);
        if let Some(input) = &self.options.input {
            let input = fs::read(input).expect("the input can be read");
            self.try_one(&input);
            return self.report(Instant::now());
        }
        let begun = Instant::now();
        self.corpus = read_corpus(self.target.name);
        for input in self.corpus.clone() {
            self.try_one(&input);
        }
        let unreached: Vec<_> = self
            .target
            .reaches
            .iter()
            .filter(|outcome| !self.outcomes.contains_key(**outcome))
            .collect();
        if !unreached.is_empty() && !self.options.grow {
            self.finding(&format!("the corpus does not reach {unreached:?}"), &[]);
        }
        if !self.options.replay {
            let end = begun + Duration::from_secs_f64(self.options.seconds);
            let is_over = |runs: u64| match self.options.runs {
                Some(limit) => runs >= limit,
                None => Instant::now() >= end,
            };
            while !is_over(self.runs) {
                let input = self.next_input();
                self.try_one(&input);
            }
        }
        self.report(begun)
    }

    fn next_input(&mut self) -> Vec<u8> {
        let random = &mut self.random;
        if self.corpus.is_empty() || random.below(2) == 0 {
            let length = 1 + random.below(LONGEST_INPUT);
            return (0..length).map(|_| random.next() as u8).collect();
        }
        let mut input = self.corpus[random.below(self.corpus.len())].clone();
        for _ in 0..=random.below(4) {
            let at = random.below(input.len() + 1);
            match random.below(4) {
                0 => input.insert(at, random.next() as u8),
                1 => input.truncate(at.max(1)),
                2 => input.extend((0..random.below(24)).map(|_| random.next() as u8)),
                _ => {
                    if let Some(byte) = input.get_mut(at) {
                        *byte = random.next() as u8;
                    }
                }
            }
        }
        input
    }

    fn try_one(&mut self, input: &[u8]) {
        self.runs += 1;
        if let Ok(mut last) = LAST_INPUT.lock() {
            last.0.clear();
            last.0.extend_from_slice(input);
            if last.1.is_none() {
                last.1 = Some(folder("findings").join(format!("{}-last", self.target.name)));
            }
        }
        meter::take();
        let panic = panics::found(|| (self.target.run)(input));
        let cost = meter::take();
        let reached = outcomes::take();
        let signature = reached.keys().map(String::as_str).collect::<Vec<_>>().join("; ");
        for (outcome, count) in reached {
            *self.outcomes.entry(outcome).or_default() += count;
        }
        if let Some(panic) = panic {
            return self.finding(&panic, input);
        }
        if self.options.grow && self.signatures.insert(signature) && !self.corpus.iter().any(|known| known == input) {
            write(&folder("found").join(self.target.name), input);
            self.corpus.push(input.to_vec());
        }
        self.highest.memory = self.highest.memory.max(cost.memory);
        self.highest.time = self.highest.time.max(cost.time);
        let is_unauthenticated = self.target.is_unauthenticated;
        let memory = if is_unauthenticated {
            self.options.memory
        } else {
            TRUSTED_MEMORY
        };
        if cost.memory > memory {
            let what = format!("memory: {} MiB beyond the input", cost.memory >> 20);
            self.finding_of_kind("memory", &what, input);
        }
        if is_unauthenticated && cost.time > self.options.time && !self.findings.contains("time") {
            self.judge_time(cost.time, input);
        }
    }

    /// It is a finding if the quickest of some more runs takes too long as well, by the processor's time.
    fn judge_time(&mut self, first: Duration, input: &[u8]) {
        let mut quickest = first;
        meter::ask_the_system(true);
        for _ in 0..3 {
            panics::found(|| (self.target.run)(input));
            quickest = quickest.min(meter::take().time);
        }
        meter::ask_the_system(false);
        outcomes::take();
        if quickest > self.options.time {
            self.finding_of_kind("time", &format!("time: {} ms", quickest.as_millis()), input);
        }
    }

    fn finding(&mut self, what: &str, input: &[u8]) {
        self.finding_of_kind(&without_numbers(what), what, input);
    }

    /// Told once for each kind.
    fn finding_of_kind(&mut self, kind: &str, what: &str, input: &[u8]) {
        if self.findings.insert(kind.to_owned()) {
            println!("FINDING {}: {what}", self.target.name);
            if !input.is_empty() {
                let path = write(&folder("findings").join(self.target.name), input);
                println!("  input: {}", path.display());
            }
        }
    }

    fn report(self, begun: Instant) -> ExitCode {
        let seconds = begun.elapsed().as_secs_f64();
        println!(
            "{}: {} runs in {seconds:.1} s ({:.0} a second), {} files of the corpus, {} findings; at most {} KiB and {:.1} ms",
            self.target.name,
            self.runs,
            self.runs as f64 / seconds.max(0.001),
            self.corpus.len(),
            self.findings.len(),
            self.highest.memory >> 10,
            self.highest.time.as_secs_f64() * 1000.0,
        );
        let mut outcomes: Vec<_> = self.outcomes.into_iter().collect();
        outcomes.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        for (outcome, count) in outcomes {
            println!("  {count:>10}  {outcome}");
        }
        if self.findings.is_empty() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}

/// Two panics of one place are one finding if they say the same but for numbers and causes.
fn without_numbers(what: &str) -> String {
    let (place, message) = what.split_once(": ").unwrap_or((what, ""));
    let message = message.split(". Please report it").next().unwrap_or_default();
    format!("{place}: {}", message.replace(|c: char| c.is_ascii_digit(), ""))
}

fn write_last_words(what: &str) {
    println!("FINDING: {what}");
    if let Ok(last) = LAST_INPUT.lock()
        && let (input, Some(path)) = &*last
    {
        if let Some(folder) = path.parent() {
            let _ = fs::create_dir_all(folder);
        }
        let _ = fs::write(path, input);
    }
}

/// Writes the input under a name that its content decides.
fn write(folder: &Path, input: &[u8]) -> PathBuf {
    let hash = input.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    });
    let path = folder.join(format!("{hash:016x}"));
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(&path, input))
        .expect("the input can be kept");
    path
}

fn read_corpus(target: &str) -> Vec<Vec<u8>> {
    let Ok(files) = fs::read_dir(folder("corpus").join(target)) else {
        return Vec::new();
    };
    let mut paths: Vec<_> = files.filter_map(|file| Some(file.ok()?.path())).collect();
    paths.sort();
    paths.iter().filter_map(|path| fs::read(path).ok()).collect()
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut number = self.0;
        number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        number ^ number >> 31
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }
}
