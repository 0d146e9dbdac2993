//! A second process: the test binary itself, running the same test with a part to play.

use std::env;
use std::io::{BufRead, BufReader, Read, Write, stdin, stdout};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

const PART: &str = "KEYSTORE_TEST_DATABASE";

/// In the child: the database it was given. In the test itself: nothing.
pub fn part() -> Option<PathBuf> {
    env::var_os(PART).map(PathBuf::from)
}

/// In the child: tells the parent how far it is.
pub fn say(line: &str) {
    let mut out = stdout().lock();
    writeln!(out, "\n{line}")
        .and_then(|()| out.flush())
        .expect("the parent listens");
}

/// In the child: waits to be killed.
pub fn wait() -> ! {
    let _ = stdin().read(&mut [0]);
    unreachable!("the parent kills it")
}

pub struct Other {
    process: Child,
    output: BufReader<ChildStdout>,
}

/// Starts this test again in a process of its own.
pub fn start(test: &str, database: &Path) -> Other {
    let mut process = command(test, database)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the test binary starts");
    let output = BufReader::new(process.stdout.take().expect("piped"));
    Other { process, output }
}

/// Runs this test in a process of its own to its end; answers what it wrote to stderr.
pub fn stderr_of(test: &str, database: &Path) -> String {
    let done = command(test, database).output().expect("the test binary runs");
    assert!(
        done.status.success(),
        "the child failed: {}",
        String::from_utf8_lossy(&done.stdout)
    );
    String::from_utf8_lossy(&done.stderr).into_owned()
}

/// Runs this test as somebody who may write only what everybody may, and answers the rest of the
/// line that starts so.
#[cfg(unix)]
pub fn said_by_nobody(test: &str, database: &Path, start: &str) -> String {
    use std::os::unix::fs::MetadataExt;
    use std::os::unix::process::CommandExt;
    const NOBODY: u32 = 65534;
    let mut command = command(test, database);
    let we_are_root = std::fs::metadata("/proc/self").map_or(1, |ours| ours.uid()) == 0;
    if we_are_root {
        command.uid(NOBODY).gid(NOBODY);
    }
    let done = command.output().expect("the test binary runs");
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(done.status.success(), "the child failed: {said}");
    let line = said.lines().find_map(|line| line.strip_prefix(start));
    line.unwrap_or_else(|| panic!("it said {said}")).to_owned()
}

impl Other {
    /// Waits for a line that starts so; answers the rest of it.
    pub fn hear(&mut self, start: &str) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            assert_ne!(
                self.output.read_line(&mut line).expect("readable"),
                0,
                "the child ended without saying {start:?}"
            );
            if let Some(rest) = line.strip_prefix(start) {
                return rest.trim().to_owned();
            }
        }
    }

    /// SIGKILL; answers what it had still said.
    pub fn kill(mut self) -> String {
        self.process.kill().expect("alive");
        self.process.wait().expect("ours");
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).expect("UTF-8");
        rest
    }
}

fn command(test: &str, database: &Path) -> Command {
    let mut command = Command::new(env::current_exe().expect("the test binary"));
    command
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(PART, database);
    command
}
